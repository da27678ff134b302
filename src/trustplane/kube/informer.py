"""Informer: a local copy of one kind's objects, kept current by list and watch.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import structlog

from trustplane.errors import TrustplaneError
from trustplane.kube.backoff import Backoff
from trustplane.kube.budget import share_for
from trustplane.kube.client import PAGE, Client
from trustplane.kube.errors import GoneError, UnreadableError
from trustplane.kube.metrics import LISTENER_ERRORS, UNREADABLE, WATCH_RESTARTS
from trustplane.kube.pace import Pace
from trustplane.kube.resource import Key, Resource, key_of, metadata_of
from trustplane.kube.splitting import Identity, WatchEvent, read_identity
from trustplane.kube.transport import weight
from trustplane.text import clean

T = TypeVar("T")

_SLICE = 100  # listed objects decoded, or changes delivered to listeners, before yielding to other tasks

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Change(Generic[T]):
    """One object before and after; `old` is None for a new object, `new` for a deleted one."""

    key: Key
    old: T | None
    new: T | None


class Unreadable(NamedTuple):
    """An existing object that cannot be decoded."""

    identity: Identity
    why: str


class ListResult(NamedTuple, Generic[T]):
    """A complete list: its objects by key, and its unreadable objects by key."""

    objects: Mapping[Key, T]
    unreadable: Mapping[Key, Any]


def differences(known: Mapping[Key, T], listed: ListResult[T]) -> list[Change[T]]:
    """Return the changes between the known objects and a new list.

    An object replaced by another of the same name yields a deletion and a creation. An unreadable object keeps its last
    known state: it has not been deleted.
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


def _key(identity: Identity) -> Key:
    return Key(identity.namespace, identity.name)


def _display_key(identity: Identity) -> str:
    return clean(str(_key(identity)), 512)


class _Identity(NamedTuple):
    uid: str
    version: str


def _identity(obj: Any) -> _Identity:
    metadata = metadata_of(obj)
    return _Identity(metadata.uid, metadata.resource_version)


class _Budget:
    """Weight of the kept objects, with a limit; objects beyond the limit are dropped."""

    def __init__(self, most: int | None) -> None:
        self._is_counted = most is not None
        self._share = share_for(most, most or 0)
        self._sizes: dict[Key, int] = {}

    def reserve(self, key: Key, item: msgspec.Raw, obj: object = None) -> bool:
        """Account for an object and return whether it fits; `obj`, if smaller than `item`, is what counts."""
        if not self._is_counted:
            return True
        size = _weight_of(item, obj)
        if not self._share.hold(self._share.held - self._sizes.get(key, 0) + size):
            return False
        self._sizes[key] = size
        return True

    def release(self, key: Key) -> None:
        """Release an object's share, if it has one."""
        self._share.hold(self._share.held - self._sizes.pop(key, 0))

    def close(self) -> None:
        """Release everything."""
        self._sizes.clear()
        self._share.close()


