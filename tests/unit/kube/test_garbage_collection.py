"""Full garbage collections stay short and still free later garbage."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from trustplane.kube.garbage_collection import LONG, FreezeSurvivors, short_collections


class Clock:
    """Returns a time set by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Tracked:
    """An object tracked by the garbage collector."""


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def collection(callback: FreezeSurvivors, clock: Clock, *, seconds: float, generation: int = 2) -> None:
    callback("start", {"generation": generation})
    clock.now += seconds
    callback("stop", {"generation": generation})


def test_survivors_of_a_long_collection_are_frozen() -> None:
    clock = Clock()
    collection(FreezeSurvivors(clock), clock, seconds=LONG * 2)
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(("seconds", "generation"), [(LONG / 2, 2), (LONG * 2, 1)])
def test_short_collections_change_nothing(seconds: float, generation: int) -> None:
    before, clock = gc.get_freeze_count(), Clock()
    collection(FreezeSurvivors(clock), clock, seconds=seconds, generation=generation)
    assert gc.get_freeze_count() == before


def test_later_garbage_is_collected() -> None:
    clock = Clock()
    collection(FreezeSurvivors(clock), clock, seconds=LONG * 2)
    cycle = Tracked()
    cycle.itself = cycle  # type: ignore[attr-defined]
    reference = weakref.ref(cycle)
    del cycle
    gc.collect()
    assert reference() is None


def test_the_collector_is_restored_after_the_block() -> None:
    before = list(gc.callbacks)
    with short_collections():
        assert len(gc.callbacks) == len(before) + 1
    assert gc.callbacks == before
    assert gc.get_freeze_count() == 0
