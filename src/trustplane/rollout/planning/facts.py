"""Build the nodes of a rollout's input from the facts of their machines. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.annotations import DEPLOYMENT_NAME_LABEL, REMEDIATE
from trustplane.api.clusterapi import KubeadmControlPlane, Machine, MachineDeployment, MachineHealthCheck
from trustplane.clusterapi import health_checks
from trustplane.clusterapi.machine_facts import NODE_STARTUP_TIMEOUT, is_control_plane, pool_name
from trustplane.clusterapi.node_state import NodeFacts, RegistryVerdict, registry_verdicts
from trustplane.rollout.planning.inputs import RolloutNode

_UNCERTAIN: Final = "uncertain:"  # a set that is partial, or possibly overwritten, differs from the whole one


@dataclass(frozen=True, kw_only=True)
class OngoingWrites:
    """This process's writes to nodes, by Machine names.

    Attributes:
        writing: Machines whose write is in progress.
        backing_off: Machines whose write failed and that wait for the next attempt.
    """

    writing: frozenset[str] = frozenset()
    backing_off: frozenset[str] = frozenset()


def rollout_after_by_group(
    control_plane: KubeadmControlPlane | None, pools: Iterable[MachineDeployment]
) -> dict[str, datetime]:
    """Return each group's `rollout.after` by group name; the control plane's name is empty."""
    times = {_pool_name(pool): pool.spec.rollout.after for pool in pools}
    if control_plane is not None:
        times[""] = control_plane.spec.rollout.after
    return {name: at for name, at in times.items() if at is not None}


def _pool_name(pool: MachineDeployment) -> str:
    return pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL) or pool.metadata.name


def build_node(
    facts: NodeFacts,
    machine: Machine,
    hosts: Collection[str],
    *,
    writes: OngoingWrites,
    rollout_after: Mapping[str, datetime],
    checks: Collection[MachineHealthCheck],
    now: datetime,
    is_uninspectable: bool = False,
) -> RolloutNode:
    """Return the input of the rollout for one machine.

    Args:
        facts: Facts of its node.
        machine: The Machine.
        hosts: The registries that it must trust.
        writes: Ongoing writes of this process.
        rollout_after: `rollout.after` of the groups, see `rollout_after_by_group`.
        checks: MachineHealthChecks of the cluster.
        now: The current time.
        is_uninspectable: Whether the node cannot be inspected; its best verdict is then Accepted.
    """
    has_written = facts.method == clustertrust.IN_PLACE and bool(facts.digest)
    update_error = facts.update_error
    is_resting = facts.machine in writes.backing_off
    group = "" if is_control_plane(machine) else pool_name(machine)
    # No controller replaces a worker without a pool.
    requested = rollout_after.get(group) if group or is_control_plane(machine) else None
    judged = {judgement.registry: judgement for judgement in registry_verdicts(facts, hosts)}
    return RolloutNode(
        name=facts.machine,
        group=group,
        is_control_plane=is_control_plane(machine),
        booted_with=facts.boot_digest or None,
        observed=_has(facts, has_written=has_written),
        has_drifted=_is_drifted(facts),
        proven=facts.digest if _proves(facts, judged, hosts, blind=is_uninspectable) else None,
        refused=facts.digest if _refuses(facts, judged) else None,
        is_unverifiable=bool(hosts) and all(_is_unverifiable(facts, host) for host in hosts),
        is_reachable=not facts.unreachable_reason
        and not (is_resting and update_error is not None and update_error.is_unreachable),
        update_error=update_error.message if update_error and not update_error.is_unreachable else "",
        is_backing_off=is_resting,
        is_writing=facts.machine in writes.writing,
        is_busy=facts.is_busy,
        is_being_replaced=requested is not None and requested <= now and facts.created < requested,
        has_joined=bool(facts.node),
        is_stuck=not facts.node and now - facts.created > NODE_STARTUP_TIMEOUT,
        is_replaceable=bool(group)
        or (is_control_plane(machine) and health_checks.is_replaced_by_health_check(checks, machine)),
        is_marked=REMEDIATE in machine.metadata.annotations,
    )


def _has(facts: NodeFacts, *, has_written: bool) -> str | None:
    if facts.is_partial or facts.has_unrecorded_write:
        return f"{_UNCERTAIN}{facts.digest}"
    return facts.digest if has_written else None


def _is_drifted(facts: NodeFacts) -> bool:
    inspection = facts.valid_inspection
    return inspection is not None and inspection.is_drifted


def _refuses(facts: NodeFacts, judged: Mapping[str, RegistryVerdict]) -> bool:
    """Return whether the node refuses a registry; a set that only removes entries may stop trusting one."""
    return not facts.only_removes and any(result.verdict == clustertrust.NOT_TRUSTED for result in judged.values())


def _proves(facts: NodeFacts, judged: Mapping[str, RegistryVerdict], hosts: Collection[str], *, blind: bool) -> bool:
    """Return whether the node has proven every verifiable registry since its last change."""
    if not hosts or facts.valid_proof is None:
        return False
    sufficient = _DEFINITE if facts.only_removes else _ACCEPTED if blind else frozenset({clustertrust.TRUSTED})
    verifiable = [host for host in hosts if not _is_unverifiable(facts, host)]
    return bool(verifiable) and all(host in judged and judged[host].verdict in sufficient for host in verifiable)


_ACCEPTED: Final = frozenset({clustertrust.TRUSTED, clustertrust.ACCEPTED})
_DEFINITE: Final = _ACCEPTED | {clustertrust.NOT_TRUSTED}


def _is_unverifiable(facts: NodeFacts, host: str) -> bool:
    inspection = facts.valid_inspection
    registries = inspection.registries if inspection else []
    access = next((registry for registry in registries if registry.registry == host), None)
    return access is not None and access.verification == clustertrust.UNVERIFIABLE
