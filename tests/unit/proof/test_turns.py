"""Places for probes: shared by registries, few for those that answer nobody, and every probe has its turn."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trustplane.proof.turns import ProbeSlots

HOSTS = [f"r{number}" for number in range(6)]


def begun(turns: ProbeSlots[str]) -> list[str]:
    return list(iter(turns.begin, None))  # type: ignore[arg-type]


def test_registries_have_the_same_number_of_places() -> None:
    turns = ProbeSlots([(host, host) for host in ("a",) * 50 + ("b",) * 50], places=10)
    assert Counter(begun(turns)) == {"a": 5, "b": 5}
    turns.end("a", answered=True)
    assert begun(turns) == ["a"]


def test_a_registry_alone_has_all_places() -> None:
    assert len(begun(ProbeSlots([("a", "a")] * 50, places=10))) == 10


def test_those_of_a_registry_begin_in_their_order() -> None:
    assert begun(ProbeSlots([("a", "first"), ("a", "second")], places=2)) == ["first", "second"]


def test_a_registry_that_answers_nobody_has_a_quarter_of_the_places_until_it_answers() -> None:
    turns = ProbeSlots([("dead", "dead")] * 50, places=8, silent={"dead"})
    assert len(begun(turns)) == 2
    turns.end("dead", answered=True)
    assert len(begun(turns)) == 7


def test_that_it_answers_nobody_is_noticed_during_a_run() -> None:
    turns = ProbeSlots([("dead", "dead")] * 50 + [("good", "good")] * 50, places=8)
    assert Counter(begun(turns)) == {"dead": 4, "good": 4}
    for _ in range(4):
        turns.end("dead", answered=False)
        assert begun(turns) == ["dead"]
    turns.end("dead", answered=False)
    assert begun(turns) == ["good"]


@given(
    st.lists(st.sampled_from(HOSTS), max_size=80),
    st.integers(1, 16),
    st.sets(st.sampled_from(HOSTS)),
    st.randoms(use_true_random=False),
)
def test_everyone_has_a_turn_and_the_dead_never_have_all_places(
    hosts: list[str], places: int, dead: set[str], chance: random.Random
) -> None:
    turns = ProbeSlots([(host, host) for host in hosts], places=places, silent=dead)
    done: list[str] = []
    running: list[str] = []
    while len(done) < len(hosts):
        running += begun(turns)
        assert running
        assert len(running) <= places
        assert sum(host in dead for host in running) <= max(1, places // 4)
        ended = running.pop(chance.randrange(len(running)))
        turns.end(ended, answered=ended not in dead)
        done.append(ended)
    assert Counter(done) == Counter(hosts)
    assert turns.begin() is None