def _weight_of(item: msgspec.Raw, obj: object) -> int:
    if isinstance(obj, msgspec.Struct):
        with contextlib.suppress(msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return weight(msgspec.json.encode(obj))
    return weight(item)


@dataclass(frozen=True)
class _PartialList(Generic[T]):
    """A list while its pages are being read."""

    objects: dict[Key, T]
    unreadable: dict[Key, Unreadable]
    budget: _Budget


def _keep_all(_: object) -> bool:
    return True


def _ignore(_: object) -> None:
    return


def _now() -> float:
    return asyncio.get_running_loop().time()


class Informer(Generic[T]):
    """Lists a kind page by page, then watches it; recovers from any server error.

    An object that cannot be decoded is set aside in `unreadable` and passed to `report`; other objects are unaffected.
    Its last known state stays, because it has not been deleted; a Controller skips it until it is readable again.
    The copy of a tenant's server is limited to the client's `most_kept`; objects beyond that are treated as absent.

    Args:
        client: to the API server.
        resource: the kind.
        namespace: one namespace, or empty for all.
        labels: a label selector.
        page: objects per page of a list.
        backoff: between failed attempts.
        pace: watch duration, and pauses while changes are frequent; not shared with other informers.
        keep: rejected objects are treated as absent and use no memory; None: keep all.
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
        self.unreadable: dict[Key, Unreadable] = {}
        self.report: Callable[[Unreadable], None] = _ignore  # must not raise
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._page = page
        self._backoff = backoff or Backoff(most=30.0)
        self._pace = pace or Pace()
        self._keep = keep or _keep_all
        self._budget = _Budget(client.most_kept)
        self._objects: dict[Key, T] = {}
        self._listeners: list[Callable[[Change[T]], None]] = []
        self._version = ""  # of the last object or bookmark received; empty: list first
        self._failures = 0  # consecutive, without an event in between

    @property
    def is_current(self) -> bool:
        """Whether the last request succeeded, and the copy therefore reflects the server."""
        return self.synced.is_set() and self._failures <= 1  # a watch that ended normally counts as one failure

    def get(self, key: Key) -> T | None:
        """Return the last known state of an object, or None if it is unknown."""
        return self._objects.get(key)

    def items(self) -> list[T]:
        """Return the last known state of all objects."""
        return list(self._objects.values())

    def subscribe(self, listener: Callable[[Change[T]], None]) -> None:
        """Call `listener` with each later change, after the copy contains it. Its exceptions are logged."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the copy current until cancelled."""
        try:
            while True:
                cause = await self._list_and_watch()
                WATCH_RESTARTS.labels(str(self.resource), cause).inc()
                rest = self._pace.end(_now()) if cause == "end" else 0.0
                self._failures += 1
                await asyncio.sleep(rest or self._backoff.seconds(self._failures))
        finally:
            self._budget.close()

    async def _list_and_watch(self) -> str:
        """List unless a version to resume from is known, then watch; return why the watch ended."""
        try:
            if not self._version:
                await self._list()
            await self._watch()
        except GoneError:
            self._version = ""  # the differences of the next list include missed deletions
            return "gone"
        except TrustplaneError as error:
            log.warning("watch interrupted", resource=str(self.resource), error=str(error))
            return "error"
        self._failures = 0
        return "end"

    async def _list(self) -> None:
        listed: _PartialList[T] = _PartialList({}, {}, _Budget(self._client.most_kept))
        spare = listed.budget
        try:
            version = await self._read_pages(listed)
            for number, change in enumerate(differences(self._objects, ListResult(listed.objects, listed.unreadable))):
                self._store(change)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            self.unreadable, self._budget, spare = listed.unreadable, listed.budget, self._budget
        finally:
            spare.close()
        UNREADABLE.labels(str(self.resource)).set(len(self.unreadable))
        self._version = version
        self.synced.set()

    async def _read_pages(self, listed: "_PartialList[T]") -> str:
        """Read all pages of the list; return its version."""
        version = ""
        pages = self._client.pages(self.resource, self._namespace, labels=self._labels, limit=self._page)
        async with aclosing(pages):
            async for page in pages:
                version = page.version
                for number, item in enumerate(page.items, 1):
                    if not self._add(item, listed) or number % _SLICE == 0:
                        await asyncio.sleep(0)
        return version

    def _add(self, item: msgspec.Raw, listed: "_PartialList[T]") -> bool:
        """Add one object of a list to the readable or the unreadable ones; the latter is slow.

        Returns:
            Whether the object is readable.
        """
        try:
            obj = self.resource.decode(item)
            if self._keep(obj) and listed.budget.reserve(key_of(obj), item, obj):
                listed.objects[key_of(obj)] = obj
        except UnreadableError as error:
            identity = read_identity(item)
            if listed.budget.reserve(_key(identity), item):
                listed.unreadable[_key(identity)] = self._set_aside(identity, error)
            return False
        return True

    def _set_aside(self, identity: Identity, error: UnreadableError) -> Unreadable:
        entry, before = Unreadable(identity, error.why), self.unreadable.get(_key(identity))
        if entry != before:
            log.error("object skipped", resource=str(self.resource), key=_display_key(identity), error=str(error))
            self.report(entry)
        return entry

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
                self._handle(event)
                await asyncio.sleep(0)  # reading buffered lines never yields by itself
                if self._pace.count(_now()):
                    return

    def _handle(self, event: WatchEvent) -> None:
        identity = read_identity(event.object)
        if event.type != "BOOKMARK":
            self._handle_object(event, identity)
        if identity.version:  # if unreadable, the next event provides one
            self._version = identity.version
        self._failures = 0

    def _handle_object(self, event: WatchEvent, identity: Identity) -> None:
        key = _key(identity)
        self._budget.release(key)
        try:
            obj = None if event.type == "DELETED" else self.resource.decode(event.object)
            is_kept = obj is not None and self._keep(obj) and self._budget.reserve(key, event.object, obj)
        except UnreadableError as error:
            if self._budget.reserve(key, event.object):
                self.unreadable[key] = self._set_aside(identity, error)
        else:
            self.unreadable.pop(key, None)
            old, new = self._objects.get(key), obj if is_kept else None
            if old is not None or new is not None:
                self._store(Change(key, old, new))
        UNREADABLE.labels(str(self.resource)).set(len(self.unreadable))

    def _store(self, change: Change[T]) -> None:
        if change.new is None:
            del self._objects[change.key]
        else:
            self._objects[change.key] = change.new
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                # A bug in one listener must not affect other listeners or other objects.
                LISTENER_ERRORS.labels(str(self.resource)).inc()
                log.exception("listener failed", resource=str(self.resource), key=str(change.key))
