"""The fleet's limit is kept, used fully, and shared evenly."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trustplane.rollout.execution.fairness import share_writes

clusters = st.sampled_from("abcdef")
counts = st.dictionaries(clusters, st.integers(0, 8))


def test_a_small_cluster_gets_its_share_beside_a_large_one() -> None:
    assert share_writes({"large": 100, "small": 1}, 10, {}) == {"large": 9, "small": 1}


def test_a_cluster_with_many_writes_waits_for_the_others() -> None:
    assert share_writes({"a": 5, "b": 5}, 10, {"a": 6}) == {"a": 0, "b": 4}


def test_a_single_write_rotates_between_clusters() -> None:
    wishes = dict.fromkeys("abc", 5)
    last, served = "", Counter[str]()
    for _ in range(9):
        last = next(name for name, count in share_writes(wishes, 1, {}, after=last).items() if count)
        served[last] += 1
    assert served == Counter(a=3, b=3, c=3)


@given(counts, st.integers(0, 20), counts, clusters | st.just(""))
def test_the_limit_is_kept_and_used_fully(
    wishes: dict[str, int], limit: int, running: dict[str, int], after: str
) -> None:
    granted = share_writes(wishes, limit, running, after=after)
    free = max(0, limit - sum(running.values()))
    assert granted.keys() == wishes.keys()
    assert all(0 <= granted[name] <= wish for name, wish in wishes.items())
    assert sum(granted.values()) == min(free, sum(wishes.values()))


@given(counts, st.integers(0, 20), counts, clusters | st.just(""))
def test_clusters_with_fewer_writes_come_first(
    wishes: dict[str, int], limit: int, running: dict[str, int], after: str
) -> None:
    granted = share_writes(wishes, limit, running, after=after)
    load = {name: running.get(name, 0) + granted[name] for name in wishes}
    wanting = [load[name] for name in wishes if granted[name] < wishes[name]]
    assert all(load[name] <= min(wanting, default=load[name]) + 1 for name in wishes if granted[name])


@given(counts, st.integers(0, 20), counts)
def test_the_order_of_clusters_does_not_matter(wishes: dict[str, int], limit: int, running: dict[str, int]) -> None:
    assert share_writes(dict(reversed(wishes.items())), limit, running) == share_writes(wishes, limit, running)
