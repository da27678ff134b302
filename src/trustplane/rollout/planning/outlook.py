"""Summarise a rollout: its state, the reason, and the machines it waits for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trustplane.rollout.planning.boot import boot_set
from trustplane.rollout.planning.observed import Node, Observed
from trustplane.rollout.planning.steps import Reason, State


class Outlook(NamedTuple):
    """State and reason of a rollout, and the machines concerned."""

    state: State
    reason: Reason
    machines: tuple[str, ...] = ()


def names(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the sorted names of machines."""
    return tuple(sorted(node.name for node in nodes))


def outlook(cluster: Observed, *, writes: Sequence[Node] = (), limited: Sequence[Node] = ()) -> Outlook:
    """Return the first state that applies: writes in progress, then missing nodes, then leftovers.

    Args:
        cluster: The cluster.
        writes: Nodes whose write starts now.
        limited: Nodes held back by the write limits.
    """
    written = [*writes, *(node for node in cluster.nodes if node.is_written)]
    if written:
        return Outlook(State.UPDATING, Reason.WRITING, names(written))
    if limited:
        return Outlook(State.WAITING, Reason.LIMITED, names(limited))
    for state, reason, nodes in (*_missing(cluster), *_leftovers(cluster)):
        if nodes:
            return Outlook(state, reason, names(nodes))
    if boot_set(cluster) is not None:
        return Outlook(State.UPDATING, Reason.BOOT_SET)
    return Outlook(State.CURRENT, Reason.UP_TO_DATE if cluster.nodes else Reason.NO_NODES)


_Finding = tuple[State, Reason, Sequence[Node]]


def _missing(cluster: Observed) -> Iterator[_Finding]:
    """Yield nodes that lack the set in force or have not proven it."""
    unsettled = [
        node
        for node in cluster.nodes
        if node.joined and not cluster.is_settled(node) and not cluster.is_left_drifted(node)
    ]
    able = [node for node in unsettled if node.takes_part]
    to_write = [node for node in able if cluster.needs_write(node)]
    yield State.WAITING, Reason.FAILING, [node for node in to_write if node.failing]
    yield State.UPDATING, Reason.PROVING, [node for node in able if not cluster.needs_write(node)]
    yield State.WAITING, Reason.UNKNOWN, [node for node in to_write if node.holds is None]
    yield State.UPDATING, Reason.WRITING, to_write
    yield State.WAITING, Reason.UNREACHABLE, [node for node in unsettled if not node.reachable]
    yield State.WAITING, Reason.BUSY, [node for node in unsettled if node.busy]


def _leftovers(cluster: Observed) -> Iterator[_Finding]:
    """Yield machines that have not joined, and drifted nodes."""
    unjoined = [node for node in cluster.nodes if not node.joined]
    yield State.WAITING, Reason.STUCK, [node for node in unjoined if node.stuck]
    yield State.UPDATING, Reason.JOINING, unjoined
    yield State.DRIFTED, Reason.DRIFTED, [node for node in cluster.nodes if cluster.is_left_drifted(node)]
