"""Choose the boot set: the last proven set, until the set in force is proven or no node can prove it. Pure."""

from trustplane.rollout.planning.inputs import RolloutInput
from trustplane.rollout.planning.steps import RolloutNote


def choose_boot_set(cluster: RolloutInput) -> str | None:
    """Return the digest of the boot set to write now; None if the current one stays."""
    target = _target(cluster)
    return None if target == cluster.boot_set and not cluster.is_boot_set_edited else target


def boot_set_notes(cluster: RolloutInput) -> tuple[RolloutNote, ...]:
    """Report an edited or missing boot set; a cluster without machines has none yet."""
    if cluster.is_boot_set_edited:
        return (RolloutNote.BOOT_SET_EDITED,)
    return (RolloutNote.BOOT_SET_MISSING,) if cluster.boot_set is None and cluster.nodes else ()


def _target(cluster: RolloutInput) -> str:
    if cluster.refusing_nodes:
        return cluster.last_proven or _current(cluster)
    if cluster.replaces_machines or cluster.is_proven or not cluster.can_be_proven:
        return cluster.in_force
    current = _current(cluster)
    return cluster.in_force if _blocks_joining(cluster, current) else current


def _blocks_joining(cluster: RolloutInput, digest: str) -> bool:
    """Return whether a machine booted with this set and did not join: other new machines would not join either."""
    return any(node.is_stuck and not node.has_joined and node.booted_with == digest for node in cluster.nodes)


def _current(cluster: RolloutInput) -> str:
    """Return the current boot set if it is intact and still relevant, else the last proven set."""
    if cluster.boot_set is None or cluster.is_boot_set_edited:
        return cluster.last_proven or cluster.in_force
    return cluster.boot_set if cluster.boot_set == cluster.in_force else cluster.last_proven or cluster.boot_set
