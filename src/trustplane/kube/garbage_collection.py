"""Short garbage collections in a process with a whole fleet in memory: a full one must not stall the event loop."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

LONG: Final = 0.02  # seconds; a full collection above this freezes its survivors
_FULL: Final = 2  # the oldest generation, traversed only by full collections


class FreezeSurvivors:
    """Exempts the survivors of a long full collection from later ones, which then check newer objects only.

    Survivors are in use at that moment, and reference counting still frees them later. Only survivors that become
    cyclic garbage leak; those are few, since a process replaces little of what it keeps.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Handle a callback of the collector, see `gc.callbacks`."""
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > LONG:
            gc.freeze()


@contextmanager
def short_collections() -> Iterator[None]:
    """Keep full collections short within the block."""
    callback = FreezeSurvivors()
    gc.callbacks.append(callback)
    try:
        yield
    finally:
        gc.callbacks.remove(callback)
        gc.unfreeze()
