"""Build the input of the rollout plan from one look at a cluster."""

from datetime import datetime

from trustplane.api.annotations import PAUSED, REPLACE_UNREACHABLE, TRUST_CANARY, TRUST_PROVEN
from trustplane.clusterapi import rollout_facts
from trustplane.clusterapi.rollout_facts import Work
from trustplane.controllers.clustertrust_view import Seen
from trustplane.trust import recorded
from trustplane.trust.propagation import Frozen
from trustplane.trust.recorded import read_time
from trustplane.trust.rollout.observed import REPLACE, Canary, Observed
from trustplane.trust.standing import NodeFacts

NO_WORK = Work()


def observed(seen: Seen, *, now: datetime, work: Work = NO_WORK) -> Observed:
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
        boot=seen.boot.digest if seen.boot and seen.boot.is_intact else None,
        edited=seen.boot is not None and not seen.boot.is_intact,
        last_proven=last_proven(annotations),
        nodes=tuple(
            rollout_facts.node(
                one,
                seen.machines[one.machine],
                hosts,
                work=work,
                after=seen.after,
                checks=seen.health_checks,
                now=now,
                blind=_is_blind(seen, one),
            )
            for one in seen.nodes
        ),
        deleting=seen.is_deleting,
        paused=seen.cluster.spec.paused or PAUSED in annotations,
        strategy=seen.strategy,
        can_write=seen.can_write,
        canary=canary(annotations.get(TRUST_CANARY, "")),
        provable=bool(hosts),
        replace_unreachable=_is_replacement_asked(seen),
    )


def _is_blind(seen: Seen, facts: NodeFacts) -> bool:
    """Tell whether nobody can see if a node verifies: there is no key, or SSH fails where machines are replaced."""
    look = facts.valid_inspection
    return not seen.can_write or (seen.strategy == REPLACE and look is not None and bool(look.error))


def _is_replacement_asked(seen: Seen) -> bool:
    """Return whether the last answered update request asks to replace unreachable nodes."""
    asked = read_time(seen.tkc.metadata.annotations.get(REPLACE_UNREACHABLE, "")) if seen.tkc else None
    frozen = Frozen.read(seen.cluster.metadata.annotations) if asked else None
    return frozen is not None and asked == frozen.handled_at


def last_proven(annotations: dict[str, str]) -> str | None:
    """Return the digest of the last set proven by a node, or None if none is recorded."""
    digest = annotations.get(TRUST_PROVEN, "")
    return digest if recorded.is_digest(digest) else None


def canary(text: str) -> Canary | None:
    """Parse the canary record; return None if it is absent or malformed."""
    return recorded.read(text, Canary)
