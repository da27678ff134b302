"""Unreadable objects: each is set aside alone, and everything else keeps working."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.kube.servers import head, kubeconfig, serving

from trustplane.controllers import resources
from trustplane.kube.backoff import Backoff
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import UnreadableError
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import CONFIG_MAPS
from trustplane.kube.manager import Manager
from trustplane.kube.resource import Key, Resource

DEEP = "[" * 50_000 + "]" * 50_000  # beyond every Python's recursion limit: 3.11 about 1,000, 3.13 about 10,000
SOON = Backoff(first=0.01, most=0.05)
KINDS = [value for value in vars(resources).values() if isinstance(value, Resource)]


def obj(name: str, version: int, rest: str = "", metadata: str = "") -> str:
    uid = f'"uid":"{name}","resourceVersion":"{version}"'
    return f'{{"metadata":{{"name":"{name}","namespace":"team",{uid}{metadata}}}{rest}}}'


STRANGE = {
    "nesting": {"rest": f',"spec":{DEEP},"data":{DEEP}'},
    "nested metadata": {"metadata": f',"labels":{DEEP}'},
    "a null label": {"metadata": ',"labels":{"a":null}'},
    "labels of another type": {"metadata": ',"labels":7'},
    "an invalid date": {"metadata": ',"creationTimestamp":"2001-99-99T00:00:00Z"'},
    "a date out of range": {"metadata": ',"creationTimestamp":"99999-01-01T00:00:00Z"'},
    "digits": {"metadata": f',"generation":{"9" * 5000}'},
    "invalid text": {"metadata": ',"labels":{"a":"\\ud800"}'},
}


class Server:
    """An in-memory API server for one kind: a list, and the events of its watches."""

    def __init__(self, *items: str) -> None:
        self.items = list(items)
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.watches: list[str] = []  # start version of each watch
        self.written: list[str] = []

    async def answer(self, request: str, writer: asyncio.StreamWriter) -> None:
        if request.startswith(("POST", "PATCH")):
            self.written.append(request)
            writer.write(head("201 Created", Content_Length=2) + b"{}")
        elif "watch=true" in request:
            self.watches.append(re.findall(r"resourceVersion=(\w*)", request)[0])
            writer.write(head("200 OK"))
            while True:
                writer.write((await self.events.get()).encode() + b"\n")
                await writer.drain()
        else:
            body = f'{{"metadata":{{"resourceVersion":"5"}},"items":[{",".join(self.items)}]}}'.encode()
            writer.write(head("200 OK", Content_Length=len(body)) + body)

    def send(self, type_: str, item: str) -> None:
        self.events.put_nowait(f'{{"type":"{type_}","object":{item}}}')


class Followed:
    """A running informer and its changes."""

    def __init__(self, informer: Informer[Any]) -> None:
        self.informer = informer
        self.changes: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        informer.subscribe(self._notice)

    def _notice(self, change: Change[Any]) -> None:
        what = "deleted" if change.new is None else "added" if change.old is None else "changed"
        self.changes.append((change.key.name, what))
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("kind", [resources.CLUSTERS, CONFIG_MAPS], ids=str)
async def test_list_and_watch_continue_despite_an_unreadable_object(kind: Any, strange: dict[str, str]) -> None:
    bad, server = obj("bad", 4, **strange), Server()
    if _is_readable(kind, bad):
        pytest.skip("this kind does not read that field")
    server.items = [obj("first", 1), bad, obj("last", 3)]
    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        followed = Followed(Informer(client, kind, backoff=SOON))
        task = asyncio.create_task(followed.informer.run())
        await followed.until(followed.informer.synced.is_set)
        assert followed.changes == [("first", "added"), ("last", "added")]
        assert followed.informer.unreadable.keys() == {Key("team", "bad")}

        server.send("MODIFIED", obj("worse", 6, **strange))
        server.send("MODIFIED", obj("first", 7, **strange))
        server.send("ADDED", obj("after", 8))
        await followed.until(lambda: ("after", "added") in followed.changes)
        assert followed.informer.unreadable.keys() == {Key("team", name) for name in ("bad", "worse", "first")}
        assert followed.informer.get(Key("team", "first")), "it was not deleted"
        assert ("first", "deleted") not in followed.changes

        server.send("MODIFIED", obj("first", 9))
        server.send("DELETED", obj("bad", 10, **strange))
        server.send("DELETED", obj("last", 11, **strange))
        await followed.until(lambda: ("last", "deleted") in followed.changes)
        assert ("first", "changed") in followed.changes
        assert followed.informer.unreadable.keys() == {Key("team", "worse")}
        assert server.watches == ["5"]
        task.cancel()


def _is_readable(kind: Resource[Any], text: str) -> bool:
    try:
        kind.decode(text.encode())
    except UnreadableError:
        return False
    return True


async def test_a_watch_continues_after_an_unidentifiable_object() -> None:
    server = Server()
    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        followed = Followed(Informer(client, CONFIG_MAPS, backoff=SOON))
        task = asyncio.create_task(followed.informer.run())
        server.send("ADDED", f'{{"metadata":{DEEP}}}')
        server.send("ADDED", "7")
        server.send("ADDED", obj("after", 8))
        await followed.until(lambda: followed.changes == [("after", "added")])
        task.cancel()


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_no_unreadable_object_ends_the_manager(kind: Resource[Any]) -> None:
    deep = ',"spec":{},"status":{}'.replace("{}", f'{{"x":{DEEP}}}')
    server = Server(obj("good", 1), obj("bad", 2, deep))
    reconciled: asyncio.Queue[str] = asyncio.Queue()

    async def reconcile(key: Key) -> Result:
        reconciled.put_nowait(key.name)
        return Result()

    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        manager, stop = Manager(client), asyncio.Event()
        manager.add(Controller("c", reconcile, [Watch(manager.informer(kind))]))
        task = asyncio.create_task(manager.run(stop))
        async with asyncio.timeout(10):
            assert await reconciled.get() == "good"
            server.send("MODIFIED", obj("bad", 6, deep))
            server.send("MODIFIED", obj("worse", 7, deep))
            server.send("ADDED", obj("other", 8))
            assert await reconciled.get() == "other"
            while len(server.written) < 3:  # noqa: ASYNC110  the Events
                await asyncio.sleep(0.02)
        assert not task.done()
        stop.set()
        await task
    assert reconciled.empty()


async def test_an_unreadable_object_is_not_reconciled_until_it_is_readable() -> None:
    deep = f',"spec":{{"x":{DEEP}}}'
    server = Server(obj("shop", 1))
    reconciled: asyncio.Queue[str] = asyncio.Queue()

    async def reconcile(key: Key) -> Result:
        reconciled.put_nowait(key.name)
        return Result()

    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        manager, stop = Manager(client), asyncio.Event()
        clusters = manager.informer(resources.CLUSTERS)
        controller = Controller("c", reconcile, [Watch(clusters)])
        manager.add(controller)
        task = asyncio.create_task(manager.run(stop))
        async with asyncio.timeout(10):
            assert await reconciled.get() == "shop"
            server.send("MODIFIED", obj("shop", 6, deep))
            server.send("ADDED", obj("other", 7))
            assert await reconciled.get() == "other"
            controller.wake(Key("team", "shop"))
            server.send("ADDED", obj("third", 8))
            assert await reconciled.get() == "third"
            server.send("MODIFIED", obj("shop", 9))
            assert await reconciled.get() == "shop"
        stop.set()
        await task


async def test_an_object_with_too_much_structure_gets_a_page_of_its_own() -> None:
    spec = f',"spec":{"[" * 2000}{"[1,[" * 150_000}{"]" * 302_000}'
    items = [obj(f"a{n}", n) for n in range(20)]
    items[7] = obj("bad", 7, spec)
    limits = []

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        if "watch=true" in request:
            await asyncio.Event().wait()
        limit = int(re.findall(r"limit=(\d+)", request)[0])
        start = int((re.findall(r"continue=(\d+)", request) or ["0"])[0])
        limits.append(limit)
        end = start + limit if start + limit < len(items) else ""
        metadata = f'{{"resourceVersion":"50","continue":"{end}"}}'
        body = f'{{"metadata":{metadata},"items":[{",".join(items[start : start + limit])}]}}'.encode()
        writer.write(head("200 OK", Content_Length=len(body)) + body)

    async with serving(answer) as url, Client.open(kubeconfig(url)) as client:
        followed = Followed(Informer(client, CONFIG_MAPS, backoff=SOON))
        task = asyncio.create_task(followed.informer.run())
        await followed.until(followed.informer.synced.is_set)
        assert [name for name, _ in followed.changes] == [f"a{n}" for n in range(20) if n != 7]
        assert followed.informer.unreadable.keys() == {Key("team", "bad")}
        assert (limits[0], min(limits)) == (500, 1)
        assert limits[-1] > 1, "larger again after the object"
        assert len(limits) < 20
        task.cancel()


async def test_the_copy_of_a_tenants_server_is_limited() -> None:
    rest = f',"data":{json.dumps({"a": "x" * 1000})}'
    server = Server(*(obj(f"a{n}", n, rest) for n in range(30)), *(obj(f"b{n}", n, f',"x":{DEEP}') for n in range(9)))
    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        client.most_kept = 24_000
        followed = Followed(Informer(client, CONFIG_MAPS, backoff=SOON))
        task = asyncio.create_task(followed.informer.run())
        await followed.until(followed.informer.synced.is_set)
        assert 10 < len(followed.informer.items()) < 15
        kept = followed.changes[0][0]
        server.send("ADDED", obj("new", 40, rest))
        server.send("DELETED", obj(kept, 41))
        server.send("ADDED", obj("newer", 42, rest))
        await followed.until(lambda: ("newer", "added") in followed.changes)
        assert ("new", "added") not in followed.changes
        task.cancel()


async def test_a_failing_listener_does_not_affect_others() -> None:
    server = Server(obj("a", 1), obj("b", 2))
    async with serving(server.answer) as url, Client.open(kubeconfig(url)) as client:
        informer = Informer(client, CONFIG_MAPS, backoff=SOON)
        informer.subscribe(lambda _: 1 // 0)  # type: ignore[arg-type,return-value]
        followed = Followed(informer)
        task = asyncio.create_task(informer.run())
        await followed.until(lambda: len(followed.changes) == 2)
        task.cancel()
