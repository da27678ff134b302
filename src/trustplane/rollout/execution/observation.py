"""Build the input of the rollout plan from one look at a cluster."""

from datetime import datetime

from trustplane.api.annotations import PAUSED, REPLACE_UNREACHABLE, TRUST_CANARY, TRUST_PROVEN
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.fleet.view import ClusterState
from trustplane.rollout.planning import facts as rollout_facts
from trustplane.rollout.planning.facts import Work
from trustplane.rollout.planning.observed import REPLACE, Canary, Observed
from trustplane.trust import recorded
from trustplane.trust.propagation import Frozen
from trustplane.trust.recorded import read_time

NO_WORK = Work()


def plan_input(seen: ClusterState, *, now: datetime, work: Work = NO_WORK) -> Observed:
    """Return the plan's input.

    Args:
        seen: The cluster.
        now: The current time.
        work: Writes of this process on its nodes.
    """
    annotations, hosts = seen.cluster.metadata.annotations, seen.hosts
    wanted = seen.sets.digest
    return Observed(
        wanted=wanted,
        boot=seen.boot_set.digest if seen.boot_set and seen.boot_set.is_intact else None,
        edited=seen.boot_set is not None and not seen.boot_set.is_intact,
        last_proven=last_proven_digest(annotations),
        nodes=tuple(
            rollout_facts.node(
                one,
                seen.machines[one.machine],
                hosts,
                work=work,
                after=seen.replacement_requested_at,
                checks=seen.health_checks,
                now=now,
                blind=_is_blind(seen, one),
            )
            for one in seen.nodes
        ),
        deleting=seen.has_machine_deletions,
        paused=seen.cluster.spec.paused or PAUSED in annotations,
        strategy=seen.strategy,
        can_write=seen.has_ssh_key,
        canary=parse_canary(annotations.get(TRUST_CANARY, "")),
        provable=bool(hosts),
        replace_unreachable=_is_replacement_asked(seen),
    )


def _is_blind(seen: ClusterState, facts: NodeFacts) -> bool:
    """Tell whether nobody can see if a node verifies: there is no key, or SSH fails where machines are replaced."""
    look = facts.valid_inspection
    return not seen.has_ssh_key or (seen.strategy == REPLACE and look is not None and bool(look.error))


def _is_replacement_asked(seen: ClusterState) -> bool:
    """Return whether the last answered update request asks to replace unreachable nodes."""
    asked = read_time(seen.tkc.metadata.annotations.get(REPLACE_UNREACHABLE, "")) if seen.tkc else None
    frozen = Frozen.read(seen.cluster.metadata.annotations) if asked else None
    return frozen is not None and asked == frozen.handled_at


def last_proven_digest(annotations: dict[str, str]) -> str | None:
    """Return the digest of the last set proven by a node, or None if none is recorded."""
    digest = annotations.get(TRUST_PROVEN, "")
    return digest if recorded.is_digest(digest) else None


def parse_canary(text: str) -> Canary | None:
    """Parse the canary record; return None if it is absent or malformed."""
    return recorded.read(text, Canary)
