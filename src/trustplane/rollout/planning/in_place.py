"""Writing on running nodes: one first, the others when that one has proven the set, the control plane one by one. Pure.

A node that fails to be written although it answers is not passed over as the first one, and holds the others of the
control plane up: the set may be the cause, and the next one would fare no better. One that does not answer, or that
somebody else works on, holds up nobody.
"""

from collections.abc import Sequence

from trustplane.rollout.planning import unreachable
from trustplane.rollout.planning.observed import Canary, Node, Observed
from trustplane.rollout.planning.outlook import Outlook, names, outlook
from trustplane.rollout.planning.steps import Plan, Reason, State


def in_place(seen: Observed) -> Plan:
    """Return whom to write now, and whom to replace since they cannot be written."""
    return _rest(seen) if _is_open(seen) else _first(seen)


def _is_open(seen: Observed) -> bool:
    """Tell whether the first node has said what there is to say, or nobody is to be written anyway."""
    canary = _recorded(seen)
    is_told = seen.is_proven or (canary is not None and seen.is_settled(canary))
    return is_told or not any(one.takes_part and seen.needs_write(one) for one in seen.nodes)


def _recorded(seen: Observed) -> Node | None:
    if seen.canary is None or seen.canary.digest != seen.wanted:
        return None
    return next((one for one in seen.nodes if one.name == seen.canary.machine), None)


def _first(seen: Observed) -> Plan:
    able = [one for one in seen.nodes if one.takes_part and not seen.is_left_drifted(one)]
    recorded = _recorded(seen)
    canary = recorded if recorded in able else min(able, key=lambda one: _preference(seen, one))
    is_due = _is_due(seen, canary) and not (canary.control_plane and _is_control_plane_written(seen))
    found = _of_canary(seen, canary, is_limited=is_due and not seen.room)
    return Plan(
        state=found.state,
        reason=found.reason,
        machines=found.machines,
        elect=_election(seen, canary),
        write=(canary.name,) if is_due and seen.room else (),
    )


def _preference(seen: Observed, node: Node) -> tuple[bool, bool, bool, bool, str]:
    """Prefer one that can prove the set, then one that has it already, then a worker, then one that works."""
    return (not seen.is_asked(node), seen.needs_write(node), node.control_plane, bool(node.failing), node.name)


def _of_canary(seen: Observed, canary: Node, *, is_limited: bool) -> Outlook:
    machines = (canary.name,)
    if not seen.needs_write(canary):
        return Outlook(State.UPDATING, Reason.PROVING, machines)
    if is_limited:
        return Outlook(State.WAITING, Reason.LIMITED, machines)
    if canary.failing:
        return Outlook(State.WAITING, Reason.FAILING, machines)
    return Outlook(State.UPDATING, Reason.CANARY, machines)


def _rest(seen: Observed) -> Plan:
    workers = [one for one in seen.nodes if not one.control_plane and _is_due(seen, one)]
    control_plane = _next_of_control_plane(seen)
    # Those that failed last come last, so that they take nobody's place.
    due = sorted([*control_plane, *workers], key=lambda one: (bool(one.failing), not one.control_plane, one.name))
    chosen = due[: seen.room]
    alone = next((one for one in chosen if one.control_plane), None)
    found = outlook(seen, writes=chosen, limited=due[seen.room :])
    return Plan(
        state=found.state,
        reason=found.reason,
        machines=found.machines,
        elect=_election(seen, alone) if alone else None,
        write=names(chosen),
        delete=unreachable.to_delete(seen),
        remediate=unreachable.to_remediate(seen),
    )


def _next_of_control_plane(seen: Observed) -> Sequence[Node]:
    """Return the one that may be written now; none while another one is being written, has not proven or has failed."""
    members = [one for one in seen.nodes if one.control_plane and one.takes_part and not seen.is_left_drifted(one)]
    if _is_control_plane_written(seen):
        return ()
    if any(not seen.needs_write(one) and not seen.is_settled(one) for one in members):
        return ()
    recorded = _recorded(seen)
    due = [one for one in members if seen.needs_write(one)]
    chosen = min(due, key=lambda one: (one != recorded, not one.failing, one.name), default=None)
    return (chosen,) if chosen is not None and _is_free(chosen) else ()


def _is_control_plane_written(seen: Observed) -> bool:
    """Tell whether one of the control plane is being written, perhaps with a set that was wanted before."""
    return any(one.control_plane and one.is_written for one in seen.nodes)


def _election(seen: Observed, node: Node) -> Canary | None:
    canary = Canary(node.name, seen.wanted)
    return None if canary == seen.canary else canary


def _is_due(seen: Observed, node: Node) -> bool:
    return node.takes_part and seen.needs_write(node) and _is_free(node)


def _is_free(node: Node) -> bool:
    return not node.writing and not node.resting
