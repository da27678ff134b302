"""Read the facts about a node's trust from its Machine. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trustplane.api import clustertrust
from trustplane.api.annotations import CONTROL_PLANE_LABEL, DEPLOYMENT_LABEL, DEPLOYMENT_NAME_LABEL, UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import (
    TRUST_APPLIED,
    TRUST_INSPECTION,
    TRUST_PROOF,
    TRUST_UPDATE_ERROR,
    TRUST_WRITE_STARTED,
)
from trustplane.api.conditions import TRUE, UNKNOWN
from trustplane.api.meta import Condition, condition
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.errors import TransientError
from trustplane.text import clean
from trustplane.trust import recorded

# Conditions of a Machine, from Cluster API's api/core/v1beta2.
_UPDATING: Final = "Updating"
_NODE_READY: Final = "NodeReady"
# Address types usable for SSH, best first: api/core/v1beta2, MachineAddressType.
_ADDRESS_TYPES: Final = ("InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS")

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# The default of a MachineHealthCheck's nodeStartupTimeout.
NODE_STARTUP_TIMEOUT: Final = timedelta(minutes=10)

_MAX_MESSAGE: Final = 1024  # characters of another component's message


def node_facts(machine: Machine, *, now: datetime | None = None) -> NodeFacts:
    """Return the known facts about a node.

    Args:
        machine: Its Machine.
        now: Records with a later time are ignored; None: the current time.
    """
    annotations = machine.metadata.annotations
    applied, update_error = recorded.read_applied_trust(annotations, now), recorded.read_update_error(annotations, now)
    proof, inspection = recorded.read_proof(annotations, now), recorded.read_inspection(annotations, now)
    records = {
        TRUST_APPLIED: applied,
        TRUST_UPDATE_ERROR: update_error,
        TRUST_PROOF: proof,
        TRUST_INSPECTION: inspection,
    }
    return NodeFacts(
        machine=machine.metadata.name,
        created=machine.metadata.creation_timestamp or _EPOCH,
        node=machine.status.node_ref.name,
        changed=applied.at if applied else None,
        **(_of_applied(applied) if applied else {}),
        has_unrecorded_write=bool(annotations.get(TRUST_WRITE_STARTED)),
        is_busy=_is_busy(machine),
        update_error=update_error,
        unreachable_reason=unreachable_reason(machine),
        proof=proof,
        inspection=inspection,
        ignored_annotations=tuple(name for name, record in records.items() if annotations.get(name) and record is None),
    )


def _of_applied(applied: clustertrust.AppliedTrust) -> Mapping[str, Any]:
    return {
        "digest": applied.digest,
        "method": applied.method or clustertrust.BOOTSTRAP,
        "boot_digest": applied.booted if recorded.is_digest(applied.booted) else "",
        "is_partial": applied.is_partial,
        "only_removes": applied.only_removes,
    }


def _is_busy(machine: Machine) -> bool:
    """Return whether Cluster API or an update extension is updating a machine; Trustplane then leaves it alone."""
    updating = _condition(machine, _UPDATING)
    is_updating = updating is not None and updating.status == TRUE
    return is_updating or UPDATE_IN_PROGRESS in machine.metadata.annotations


def is_control_plane(machine: Machine) -> bool:
    """Return whether a machine belongs to the control plane."""
    return CONTROL_PLANE_LABEL in machine.metadata.labels


def pool_name(machine: Machine) -> str:
    """Return the name of a machine's pool in its topology, or of its MachineDeployment; empty if it has neither."""
    labels = machine.metadata.labels
    return labels.get(DEPLOYMENT_NAME_LABEL) or labels.get(DEPLOYMENT_LABEL, "")


def ssh_address(machine: Machine) -> str:
    """Return the address for SSH to a machine.

    Raises:
        TransientError: Its infrastructure provider has not reported an address yet.
    """
    for type_ in _ADDRESS_TYPES:
        for entry in machine.status.addresses:
            if entry.type == type_ and entry.address:
                return entry.address
    raise TransientError(
        f"Machine {machine.metadata.name} has no address",
        why="its infrastructure provider has not reported one in status.addresses",
        next_step="Trustplane retries; if this persists, check the infrastructure machine",
    )


def unreachable_reason(machine: Machine) -> str:
    """Return why a machine's kubelet is treated as unreachable; empty if it is not."""
    ready = _condition(machine, _NODE_READY)
    if ready is None or ready.status != UNKNOWN or not machine.status.node_ref.name:
        return ""
    message = (ready.message or ready.reason).removeprefix("* ").removeprefix("Node.Ready: ")
    return f"its kubelet does not report: {clean(message, _MAX_MESSAGE)}"


def _condition(machine: Machine, type_: str) -> Condition | None:
    return condition(machine.status.conditions, type_)
