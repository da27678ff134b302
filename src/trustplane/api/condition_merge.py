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
    return [msgspec.structs.replace(one, last_transition_time=_since(list(old), one, now)) for one in new]


def _since(old: list[Condition], one: Condition, now: datetime) -> datetime:
    before = condition(old, one.type)
    if before and before.status == one.status and before.last_transition_time:
        return before.last_transition_time
    return now


def to_json(conditions: Sequence[Condition]) -> list[Json]:
    """Return conditions for a status, with every field that metav1.Condition requires."""
    return [_json(one) for one in conditions]


def _json(one: Condition) -> Json:
    required = {"status": one.status, "reason": one.reason, "message": one.message[:MAX_MESSAGE]}
    changed = one.last_transition_time
    time = {"lastTransitionTime": timestamp(changed)} if changed else {}
    return {**msgspec.to_builtins(one), **required, **time}


def timestamp(time: datetime) -> str:
    """Return a time as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
