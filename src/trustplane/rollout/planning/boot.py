"""Choose the boot set: the last proven set, until the set in force is proven or no node can prove it. Pure."""

from trustplane.rollout.planning.observed import RolloutInput
from trustplane.rollout.planning.steps import RolloutNote


def choose_boot_set(cluster: RolloutInput) -> str | None:
    """Return the digest of the boot set to write now; None if the current one stays."""
    target = _target(cluster)
    return None if target == cluster.boot and not cluster.edited else target


def boot_set_notes(cluster: RolloutInput) -> tuple[RolloutNote, ...]:
    """Report an edited or missing boot set; a cluster without machines has none yet."""
    if cluster.edited:
        return (RolloutNote.BOOT_SET_EDITED,)
    return (RolloutNote.BOOT_SET_MISSING,) if cluster.boot is None and cluster.nodes else ()


def _target(cluster: RolloutInput) -> str:
    if cluster.refusers:
        return cluster.last_proven or _current(cluster)
    if cluster.replaces or cluster.is_proven or not cluster.can_be_proven:
        return cluster.wanted
    current = _current(cluster)
    return cluster.wanted if _blocks_joining(cluster, current) else current


def _blocks_joining(cluster: RolloutInput, digest: str) -> bool:
    """Return whether a machine booted with this set and did not join: other new machines would not join either."""
    return any(node.stuck and not node.joined and node.booted == digest for node in cluster.nodes)


def _current(cluster: RolloutInput) -> str:
    """Return the current boot set if it is intact and still relevant, else the last proven set."""
    if cluster.boot is None or cluster.edited:
        return cluster.last_proven or cluster.wanted
    return cluster.boot if cluster.boot == cluster.wanted else cluster.last_proven or cluster.boot
