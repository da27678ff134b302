"""Python's garbage collector in a process that keeps a whole fleet in memory: it must not stop all else."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

LONG: Final = 0.02  # seconds of a full collection
_FULL: Final = 2  # the oldest generation, which a full collection goes through


class Sparing:
    """Leaves alone what has survived a full collection that took long: the next one looks at what came since.

    What survived is in use at that moment, so that nothing is lost by this. Only what becomes a cycle of garbage later
    stays, as little as the process replaces of what it keeps: all else is freed by its reference count, as ever.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Take a call of the collector, see `gc.callbacks`."""
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > LONG:
            gc.freeze()


@contextmanager
def sparing() -> Iterator[None]:
    """Keep full collections short for the length of the block."""
    callback = Sparing()
    gc.callbacks.append(callback)
    try:
        yield
    finally:
        gc.callbacks.remove(callback)
        gc.unfreeze()
