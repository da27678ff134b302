"""Full collections of garbage stay short, and nothing is lost by that."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from trustplane.kube.collector import LONG, Sparing, sparing


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """Something that a garbage collector looks at."""


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def collection(spare: Sparing, clock: Clock, *, seconds: float, generation: int = 2) -> None:
    spare("start", {"generation": generation})
    clock.now += seconds
    spare("stop", {"generation": generation})


def test_what_survived_a_long_collection_is_not_looked_at_again() -> None:
    clock = Clock()
    collection(Sparing(clock), clock, seconds=LONG * 2)
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(("seconds", "generation"), [(LONG / 2, 2), (LONG * 2, 1)])
def test_short_collections_change_nothing(seconds: float, generation: int) -> None:
    before, clock = gc.get_freeze_count(), Clock()
    collection(Sparing(clock), clock, seconds=seconds, generation=generation)
    assert gc.get_freeze_count() == before


def test_garbage_that_comes_later_is_collected() -> None:
    clock = Clock()
    collection(Sparing(clock), clock, seconds=LONG * 2)
    one = Kept()
    one.itself = one  # type: ignore[attr-defined]
    seen = weakref.ref(one)
    del one
    gc.collect()
    assert seen() is None


def test_afterwards_the_collector_is_as_before() -> None:
    before = list(gc.callbacks)
    with sparing():
        assert len(gc.callbacks) == len(before) + 1
    assert gc.callbacks == before
    assert gc.get_freeze_count() == 0
