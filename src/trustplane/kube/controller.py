"""The controller runtime: keys out of informers' changes, through a queue, into a reconcile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import structlog

from trustplane.errors import TransientError, TrustplaneError
from trustplane.kube.backoff import Backoff
from trustplane.kube.informer import Change, Informer
from trustplane.kube.metrics import QUEUE_DEPTH, RECONCILE_SECONDS, RECONCILES
from trustplane.kube.queue import Queue, QueueClosedError
from trustplane.kube.resource import Key, key_of
from trustplane.kube.tasks import first

T = TypeVar("T")

log = structlog.get_logger(__name__)

_UNREADABLE_SECONDS: Final = 60.0  # between looks at a key whose object cannot be read; its change wakes us at once


@dataclass(frozen=True)
class Result:
    """What a reconcile asks for.

    Args:
        requeue_after: seconds until the key is reconciled again; 0: only when something changes.
    """

    requeue_after: float = 0.0


def own_key(found: Any) -> Iterable[Key]:
    """Wake the object's own key."""
    return [key_of(found)]


def always(_: object) -> bool:
    """Let every change matter."""
    return True


@dataclass(frozen=True)
class Watch(Generic[T]):
    """Which objects wake which keys.

    Args:
        informer: whose changes.
        keys: the keys that one object concerns. It is asked about the object before and after a change.
        matters: whether a change concerns anybody; such as one of the status that was just written does not.
    """

    informer: Informer[T]
    keys: Callable[[T], Iterable[Key]] = own_key
    matters: Callable[[Change[T]], bool] = always


class Controller:
    """Calls `reconcile` for each key that something woke; never twice at a time for one key.

    A reconcile that raises is retried with backoff and counted; it never ends the process. A key whose own object is
    there but cannot be read is not reconciled: as it was last known it may be wrong, and it must not seem deleted.

    Args:
        name: in logs and metrics.
        reconcile: makes one object as it should be. It reads the state afresh, and may be cancelled at any await.
        watches: what wakes which keys.
        workers: how many keys are reconciled at a time.
        backoff: after a reconcile that raised.
        close: Awaited when `run` ends: ends what reconciles have started and left running.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[Key], Awaitable[Result]],
        watches: Sequence[Watch[Any]],
        *,
        workers: int = 4,
        backoff: Backoff | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._close = close
        self._reconcile = reconcile
        self._watches = watches
        self._workers = workers
        self._queue: Queue[Key] = Queue(backoff)
        QUEUE_DEPTH.labels(name).set_function(lambda: len(self._queue))
        for watch in watches:
            watch.informer.subscribe(self._waker(watch))

    def wake(self, key: Key, *, after: float = 0.0) -> None:
        """Have a key reconciled for a reason that no informer sees.

        Args:
            key: which.
            after: seconds from now, so that many reasons become one reconcile.
        """
        if after:
            self._queue.add_after(key, after)
        else:
            self._queue.add(key)

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile until `stop` is set; what is being reconciled then is finished first."""
        if not await first(stop.wait(), self._synced()):
            return
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._workers):
                    workers.create_task(self._work())
                await stop.wait()
                self._queue.close()
        finally:
            if self._close:
                await self._close()

    async def _synced(self) -> None:
        for watch in self._watches:
            await watch.informer.synced.wait()

    def _waker(self, watch: Watch[Any]) -> Callable[[Change[Any]], None]:
        def wake(change: Change[Any]) -> None:
            for found in (change.old, change.new) if watch.matters(change) else ():
                if found is not None:
                    self._wake_all(watch, found)

        return wake

    def _wake_all(self, watch: Watch[Any], found: Any) -> None:
        try:
            for key in watch.keys(found):
                self._queue.add(key)
        except Exception:
            # An informer has other listeners, who must not miss the change for this one's mistake.
            log.exception("no key for an object", controller=self.name, object=str(key_of(found)))

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except QueueClosedError:
                return
            try:
                await self._process(key)
            finally:
                self._queue.done(key)
            # Many reconciles find that nothing is to be done, and never wait: other tasks have their turn here.
            await asyncio.sleep(0)

    def _is_unreadable(self, key: Key) -> bool:
        return any(key in one.informer.unreadable for one in self._watches if one.keys is own_key)

    async def _process(self, key: Key) -> None:
        if self._is_unreadable(key):
            RECONCILES.labels(self.name, "unreadable").inc()
            self._queue.forget(key)
            self._queue.add_after(key, _UNREADABLE_SECONDS)
            return
        started = time.monotonic()
        try:
            result = await self._reconcile(key)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever a reconcile raises, the others go on; only a cancelled worker ends.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            RECONCILES.labels(self.name, "error").inc()
            self._report(key, error, self._queue.retry(key))
        else:
            RECONCILES.labels(self.name, "success").inc()
            self._queue.forget(key)
            if result.requeue_after > 0:
                self._queue.add_after(key, result.requeue_after)
        finally:
            RECONCILE_SECONDS.labels(self.name).observe(time.monotonic() - started)

    def _report(self, key: Key, error: BaseException, seconds: float) -> None:
        fields = {"controller": self.name, "key": str(key), "retry_in": round(seconds, 1)}
        if isinstance(error, TransientError):
            log.info("reconcile postponed", error=str(error), **fields)
        elif isinstance(error, TrustplaneError):
            log.warning("reconcile failed", error=str(error), **fields)
        else:
            log.error("reconcile failed", exc_info=error, **fields)
