"""Conditions for a status: merged with the current ones, in the form of metav1.Condition."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from trustplane.api.meta import Condition, Json, condition

MAX_MESSAGE = 32768  # metav1.Condition

ConditionT = TypeVar("ConditionT", bound=Condition)


def merge(old: Sequence[Condition], new: Sequence[ConditionT], now: datetime) -> list[ConditionT]:
    """Return the new conditions. A condition with an unchanged status keeps the time of its last change.

    Old conditions of other types are dropped.
    """
    return [msgspec.structs.replace(item, last_transition_time=_since(list(old), item, now)) for item in new]


def _since(old: list[Condition], new: Condition, now: datetime) -> datetime:
    before = condition(old, new.type)
    if before and before.status == new.status and before.last_transition_time:
        return before.last_transition_time
    return now


def to_json(conditions: Sequence[Condition]) -> list[Json]:
    """Return conditions for a status, with every field that metav1.Condition requires."""
    return [_json(item) for item in conditions]


def _json(item: Condition) -> Json:
    required = {"status": item.status, "reason": item.reason, "message": item.message[:MAX_MESSAGE]}
    changed = item.last_transition_time
    time = {"lastTransitionTime": timestamp(changed)} if changed else {}
    return {**msgspec.to_builtins(item), **required, **time}


def timestamp(time: datetime) -> str:
    """Return a time as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
