"""What there is to say about a rollout when it is known what is done: its state, and whom it waits for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trustplane.trust.rollout.boot import boot_set
from trustplane.trust.rollout.observed import Node, Observed
from trustplane.trust.rollout.steps import Reason, State


class Outlook(NamedTuple):
    """Where a rollout is, why, and which machines that is about."""

    state: State
    reason: Reason
    machines: tuple[str, ...] = ()


def names(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the names of machines in the order of the alphabet."""
    return tuple(sorted(one.name for one in nodes))


def outlook(seen: Observed, *, writes: Sequence[Node] = (), limited: Sequence[Node] = ()) -> Outlook:
    """Return where a rollout is: the first that applies of what is under way, what is missing and what is left.

    Args:
        seen: The cluster.
        writes: Whose write begins now.
        limited: Who would be written now, were it not for the limits.
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
    """Nodes that have something else than the set, or have not proven it though they could."""
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
    """Machines that have not joined, and nodes whose files were changed."""
    unjoined = [one for one in seen.nodes if not one.joined]
    yield State.WAITING, Reason.STUCK, [one for one in unjoined if one.stuck]
    yield State.UPDATING, Reason.JOINING, unjoined
    yield State.DRIFTED, Reason.DRIFTED, [one for one in seen.nodes if seen.is_left_drifted(one)]
