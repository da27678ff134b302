import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube.pace import Pace

REST = 10.0
CHANGES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=400)  # seconds between changes


def busy() -> Pace:
    """Return the pace of a reader that has just ended a watch with a hundred changes in a second."""
    pace = Pace(rest=REST)
    pace.begin(0.0)
    assert [pace.count(n / 100) for n in range(100)] == [False] * 99 + [True]
    assert pace.end(1.0) == REST
    return pace


def test_few_changes_are_watched_continuously() -> None:
    pace = Pace(rest=REST)
    assert 45 <= pace.begin(0.0) <= 63
    assert not any(pace.count(n / 4) for n in range(200))
    assert pace.end(50.0) == 0.0


def test_many_changes_lead_to_short_watches_with_rests() -> None:
    pace = busy()
    assert pace.begin(11.0) == 1
    assert not any(pace.count(11.5) for _ in range(500))
    assert pace.end(12.0) == REST


@pytest.mark.parametrize(("changes", "rest"), [(54, 0.0), (56, REST)])
def test_changes_during_the_rest_decide_whether_changes_are_still_many(changes: int, rest: float) -> None:
    pace = busy()
    pace.begin(11.0)
    for _ in range(changes):
        pace.count(11.0)
    assert pace.end(12.0) == rest
    assert (pace.begin(12.0) > 1) is (rest == 0.0)


def test_the_watch_after_an_interrupted_one_counts_its_changes() -> None:
    pace = busy()
    pace.begin(11.0)
    assert pace.begin(20.0) == 1
    for _ in range(200):
        pace.count(20.0)
    assert pace.end(21.0) == REST


@given(CHANGES)
def test_without_a_rest_setting_there_is_never_a_rest(steps: list[float]) -> None:
    pace, now = Pace(), 0.0
    pace.begin(now)
    for step in steps:
        now += step
        assert not pace.count(now)
    assert pace.end(now) == 0.0


@given(CHANGES, st.floats(2, 600))
def test_a_watch_ends_before_the_idle_limit(steps: list[float], idle: float) -> None:
    pace, now = Pace(idle, REST), 0.0
    for step in steps:
        now += step
        assert 1 <= pace.begin(now) < idle
        if pace.count(now):
            assert pace.end(now) == REST
