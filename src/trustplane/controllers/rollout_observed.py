"""What the rollout of a cluster's trust is decided from, out of what is seen of the cluster."""

from datetime import datetime

from trustplane.api.annotations import PAUSED, REPLACE_UNREACHABLE, TRUST_CANARY, TRUST_PROVEN
from trustplane.clusterapi import rollout_facts
from trustplane.clusterapi.rollout_facts import Work
from trustplane.controllers.clustertrust_view import Seen
from trustplane.trust import recorded
from trustplane.trust.propagation import Frozen
from trustplane.trust.recorded import read_time
from trustplane.trust.rollout.observed import PARALLEL, Canary, Observed

NO_WORK = Work()


def observed(seen: Seen, *, now: datetime, work: Work = NO_WORK, allowance: int = PARALLEL) -> Observed:
    """Return what is decided from.

    Args:
        seen: The cluster.
        now: The time.
        work: What this process does on its nodes.
        allowance: Writes that may begin now, by the limit of the whole fleet.
    """
    annotations, hosts = seen.cluster.metadata.annotations, seen.hosts
    wanted = seen.sets.digest
    return Observed(
        wanted=wanted,
        boot=seen.boot.digest if seen.boot and seen.boot.is_intact else None,
        edited=seen.boot is not None and not seen.boot.is_intact,
        last_proven=last_proven(annotations),
        nodes=tuple(
            rollout_facts.node(one, seen.machines[one.machine], hosts, work=work, after=seen.after, now=now)
            for one in seen.nodes
        ),
        paused=seen.cluster.spec.paused or PAUSED in annotations,
        strategy=seen.strategy,
        can_write=seen.can_write,
        canary=canary(annotations.get(TRUST_CANARY, "")),
        provable=bool(hosts),
        allowance=allowance,
        replace_unreachable=_is_replacement_asked(seen),
    )


def _is_replacement_asked(seen: Seen) -> bool:
    """Tell whether the request for the update that was answered last asks for lost nodes to be replaced."""
    frozen = Frozen.read(seen.cluster.metadata.annotations)
    asked = read_time(seen.tkc.metadata.annotations.get(REPLACE_UNREACHABLE, "")) if seen.tkc else None
    return frozen is not None and asked is not None and asked == frozen.handled_at


def last_proven(annotations: dict[str, str]) -> str | None:
    """Return the digest of the set that a node of a Cluster proved last; None where none is recorded."""
    digest = annotations.get(TRUST_PROVEN, "")
    return digest if recorded.is_digest(digest) else None


def canary(text: str) -> Canary | None:
    """Read the record of whoever takes a set alone; None where there is none, or none that can be read."""
    return recorded.read(text, Canary)
