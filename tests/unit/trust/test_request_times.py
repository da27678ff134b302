"""A new request counts now, whatever is scheduled and however clocks differ."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trustplane.trust.entries import EMPTY_SET, ParsedList
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import SET_UNDONE, PropagationInput, PropagationRecord, UndoPin, decide_propagation
from trustplane.trust.recorded import MAX_CLOCK_SKEW
from trustplane.trust.request_times import next_request_time

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)  # by the manager's clock
TICK = timedelta(microseconds=1)

ages = st.timedeltas(timedelta(), timedelta(days=30))
skews = st.timedeltas(timedelta(), MAX_CLOCK_SKEW)
pasts = st.none() | ages.map(lambda age: NOW - age)
schedules = st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=30)).map(lambda ahead: NOW + ahead), max_size=2)


def situation(handled: datetime | None, *requests: datetime) -> PropagationInput:
    """Return the input for a cluster with the desired set in force."""
    return PropagationInput(
        record=PropagationRecord(digest=EMPTY_SET.digest, handled_at=handled),
        in_force=EMPTY_SET,
        service=ParsedList(),
        last_good=EMPTY_SET,
        own=None,
        policy=Policy(requests=requests),
        first_customized_at=None,
        update_digests={},
        now=NOW,
    )


def is_taken(at: PropagationInput) -> bool:
    """Return whether the manager handles a request now: it records a later one as handled."""
    decision = decide_propagation(at)
    assert decision.record is not None
    assert at.record is not None
    return decision.record.handled_at != at.record.handled_at


@given(handled=pasts, scheduled=schedules, behind=ages)
def test_an_update_takes_effect_now_and_once(
    handled: datetime | None, scheduled: list[datetime], behind: timedelta
) -> None:
    at = next_request_time(NOW - behind, handled=handled)
    then = replace(situation(handled, at, *scheduled), now=NOW + TICK)
    decision = decide_propagation(then)
    assert decision.record is not None
    assert decision.record.handled_at == at
    assert not is_taken(replace(then, record=decision.record))


def test_a_scheduled_request_takes_effect_at_its_time() -> None:
    due = NOW + timedelta(days=7)
    waiting = situation(None, due)
    assert not is_taken(waiting)
    assert is_taken(replace(waiting, now=due))


@given(handled=pasts, requested=st.none() | ages.map(lambda age: NOW - age), scheduled=schedules, behind=skews)
def test_an_undo_is_not_ended_by_an_earlier_or_scheduled_request(
    handled: datetime | None, requested: datetime | None, scheduled: list[datetime], behind: timedelta
) -> None:
    at = next_request_time(NOW - behind, handled=handled, requested=requested)
    policy = Policy(requests=(*((requested,) if requested else ()), *scheduled))
    pin = UndoPin.parse(UndoPin("a" * 64, at).encode(), policy.due_request(NOW))
    assert pin is not None
    later = next_request_time(max(at, NOW), handled=handled) + TICK
    assert UndoPin.parse(pin.encode(), Policy(requests=(later,)).due_request(later)) is None


def test_a_scheduled_update_ends_an_undo_at_its_time() -> None:
    due = NOW + timedelta(days=7)
    pin = UndoPin(EMPTY_SET.digest, next_request_time(NOW, requested=due))
    undone = replace(situation(None, due), pin=pin, pinned=EMPTY_SET)
    decision = decide_propagation(undone)
    assert (decision.reason, decision.wait_until) == (SET_UNDONE, due)
    assert UndoPin.parse(pin.encode(), undone.policy.due_request(due)) is None


@given(now=ages.map(lambda age: NOW - age), handled=pasts, ahead=st.timedeltas(-MAX_CLOCK_SKEW, timedelta(days=30)))
def test_a_request_is_now_or_directly_after_the_last_one(
    now: datetime, handled: datetime | None, ahead: timedelta
) -> None:
    at = next_request_time(now, handled=handled, requested=now + ahead)
    assert at >= now
    assert handled is None or at > handled
    assert (at > now + ahead) == (ahead <= MAX_CLOCK_SKEW or (handled is not None and handled >= now + ahead))


def test_the_first_request_is_now() -> None:
    assert next_request_time(NOW) == NOW
