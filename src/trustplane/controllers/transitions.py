"""Events from condition changes: the history shown by `kubectl describe`, one Event per change."""

from collections.abc import Collection, Sequence

from trustplane.api.conditions import FALSE, TRUST_CURRENT, TRUST_UPDATING
from trustplane.api.meta import Condition, Object
from trustplane.kube.events import Recorder


def changed_conditions(
    before: Sequence[Condition], after: Sequence[Condition], types: Collection[str]
) -> list[Condition]:
    """Return the conditions of these types whose content changed."""
    old = {condition.type: _content(condition) for condition in before}
    return [
        condition for condition in after if condition.type in types and old.get(condition.type) != _content(condition)
    ]


def _content(condition: Condition) -> tuple[str, str, str]:
    """Return the fields whose change deserves an Event; the progress message of an update does not."""
    message = "" if condition.reason == TRUST_UPDATING else condition.message
    return condition.status, condition.reason, message


async def record_events(recorder: Recorder, regarding: Object, conditions: Sequence[Condition]) -> None:
    """Record an Event per condition; its reason is type and reason of the condition, such as `TrustCurrentHeld`."""
    for condition in conditions:
        reason = f"{condition.type}{condition.reason}"
        await recorder.event(regarding, reason, condition.message, warning=is_warning(condition))


def is_warning(condition: Condition) -> bool:
    """Return whether a user should act: the status is False, unless trust regularly waits for the next update."""
    return condition.status == FALSE and condition.type != TRUST_CURRENT
