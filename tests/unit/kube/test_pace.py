import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube.pace import Pace

REST = 10.0
CHANGES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=400)  # seconds from each to the next


def busy() -> Pace:
    """Return the pace of a reader that has just left a watch in which a hundred changes came within a second."""
    pace = Pace(rest=REST)
    pace.begin(0.0)
    assert [pace.count(n / 100) for n in range(100)] == [False] * 99 + [True]
    assert pace.end(1.0) == REST
    return pace


def test_few_changes_are_read_as_they_come() -> None:
    pace = Pace(rest=REST)
    assert 45 <= pace.begin(0.0) <= 63
    assert not any(pace.count(n / 4) for n in range(200))
    assert pace.end(50.0) == 0.0


def test_a_watch_with_many_changes_is_left_for_short_ones_with_rests() -> None:
    pace = busy()
    assert pace.begin(11.0) == 1
    assert not any(pace.count(11.5) for _ in range(500))
    assert pace.end(12.0) == REST


@pytest.mark.parametrize(("changes", "rest"), [(54, 0.0), (56, REST)])
def test_what_happened_during_the_rest_tells_whether_changes_are_still_many(changes: int, rest: float) -> None:
    pace = busy()
    pace.begin(11.0)
    for _ in range(changes):
        pace.count(11.0)
    assert pace.end(12.0) == rest
    assert (pace.begin(12.0) > 1) is (rest == 0.0)


def test_a_watch_that_broke_off_is_made_up_for_by_the_next_one() -> None:
    pace = busy()
    pace.begin(11.0)
    assert pace.begin(20.0) == 1
    for _ in range(200):
        pace.count(20.0)
    assert pace.end(21.0) == REST


@given(CHANGES)
def test_who_asks_for_no_rest_never_rests(steps: list[float]) -> None:
    pace, now = Pace(), 0.0
    pace.begin(now)
    for step in steps:
        now += step
        assert not pace.count(now)
    assert pace.end(now) == 0.0


@given(CHANGES, st.floats(2, 600))
def test_a_watch_ends_before_the_server_is_held_to_be_dead(steps: list[float], idle: float) -> None:
    pace, now = Pace(idle, REST), 0.0
    for step in steps:
        now += step
        assert 1 <= pace.begin(now) < idle
        if pace.count(now):
            assert pace.end(now) == REST
