"""A local copy of one kind's objects, kept current by list and watch.

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
from trustplane.kube.splitting import Identity, WatchEvent, identity_of
from trustplane.kube.transport import weight
from trustplane.text import clean

T = TypeVar("T")

_SLICE = 100  # objects of a list that are decoded, or told to listeners, before other tasks have their turn

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Change(Generic[T]):
    """One object before and after; `old` is None for a new one, `new` for a deleted one."""

    key: Key
    old: T | None
    new: T | None


class Unreadable(NamedTuple):
    """An object that is there and cannot be read."""

    identity: Identity
    why: str


class Listed(NamedTuple, Generic[T]):
    """A whole list: what could be read of it, and which of its objects could not."""

    objects: Mapping[Key, T]
    unreadable: Mapping[Key, Any]


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


def _key(identity: Identity) -> Key:
    return Key(identity.namespace, identity.name)


def _shown(identity: Identity) -> str:
    return clean(str(_key(identity)), 512)


class _Identity(NamedTuple):
    uid: str
    version: str


def _identity(found: Any) -> _Identity:
    metadata = metadata_of(found)
    return _Identity(metadata.uid, metadata.resource_version)


class _Budget:
    """How much is kept, by weight; what is beyond is left out."""

    def __init__(self, most: int | None) -> None:
        self._is_counted = most is not None
        self._share = share_for(most, most or 0)
        self._sizes: dict[Key, int] = {}

    def take(self, key: Key, item: msgspec.Raw, found: object = None) -> bool:
        """Keep an object, if there is room for it: what was read of it, where that is less than all of it."""
        if not self._is_counted:
            return True
        size = _weight_of(item, found)
        if not self._share.hold(self._share.held - self._sizes.get(key, 0) + size):
            return False
        self._sizes[key] = size
        return True

    def give_back(self, key: Key) -> None:
        """Keep an object no longer, if it is kept."""
        self._share.hold(self._share.held - self._sizes.pop(key, 0))

    def close(self) -> None:
        """Keep nothing any longer."""
        self._sizes.clear()
        self._share.close()


def _weight_of(item: msgspec.Raw, found: object) -> int:
    if isinstance(found, msgspec.Struct):
        with contextlib.suppress(msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return weight(msgspec.json.encode(found))
    return weight(item)


@dataclass(frozen=True)
class _Listing(Generic[T]):
    """A list as it is being read."""

    objects: dict[Key, T]
    unreadable: dict[Key, Unreadable]
    budget: _Budget


def _every(_: object) -> bool:
    return True


def _ignore(_: object) -> None:
    return


def _now() -> float:
    return asyncio.get_running_loop().time()


class Informer(Generic[T]):
    """Lists a kind page by page, then watches it from there; recovers from whatever happens to the server.

    An object that cannot be decoded is set aside: it is in `unreadable`, `report` is told, and what comes beside it and
    after it arrives. Its last known state stays, for it has not been deleted; a Controller leaves it alone meanwhile.
    Of a stranger's server no more is kept than the client allows; what is beyond is as good as absent.

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
        self.unreadable: dict[Key, Unreadable] = {}
        self.report: Callable[[Unreadable], None] = _ignore  # must not raise
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._page = page
        self._backoff = backoff or Backoff(most=30.0)
        self._pace = pace or Pace()
        self._keep = keep or _every
        self._budget = _Budget(client.most_kept)
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
        """Have a function called with each change from now on, after the copy has it. What it raises is logged."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the copy current until cancelled."""
        try:
            while True:
                cause = await self._follow()
                WATCH_RESTARTS.labels(str(self.resource), cause).inc()
                rest = self._pace.end(_now()) if cause == "end" else 0.0
                self._failures += 1
                await asyncio.sleep(rest or self._backoff.seconds(self._failures))
        finally:
            self._budget.close()

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
        listed: _Listing[T] = _Listing({}, {}, _Budget(self._client.most_kept))
        spare = listed.budget
        try:
            version = await self._read(listed)
            for number, change in enumerate(differences(self._objects, Listed(listed.objects, listed.unreadable))):
                self._store(change)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            self.unreadable, self._budget, spare = listed.unreadable, listed.budget, self._budget
        finally:
            spare.close()
        UNREADABLE.labels(str(self.resource)).set(len(self.unreadable))
        self._version = version
        self.synced.set()

    async def _read(self, listed: "_Listing[T]") -> str:
        """Read the whole list; return its version."""
        version = ""
        pages = self._client.pages(self.resource, self._namespace, labels=self._labels, limit=self._page)
        async with aclosing(pages):
            async for page in pages:
                version = page.version
                for number, item in enumerate(page.items, 1):
                    if not self._sort(item, listed) or number % _SLICE == 0:
                        await asyncio.sleep(0)
        return version

    def _sort(self, item: msgspec.Raw, listed: "_Listing[T]") -> bool:
        """Put one object of a list to those that are kept, or to those that cannot be read (which takes long).

        Returns:
            Whether it could be read.
        """
        try:
            found = self.resource.decode(item)
            if self._keep(found) and listed.budget.take(key_of(found), item, found):
                listed.objects[key_of(found)] = found
        except UnreadableError as error:
            identity = identity_of(item)
            if listed.budget.take(_key(identity), item):
                listed.unreadable[_key(identity)] = self._set_aside(identity, error)
            return False
        return True

    def _set_aside(self, identity: Identity, error: UnreadableError) -> Unreadable:
        found, before = Unreadable(identity, error.why), self.unreadable.get(_key(identity))
        if found != before:
            log.error("object skipped", resource=str(self.resource), key=_shown(identity), error=str(error))
            self.report(found)
        return found

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
                await asyncio.sleep(0)  # lines that have arrived already are read without any wait
                if self._pace.count(_now()):
                    return

    def _take(self, event: WatchEvent) -> None:
        identity = identity_of(event.object)
        if event.type != "BOOKMARK":
            self._take_object(event, identity)
        if identity.version:  # else the next event has one
            self._version = identity.version
        self._failures = 0

    def _take_object(self, event: WatchEvent, identity: Identity) -> None:
        key = _key(identity)
        self._budget.give_back(key)
        try:
            found = None if event.type == "DELETED" else self.resource.decode(event.object)
            is_kept = found is not None and self._keep(found) and self._budget.take(key, event.object, found)
        except UnreadableError as error:
            if self._budget.take(key, event.object):
                self.unreadable[key] = self._set_aside(identity, error)
        else:
            self.unreadable.pop(key, None)
            old, new = self._objects.get(key), found if is_kept else None
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
                # A mistake of ours, which the other listeners, and all objects but this one, are spared.
                LISTENER_ERRORS.labels(str(self.resource)).inc()
                log.exception("change not taken", resource=str(self.resource), key=str(change.key))
