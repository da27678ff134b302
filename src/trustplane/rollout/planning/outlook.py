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
    return tuple(sorted(one.name for one in nodes))


def outlook(seen: Observed, *, writes: Sequence[Node] = (), limited: Sequence[Node] = ()) -> Outlook:
    """Return the first state that applies: writes in progress, then missing nodes, then leftovers.

    Args:
        seen: The cluster.
        writes: Nodes whose write starts now.
        limited: Nodes held back by the write limits.
    """
    written = [*writes, *(one for one in seen.nodes if one.is_written)]
    if written:
        return Outlook(State.UPDATING, Reason.WRITING, names(written))
    if limited:
        return Outlook(State.WAITING, Reason.LIMITED, names(limited))
    for state, reason, nodes in (*_missing(seen), *_left(seen)):
        if nodes:
            return Outlook(state, reason, names(nodes))
    if boot_set(seen) is not None:
        return Outlook(State.UPDATING, Reason.BOOT_SET)
    return Outlook(State.CURRENT, Reason.UP_TO_DATE if seen.nodes else Reason.NO_NODES)


_Finding = tuple[State, Reason, Sequence[Node]]


def _missing(seen: Observed) -> Iterator[_Finding]:
    """Yield nodes without the wanted set, or with an unproven one."""
    open_ = [one for one in seen.nodes if one.joined and not seen.is_settled(one) and not seen.is_left_drifted(one)]
    waited = [one for one in open_ if one.takes_part]
    to_write = [one for one in waited if seen.needs_write(one)]
    yield State.WAITING, Reason.FAILING, [one for one in to_write if one.failing]
    yield State.UPDATING, Reason.PROVING, [one for one in waited if not seen.needs_write(one)]
    yield State.WAITING, Reason.UNKNOWN, [one for one in to_write if one.holds is None]
    yield State.UPDATING, Reason.WRITING, to_write
    yield State.WAITING, Reason.UNREACHABLE, [one for one in open_ if not one.reachable]
    yield State.WAITING, Reason.BUSY, [one for one in open_ if one.busy]


def _left(seen: Observed) -> Iterator[_Finding]:
    """Yield machines that have not joined, and drifted nodes."""
    unjoined = [one for one in seen.nodes if not one.joined]
    yield State.WAITING, Reason.STUCK, [one for one in unjoined if one.stuck]
    yield State.UPDATING, Reason.JOINING, unjoined
    yield State.DRIFTED, Reason.DRIFTED, [one for one in seen.nodes if seen.is_left_drifted(one)]
