"""What a Machine says of the trust of its node. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trustplane.api import clustertrust
from trustplane.api.annotations import CONTROL_PLANE_LABEL, DEPLOYMENT_LABEL, DEPLOYMENT_NAME_LABEL, UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_HINDRANCE, TRUST_INSPECTION, TRUST_PROOF
from trustplane.api.conditions import TRUE, UNKNOWN
from trustplane.api.meta import Condition, condition
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.errors import TransientError
from trustplane.text import clean
from trustplane.trust import recorded

# Of Cluster API: api/core/v1beta2, Machine's conditions.
_UPDATING: Final = "Updating"
_NODE_READY: Final = "NodeReady"
# Types of a Machine's addresses at which SSH can be reached, best first: api/core/v1beta2, MachineAddressType.
_ADDRESS_TYPES: Final = ("InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS")

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# As a MachineHealthCheck's nodeStartupTimeout where it names none.
NODE_STARTUP_TIMEOUT: Final = timedelta(minutes=10)

_WORDS: Final = 1024  # characters of what others say that are passed on


def node_facts(machine: Machine, *, now: datetime | None = None) -> NodeFacts:
    """Return what is known of a node.

    Args:
        machine: Its Machine.
        now: What is recorded with a later time is not believed; None: the clock's.
    """
    annotations = machine.metadata.annotations
    applied, hindrance = recorded.applied(annotations, now), recorded.hindrance(annotations, now)
    proof, inspection = recorded.proof(annotations, now), recorded.inspection(annotations, now)
    records = {
        TRUST_APPLIED: applied,
        TRUST_HINDRANCE: hindrance,
        TRUST_PROOF: proof,
        TRUST_INSPECTION: inspection,
    }
    return NodeFacts(
        machine=machine.metadata.name,
        created=machine.metadata.creation_timestamp or _EPOCH,
        node=machine.status.node_ref.name,
        changed=applied.at if applied else None,
        **(_of_applied(applied) if applied else {}),
        is_busy=_is_busy(machine),
        update_error=hindrance,
        unreachable_reason=unreachable_reason(machine),
        proof=proof,
        inspection=inspection,
        ignored_annotations=tuple(name for name, record in records.items() if annotations.get(name) and record is None),
    )


def _of_applied(applied: clustertrust.AppliedTrust) -> Mapping[str, Any]:
    return {
        "digest": applied.digest,
        "method": applied.method or clustertrust.BOOTSTRAP,
        "booted": applied.booted if recorded.is_digest(applied.booted) else "",
        "is_partial": applied.is_partial,
        "only_removes": applied.only_removes,
    }


def _is_busy(machine: Machine) -> bool:
    """Tell whether Cluster API, or an extension of somebody else, is updating a machine: it is left alone."""
    updating = _condition(machine, _UPDATING)
    is_updating = updating is not None and updating.status == TRUE
    return is_updating or UPDATE_IN_PROGRESS in machine.metadata.annotations


def is_control_plane(machine: Machine) -> bool:
    """Tell whether a machine is one of the control plane."""
    return CONTROL_PLANE_LABEL in machine.metadata.labels


def pool_name(machine: Machine) -> str:
    """Return the name of a machine's MachineDeployment, or of its pool in a topology; empty where it has none."""
    labels = machine.metadata.labels
    return labels.get(DEPLOYMENT_NAME_LABEL) or labels.get(DEPLOYMENT_LABEL, "")


def ssh_address(machine: Machine) -> str:
    """Return where a machine is reached.

    Raises:
        TransientError: Its infrastructure provider has reported no address yet.
    """
    found = machine.status.addresses
    for wanted in _ADDRESS_TYPES:
        for one in found:
            if one.type == wanted and one.address:
                return one.address
    raise TransientError(
        f"Machine {machine.metadata.name} has no address",
        why="its infrastructure provider has reported none in status.addresses",
        next_step="It is tried again by itself; see the infrastructure machine if this lasts",
    )


def unreachable_reason(machine: Machine) -> str:
    """Return why a machine's kubelet is held to be out of reach; empty where it is not."""
    ready = _condition(machine, _NODE_READY)
    if ready is None or ready.status != UNKNOWN or not machine.status.node_ref.name:
        return ""
    words = (ready.message or ready.reason).removeprefix("* ").removeprefix("Node.Ready: ")
    return f"its kubelet does not report: {clean(words, _WORDS)}"


def _condition(machine: Machine, type_: str) -> Condition | None:
    return condition(machine.status.conditions, type_)
