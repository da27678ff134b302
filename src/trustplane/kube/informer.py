"""A local copy of one kind's objects, kept current by list and watch.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import structlog

from trustplane.errors import TrustplaneError
from trustplane.kube.backoff import Backoff
from trustplane.kube.client import PAGE, Client, WatchEvent
from trustplane.kube.errors import GoneError, UnreadableError
from trustplane.kube.metrics import UNREADABLE, WATCH_RESTARTS
from trustplane.kube.pace import Pace
from trustplane.kube.resource import Key, Resource, key_of, metadata_of

T = TypeVar("T")

_SLICE = 200  # changes of a list that listeners are told of before other tasks have their turn

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Change(Generic[T]):
    """One object before and after; `old` is None for a new one, `new` for a deleted one."""

    key: Key
    old: T | None
    new: T | None


class Listed(NamedTuple, Generic[T]):
    """A whole list: what could be read of it, and which of its objects could not."""

    objects: Mapping[Key, T]
    unreadable: Mapping[Key, str]


def differences(known: Mapping[Key, T], listed: Listed[T]) -> list[Change[T]]:
    """Tell what happened between two lists.

    An object that was replaced by another of its name is a deletion and a creation. An object that is there but cannot
    be read stays as it was last known: it has not been deleted.
    """
    changes: list[Change[T]] = []
    for key, new in listed.objects.items():
        old = known.get(key)
        if old is None or _identity(old).uid == _identity(new).uid:
            if old is None or _identity(old) != _identity(new):
                changes.append(Change(key, old, new))
        else:
            changes += [Change(key, old, None), Change(key, None, new)]
    gone = known.keys() - listed.objects.keys() - listed.unreadable.keys()
    return changes + [Change(key, known[key], None) for key in sorted(gone)]


class _Identity(NamedTuple):
    uid: str
    version: str


def _identity(found: Any) -> _Identity:
    metadata = metadata_of(found)
    return _Identity(metadata.uid, metadata.resource_version)


def _every(_: object) -> bool:
    return True


def _now() -> float:
    return asyncio.get_running_loop().time()


class Informer(Generic[T]):
    """Lists a kind page by page, then watches it from there; recovers from whatever happens to the server.

    An object that cannot be decoded is reported and skipped: its last known state stays.

    Args:
        client: to the API server.
        resource: the kind.
        namespace: one namespace, or empty for all.
        labels: a label selector.
        page: objects in one page of a list.
        backoff: between attempts that fail.
        pace: how long it watches, and whether it rests while changes are many; of this informer alone.
        keep: objects that it denies are as good as absent, so that no memory is spent on them; None: all are kept.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[T],
        *,
        namespace: str = "",
        labels: str = "",
        page: int = PAGE,
        backoff: Backoff | None = None,
        pace: Pace | None = None,
        keep: Callable[[T], bool] | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.unreadable: dict[Key, str] = {}
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._page = page
        self._backoff = backoff or Backoff(most=30.0)
        self._pace = pace or Pace()
        self._keep = keep or _every
        self._objects: dict[Key, T] = {}
        self._listeners: list[Callable[[Change[T]], None]] = []
        self._version = ""  # of the last object or bookmark seen; empty: list first
        self._failures = 0  # in a row, without anything received in between

    @property
    def is_current(self) -> bool:
        """Whether the server answered when it was last asked, so that the copy is worth its age."""
        return self.synced.is_set() and self._failures <= 1  # a watch that ended well counts as one

    def get(self, key: Key) -> T | None:
        """Return an object as last seen, or None where it is not known."""
        return self._objects.get(key)

    def items(self) -> list[T]:
        """Return all objects as last seen."""
        return list(self._objects.values())

    def subscribe(self, listener: Callable[[Change[T]], None]) -> None:
        """Have a function called with each change from now on, after the copy has it. It must not raise."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the copy current until cancelled."""
        while True:
            cause = await self._follow()
            WATCH_RESTARTS.labels(str(self.resource), cause).inc()
            rest = self._pace.end(_now()) if cause == "end" else 0.0
            self._failures += 1
            await asyncio.sleep(rest or self._backoff.seconds(self._failures))

    async def _follow(self) -> str:
        """List where there is no version to go on from, then watch; return why the watch ended."""
        try:
            if not self._version:
                await self._list()
            await self._watch()
        except GoneError:
            self._version = ""  # what was missed is found by the list's differences, deletions included
            return "gone"
        except TrustplaneError as error:
            log.warning("watch interrupted", resource=str(self.resource), error=str(error))
            return "error"
        self._failures = 0
        return "end"

    async def _list(self) -> None:
        objects: dict[Key, T] = {}
        unreadable: dict[Key, str] = {}
        version = ""
        pages = self._client.pages(self.resource, self._namespace, labels=self._labels, limit=self._page)
        async with aclosing(pages):
            async for page in pages:
                version = page.version
                self._decode(page.items, objects, unreadable)
        for number, change in enumerate(differences(self._objects, Listed(objects, unreadable))):
            self._store(change)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        self.unreadable = unreadable
        UNREADABLE.labels(str(self.resource)).set(len(unreadable))
        self._version = version
        self.synced.set()

    def _decode(self, items: Iterable[msgspec.Raw], objects: dict[Key, T], unreadable: dict[Key, str]) -> None:
        for item in items:
            try:
                found = self.resource.decode(item)
                if self._keep(found):
                    objects[key_of(found)] = found
            except UnreadableError as error:
                unreadable[self._report(item, error)] = error.why

    def _report(self, item: msgspec.Raw, error: UnreadableError) -> Key:
        key = key_of(self.resource.decode_stub(item))
        log.error("object skipped", resource=str(self.resource), key=str(key), error=str(error))
        return key

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource,
            self._namespace,
            version=self._version,
            labels=self._labels,
            seconds=self._pace.begin(_now()),
            idle=self._pace.idle,
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)
                if self._pace.count(_now()):
                    return

    def _take(self, event: WatchEvent) -> None:
        stub = self.resource.decode_stub(event.object)
        if event.type != "BOOKMARK":
            self._take_object(event, key_of(stub))
        self._version = stub.metadata.resource_version
        self._failures = 0

    def _take_object(self, event: WatchEvent, key: Key) -> None:
        old = self._objects.get(key)
        self.unreadable.pop(key, None)
        try:
            found = None if event.type == "DELETED" else self.resource.decode(event.object)
            new = found if found is not None and self._keep(found) else None
            if old is not None or new is not None:
                self._store(Change(key, old, new))
        except UnreadableError as error:
            self.unreadable[self._report(event.object, error)] = error.why
        UNREADABLE.labels(str(self.resource)).set(len(self.unreadable))

    def _store(self, change: Change[T]) -> None:
        if change.new is None:
            del self._objects[change.key]
        else:
            self._objects[change.key] = change.new
        for listener in self._listeners:
            listener(change)
