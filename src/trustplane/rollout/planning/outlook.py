"""Summarise a rollout: its state, the reason, and the machines it waits for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trustplane.rollout.planning.boot import choose_boot_set
from trustplane.rollout.planning.inputs import RolloutInput, RolloutNode
from trustplane.rollout.planning.steps import RolloutReason, RolloutState


class RolloutSummary(NamedTuple):
    """State and reason of a rollout, and the machines concerned."""

    state: RolloutState
    reason: RolloutReason
    machines: tuple[str, ...] = ()


def machine_names(nodes: Iterable[RolloutNode]) -> tuple[str, ...]:
    """Return the sorted names of machines."""
    return tuple(sorted(node.name for node in nodes))


def summarise(
    cluster: RolloutInput, *, writes: Sequence[RolloutNode] = (), limited: Sequence[RolloutNode] = ()
) -> RolloutSummary:
    """Return the first state that applies: writes in progress, then missing nodes, then leftovers.

    Args:
        cluster: The cluster.
        writes: Nodes whose write starts now.
        limited: Nodes held back by the write limits.
    """
    written = [*writes, *(node for node in cluster.nodes if node.uses_write_slot)]
    if written:
        return RolloutSummary(RolloutState.UPDATING, RolloutReason.WRITING, machine_names(written))
    if limited:
        return RolloutSummary(RolloutState.WAITING, RolloutReason.LIMITED, machine_names(limited))
    for state, reason, nodes in (*_missing(cluster), *_leftovers(cluster)):
        if nodes:
            return RolloutSummary(state, reason, machine_names(nodes))
    if choose_boot_set(cluster) is not None:
        return RolloutSummary(RolloutState.UPDATING, RolloutReason.BOOT_SET)
    return RolloutSummary(RolloutState.CURRENT, RolloutReason.UP_TO_DATE if cluster.nodes else RolloutReason.NO_NODES)


_Finding = tuple[RolloutState, RolloutReason, Sequence[RolloutNode]]


def _missing(cluster: RolloutInput) -> Iterator[_Finding]:
    """Yield nodes that lack the set in force or have not proven it."""
    unsettled = [
        node
        for node in cluster.nodes
        if node.has_joined and not cluster.is_settled(node) and not cluster.stays_drifted(node)
    ]
    able = [node for node in unsettled if node.is_writable]
    to_write = [node for node in able if cluster.needs_write(node)]
    yield RolloutState.WAITING, RolloutReason.FAILING, [node for node in to_write if node.update_error]
    yield RolloutState.UPDATING, RolloutReason.PROVING, [node for node in able if not cluster.needs_write(node)]
    yield RolloutState.WAITING, RolloutReason.UNKNOWN, [node for node in to_write if node.current is None]
    yield RolloutState.UPDATING, RolloutReason.WRITING, to_write
    yield RolloutState.WAITING, RolloutReason.UNREACHABLE, [node for node in unsettled if not node.is_reachable]
    yield RolloutState.WAITING, RolloutReason.BUSY, [node for node in unsettled if node.is_busy]


def _leftovers(cluster: RolloutInput) -> Iterator[_Finding]:
    """Yield machines that have not joined, and drifted nodes."""
    unjoined = [node for node in cluster.nodes if not node.has_joined]
    yield RolloutState.WAITING, RolloutReason.STUCK, [node for node in unjoined if node.is_stuck]
    yield RolloutState.UPDATING, RolloutReason.JOINING, unjoined
    yield RolloutState.DRIFTED, RolloutReason.DRIFTED, [node for node in cluster.nodes if cluster.stays_drifted(node)]
