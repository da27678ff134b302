"""From what is known of a cluster's machines to what its rollout is decided from. Pure."""

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
from trustplane.rollout.planning.observed import Node

_PARTIAL: Final = "partial:"  # a set that is on a node in part is another one


@dataclass(frozen=True, kw_only=True)
class Work:
    """What this process does on nodes, by the names of their Machines: how far writes are, not whether they are due.

    Attributes:
        writing: Being written now.
        resting: Failed a moment ago.
    """

    writing: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()


def groups(control_plane: KubeadmControlPlane | None, pools: Iterable[MachineDeployment]) -> dict[str, datetime]:
    """Return when groups were last asked to replace their machines, by name; the control plane's is empty."""
    times = {_pool_name(one): one.spec.rollout.after for one in pools}
    if control_plane is not None:
        times[""] = control_plane.spec.rollout.after
    return {name: at for name, at in times.items() if at is not None}


def _pool_name(pool: MachineDeployment) -> str:
    return pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL) or pool.metadata.name


def node(
    facts: NodeFacts,
    machine: Machine,
    hosts: Collection[str],
    *,
    work: Work,
    after: Mapping[str, datetime],
    checks: Collection[MachineHealthCheck],
    now: datetime,
    blind: bool = False,
) -> Node:
    """Return a machine as its cluster's rollout looks at it.

    Args:
        facts: What is known of its node.
        machine: Its Machine.
        hosts: The registries that it is to trust.
        work: Writes of this process.
        after: When groups were last asked to replace their machines, see `groups`.
        checks: MachineHealthChecks of the cluster.
        now: The current time.
        blind: Nobody can look at its node: that its kubelet was accepted is the most that there will ever be.
    """
    has_written = facts.method == clustertrust.IN_PLACE and bool(facts.digest)
    hindrance = facts.update_error
    is_resting = facts.machine in work.resting
    group = "" if is_control_plane(machine) else pool_name(machine)
    asked = after.get(group) if group or is_control_plane(machine) else None  # nobody rolls a machine of no pool
    judged = {one.registry: one for one in registry_verdicts(facts, hosts)}
    return Node(
        name=facts.machine,
        group=group,
        control_plane=is_control_plane(machine),
        booted=facts.boot_digest or None,
        has=_has(facts, has_written=has_written),
        drifted=_is_drifted(facts),
        proven=facts.digest if _proves(facts, judged, hosts, blind=blind) else None,
        refused=facts.digest if _refuses(facts, judged) else None,
        unverifiable=bool(hosts) and all(_is_unverifiable(facts, host) for host in hosts),
        reachable=not facts.unreachable_reason
        and not (is_resting and hindrance is not None and hindrance.is_unreachable),
        failing=hindrance.message if hindrance and not hindrance.is_unreachable else "",
        resting=is_resting,
        writing=facts.machine in work.writing,
        busy=facts.is_busy,
        leaving=asked is not None and asked <= now and facts.created < asked,
        joined=bool(facts.node),
        stuck=not facts.node and now - facts.created > NODE_STARTUP_TIMEOUT,
        replaceable=bool(group)
        or (is_control_plane(machine) and health_checks.is_replaced_by_health_check(checks, machine)),
        marked=REMEDIATE in machine.metadata.annotations,
    )


def _has(facts: NodeFacts, *, has_written: bool) -> str | None:
    if facts.is_partial:
        return f"{_PARTIAL}{facts.digest}"
    return facts.digest if has_written else None


def _is_drifted(facts: NodeFacts) -> bool:
    look = facts.valid_inspection
    return look is not None and look.is_drifted


def _refuses(facts: NodeFacts, judged: Mapping[str, RegistryVerdict]) -> bool:
    """A set that only removes entries is to prove less: a registry that it no longer covers is refused rightly."""
    return not facts.only_removes and any(one.verdict == clustertrust.NOT_TRUSTED for one in judged.values())


def _proves(facts: NodeFacts, judged: Mapping[str, RegistryVerdict], hosts: Collection[str], *, blind: bool) -> bool:
    """Tell whether the node has trusted every registry since its last change that a pull of it can judge."""
    if not hosts or facts.valid_proof is None:
        return False
    enough = _DEFINITE if facts.only_removes else _ACCEPTED if blind else frozenset({clustertrust.TRUSTED})
    asked = [host for host in hosts if not _is_unverifiable(facts, host)]
    return bool(asked) and all(host in judged and judged[host].verdict in enough for host in asked)


_ACCEPTED: Final = frozenset({clustertrust.TRUSTED, clustertrust.ACCEPTED})
_DEFINITE: Final = _ACCEPTED | {clustertrust.NOT_TRUSTED}


def _is_unverifiable(facts: NodeFacts, host: str) -> bool:
    look = facts.valid_inspection
    known = next((one for one in look.registries if one.registry == host), None) if look else None
    return known is not None and known.verification == clustertrust.UNVERIFIABLE
