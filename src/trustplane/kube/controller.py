"""The controller runtime: turns informer changes into keys, queues them, and reconciles each key."""

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

_UNREADABLE_SECONDS: Final = 60.0  # between checks of a key whose object is unreadable; a change wakes it sooner


@dataclass(frozen=True)
class Result:
    """The outcome of a reconcile.

    Args:
        requeue_after: seconds until the key is reconciled again; 0: only after the next change.
    """

    requeue_after: float = 0.0


def own_key(obj: Any) -> Iterable[Key]:
    """Wake the object's own key."""
    return [key_of(obj)]


def always(_: object) -> bool:
    """Return True for every change."""
    return True


@dataclass(frozen=True)
class Watch(Generic[T]):
    """The keys woken by an informer's changes.

    Args:
        informer: the source of changes.
        keys: maps an object to the keys to reconcile; called with the object before and after a change.
        matters: whether a change needs a reconcile; a status just written by Trustplane does not.
    """

    informer: Informer[T]
    keys: Callable[[T], Iterable[Key]] = own_key
    matters: Callable[[Change[T]], bool] = always


class Controller:
    """Calls `reconcile` for each woken key; never concurrently for the same key.

    A failed reconcile is counted and retried with backoff; it never ends the process. A key whose own object exists but
    is unreadable is not reconciled: its last known state may be wrong, and it must not appear deleted.

    Args:
        name: in logs and metrics.
        reconcile: brings one object closer to its desired state. Reads current state; cancellable at any await.
        watches: the sources of keys.
        workers: keys reconciled concurrently.
        backoff: between failed reconciles of one key.
        close: awaited when `run` ends; ends background work that reconciles started.
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
        """Queue a key for a reason outside the informers.

        Args:
            key: the key to reconcile.
            after: seconds from now; a delay merges many wake-ups into one reconcile.
        """
        if after:
            self._queue.add_after(key, after)
        else:
            self._queue.add(key)

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile until `stop` is set, then finish the reconciles in progress."""
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
            for obj in (change.old, change.new) if watch.matters(change) else ():
                if obj is not None:
                    self._wake_all(watch, obj)

        return wake

    def _wake_all(self, watch: Watch[Any], obj: Any) -> None:
        try:
            for key in watch.keys(obj):
                self._queue.add(key)
        except Exception:
            # The informer's other listeners must still get the change.
            log.exception("cannot map object to keys", controller=self.name, object=str(key_of(obj)))

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
            # A reconcile with nothing to do never awaits; yield to other tasks here.
            await asyncio.sleep(0)

    def _is_unreadable(self, key: Key) -> bool:
        return any(key in watch.informer.unreadable for watch in self._watches if watch.keys is own_key)

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
            # A worker survives any error of a reconcile; only its own cancellation ends it.
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
