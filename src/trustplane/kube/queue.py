"""A work queue of keys: one worker per key, coalescing, delays, backoff.

The rules are those of client-go's workqueue: a key added many times while waiting is processed once; a key added while
being processed is processed again afterwards, never concurrently.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from trustplane.kube.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class QueueClosedError(Exception):
    """The queue is closed and yields no more keys."""


class Queue(Generic[K]):
    """Keys waiting for a worker. Belongs to one event loop; only `get` waits.

    A worker calls `get`, processes the key, calls `retry` or `forget` and optionally `add_after`, and ends with `done`.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # added and not yet taken: ready, or due again after the current processing
        self._processing: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._takers: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Return the number of keys waiting for a worker, without delayed ones."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Queue a key for the next free worker."""
        if self._closed or key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._processing:
            self._put(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key after a delay, or earlier if it is added by then; the earliest of several delays counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= when:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def retry(self, key: K) -> float:
        """Queue a failed key again after a backoff; return its seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = self._backoff.seconds(self._failures[key])
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Reset the backoff of a key after a success."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Take the longest-waiting key; `done` must follow.

        Raises:
            QueueClosedError: the queue was closed.
        """
        while not self._ready and not self._closed:
            await self._wait()
        if self._closed:
            raise QueueClosedError
        key = self._ready.popleft()
        self._waiting.remove(key)
        self._processing.add(key)
        # The processing decides when the key is due again.
        if timer := self._timers.pop(key, None):
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """End the processing of a key; queue it again if it was added during it."""
        self._processing.remove(key)
        if key in self._waiting:
            self._put(key)

    def close(self) -> None:
        """Drop all keys and delays and stop the workers: `get` raises from now on."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        self._waiting.clear()
        while self._takers:
            self._wake()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def _put(self, key: K) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    async def _wait(self) -> None:
        taker = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        try:
            await taker
        except asyncio.CancelledError:
            if taker.done() and not taker.cancelled():
                self._wake()  # woken and cancelled in the same step: pass the key on to another taker
            raise
