"""Replacing machines: the boot set first, then the control plane, then the pools one by one. Pure.

Progress is judged by what machines hold. One whose set is not known is never the cause of a roll: were it not known of
the next one either, machines would be replaced without end.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from trustplane.rollout.planning.observed import Node, Observed
from trustplane.rollout.planning.outlook import Outlook, names, outlook
from trustplane.rollout.planning.steps import Plan, Reason, State

CONTROL_PLANE: Final = ""  # the name of its group


def replace(seen: Observed) -> Plan:
    """Return which group to roll now."""
    if not seen.is_boot_set:
        return Plan(state=State.UPDATING, reason=Reason.BOOT_SET)
    for group, nodes in _groups(seen):
        held = _held(seen, nodes)
        if held is not None:
            return Plan(
                state=held.state,
                reason=held.reason,
                machines=held.machines,
                roll=group if any(_is_due(seen, one) for one in nodes) else None,
            )
    alone = [one for one in seen.nodes if _is_alone(one) and _is_old(seen, one)]
    if alone:
        return Plan(state=State.WAITING, reason=Reason.ALONE, machines=names(alone))
    found = outlook(seen)
    return Plan(state=found.state, reason=found.reason, machines=found.machines)


def _groups(seen: Observed) -> Iterator[tuple[str, Sequence[Node]]]:
    """Return the control plane, then the pools by name."""
    pooled = [one for one in seen.nodes if not _is_alone(one)]
    nodes = sorted(pooled, key=lambda one: (not one.control_plane, one.group, one.name))
    for (control_plane, group), members in groupby(nodes, key=lambda one: (one.control_plane, one.group)):
        yield CONTROL_PLANE if control_plane else group, list(members)


def _held(seen: Observed, nodes: Sequence[Node]) -> Outlook | None:
    """Return why no further group may begin; None where it may."""
    unjoined = [one for one in nodes if not one.joined]
    stuck = [one for one in unjoined if one.stuck]
    asked = [one for one in nodes if one.takes_part and seen.has_wanted(one) and not seen.is_settled(one)]
    reasons = (
        (State.UPDATING, Reason.ROLLING, [one for one in nodes if _is_old(seen, one)]),
        (State.WAITING, Reason.STUCK, stuck),
        (State.UPDATING, Reason.JOINING, unjoined),
        (State.UPDATING, Reason.PROVING, asked),
    )
    return next((Outlook(state, reason, names(found)) for state, reason, found in reasons if found), None)


def _is_alone(node: Node) -> bool:
    """Tell whether a machine belongs to no group, so that nothing rolls it."""
    return not node.control_plane and not node.group


def _is_old(seen: Observed, node: Node) -> bool:
    return node.holds is not None and node.holds != seen.wanted


def _is_due(seen: Observed, node: Node) -> bool:
    return _is_old(seen, node) and not node.leaving and not node.busy
