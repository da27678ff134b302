"""How long an event loop was blocked, and by which callback."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TICK = 0.01


@dataclass
class Blocks:
    """The longest block of each kind so far, in seconds of wall-clock time."""

    gap: float = 0.0  # between two runs of a task that sleeps for `TICK`, minus `TICK`
    callback: float = 0.0
    cpu: float = 0.0  # of one callback, in CPU time of this thread: other processes do not count
    what: str = ""  # that callback
    collection: float = 0.0  # of the garbage collector

    def forget(self) -> None:
        """Reset."""
        self.gap = self.callback = self.cpu = self.collection = 0.0
        self.what = ""


@contextmanager
def watched() -> Iterator[Blocks]:
    """Watch the running loop during the block."""
    found, run = Blocks(), asyncio.Handle._run
    collecting = 0.0

    def timed(handle: Any) -> None:
        began, used = time.perf_counter(), time.thread_time()
        run(handle)
        took, used = time.perf_counter() - began, time.thread_time() - used
        found.callback = max(found.callback, took)
        if used > found.cpu:
            found.cpu, found.what = used, _name(handle)

    def collected(phase: str, _: object) -> None:
        nonlocal collecting
        now = time.perf_counter()
        if phase == "stop":
            found.collection = max(found.collection, now - collecting)
        collecting = now

    asyncio.Handle._run = timed  # type: ignore[method-assign]
    gc.callbacks.append(collected)
    ticker = asyncio.get_running_loop().create_task(_tick(found))
    try:
        yield found
    finally:
        ticker.cancel()
        gc.callbacks.remove(collected)
        asyncio.Handle._run = run  # type: ignore[method-assign]


async def _tick(found: Blocks) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        found.gap = max(found.gap, now - last - TICK)
        last = now


def _name(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if callback is not None and isinstance(task, asyncio.Task):
        return str(getattr(task.get_coro(), "__qualname__", task))
    return str(getattr(callback, "__qualname__", callback))
