"""Events out of conditions: what `kubectl describe` tells as a story, each turn once."""

from collections.abc import Collection, Sequence

from trustplane.api.conditions import FALSE, TRUST_CURRENT, TRUST_UPDATING
from trustplane.api.meta import Condition, Object
from trustplane.kube.events import Recorder


def changed_conditions(
    before: Sequence[Condition], after: Sequence[Condition], types: Collection[str]
) -> list[Condition]:
    """Return the conditions of those types that say something else than before."""
    old = {one.type: _said(one) for one in before}
    return [one for one in after if one.type in types and old.get(one.type) != _said(one)]


def _said(one: Condition) -> tuple[str, str, str]:
    """Return what a turn of the story is; what an update waits for is none of its own."""
    return one.status, one.reason, "" if one.reason == TRUST_UPDATING else one.message


async def record_events(recorder: Recorder, regarding: Object, conditions: Sequence[Condition]) -> None:
    """Record an event for each condition, named by its type and reason, such as `TrustCurrentHeld`."""
    for one in conditions:
        await recorder.event(regarding, f"{one.type}{one.reason}", one.message, warning=is_warning(one))


def is_warning(one: Condition) -> bool:
    """Tell whether somebody should act: what is False, but for trust that waits for the next update as it should."""
    return one.status == FALSE and one.type != TRUST_CURRENT
