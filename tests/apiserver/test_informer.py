"""The informer with a real API server that is killed, hangs, and compacts its history."""

import asyncio
import contextlib
import dataclasses
import json
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.apiserver.conftest import WIDGET_CRD, post

from trustplane.api.keys import Key, key_of
from trustplane.kube.backoff import Backoff
from trustplane.kube.client import Client
from trustplane.kube.errors import GoneError, UnavailableError, UnreadableError
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS
from trustplane.kube.pace import Pace
from trustplane.kube.resource import Resource

SOON = Backoff(first=0.05, most=0.2)


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def names(informer: Informer[Any]) -> list[str]:
    return sorted(key_of(one).name for one in informer.items())


def restarts(resource: Resource[Any], cause: str) -> float:
    labels = {"resource": str(resource), "cause": cause}
    return REGISTRY.get_sample_value("trustplane_watch_restarts_total", labels) or 0.0


async def restarted(resource: Resource[Any], cause: str, count: float) -> None:
    async with asyncio.timeout(20):
        while restarts(resource, cause) < count:  # noqa: ASYNC110  a counter has no event
            await asyncio.sleep(0.02)


def record(informer: Informer[Any]) -> list[tuple[str, str]]:
    """Record the calls of listeners from now on, as (name, change)."""
    told: list[tuple[str, str]] = []

    def listen(change: Change[Any]) -> None:
        what = "deleted" if change.new is None else "added" if change.old is None else "changed"
        told.append((change.key.name, what))

    informer.subscribe(listen)
    return told


async def change_all(client: Client, namespace: str) -> None:
    """Change `kept`, delete `gone`, replace `other` by another object with its name, add `new`."""
    await client.patch(CONFIG_MAPS, "kept", namespace, {"data": {"x": "2"}})
    await client.delete(CONFIG_MAPS, "gone", namespace)
    await client.delete(CONFIG_MAPS, "other", namespace)
    await client.create(CONFIG_MAPS, config_map(namespace, "other"))
    await client.create(CONFIG_MAPS, config_map(namespace, "new"))


@contextlib.asynccontextmanager
async def changed_while_down(
    apiserver: Any, namespace: str, *, compact: Callable[[], object] | None = None
) -> AsyncIterator[None]:
    """Change objects through another server while this one is down; it runs again when the body runs."""
    with apiserver.sibling() as other:
        apiserver.kill()
        async with Client.open(other.kubeconfig) as client:
            await change_all(client, namespace)
        if compact:
            compact()
        await asyncio.to_thread(apiserver.start)
        yield


@pytest.fixture
async def informer(client: Client, namespace: str, informing: Any) -> Informer[Any]:
    """An informer that has listed `kept`, `gone`, `other` and `same`."""
    for name in ("kept", "gone", "other", "same"):
        await client.create(CONFIG_MAPS, config_map(namespace, name, x="1"))
    informer = Informer(client, CONFIG_MAPS, namespace=namespace, page=3, backoff=SOON)
    await informing(informer)
    return informer


async def test_it_lists_in_pages_and_then_watches(
    client: Client, namespace: str, informer: Informer[Any], settled: Any
) -> None:
    assert names(informer) == ["gone", "kept", "other", "same"]
    told = record(informer)
    await change_all(client, namespace)
    await settled(informer, lambda: "new" in names(informer))
    assert told == [
        ("kept", "changed"),
        ("gone", "deleted"),
        ("other", "deleted"),
        ("other", "added"),
        ("new", "added"),
    ]
    found = informer.get(Key(namespace, "kept"))
    assert found
    assert found["data"] == {"x": "2"}


async def test_a_selector_drops_objects_that_no_longer_match(
    client: Client, namespace: str, informing: Any, settled: Any
) -> None:
    metadata = {"name": "a", "namespace": namespace, "labels": {"app": "x"}}
    await client.create(CONFIG_MAPS, {"metadata": metadata})
    informer = Informer(client, CONFIG_MAPS, namespace=namespace, labels="app=x")
    await informing(informer)
    await client.patch(CONFIG_MAPS, "a", namespace, {"metadata": {"labels": {"app": "y"}}})
    await settled(informer, lambda: informer.items() == [])


async def test_rejected_objects_are_treated_as_absent(
    client: Client, namespace: str, informing: Any, settled: Any
) -> None:
    await client.create(CONFIG_MAPS, config_map(namespace, "dull"))
    await client.create(CONFIG_MAPS, config_map(namespace, "bright", light="1"))
    informer = Informer(client, CONFIG_MAPS, namespace=namespace, keep=lambda one: "light" in (one.get("data") or {}))
    await informing(informer)
    assert names(informer) == ["bright"]
    told = record(informer)
    await client.patch(CONFIG_MAPS, "bright", namespace, {"data": None})
    await client.patch(CONFIG_MAPS, "dull", namespace, {"data": {"x": "1"}})
    await client.patch(CONFIG_MAPS, "dull", namespace, {"data": {"light": "1"}})
    await settled(informer, lambda: names(informer) == ["dull"])
    assert told == [("bright", "deleted"), ("dull", "added")]
    assert informer.is_current


async def test_many_changes_are_sometimes_read_by_one_list(
    client: Client, namespace: str, informing: Any, settled: Any
) -> None:
    for name in ("kept", "gone"):
        await client.create(CONFIG_MAPS, config_map(namespace, name))
    informer = Informer(client, CONFIG_MAPS, namespace=namespace, backoff=SOON, pace=Pace(rest=0.5))
    await informing(informer)
    told, ends = record(informer), restarts(CONFIG_MAPS, "end")
    await asyncio.gather(*(client.create(CONFIG_MAPS, config_map(namespace, f"new-{n}")) for n in range(120)))
    await restarted(CONFIG_MAPS, "end", ends + 1)
    assert restarts(CONFIG_MAPS, "end") == ends + 1
    await client.delete(CONFIG_MAPS, "gone", namespace)
    await client.create(CONFIG_MAPS, config_map(namespace, "gone", y="1"))
    await client.patch(CONFIG_MAPS, "kept", namespace, {"data": {"x": "2"}})
    await settled(informer, lambda: ("kept", "changed") in told)
    assert sorted(told[:120]) == sorted((f"new-{n}", "added") for n in range(120))
    assert told[120:] == [("gone", "deleted"), ("gone", "added"), ("kept", "changed")]
    assert informer.is_current


async def test_bookmarks_update_the_version(client: Client, namespace: str) -> None:
    """The server sends a bookmark shortly before the end of a watch; changes of other objects made it newer."""
    [page] = [page async for page in client.pages(CONFIG_MAPS, namespace)]
    await client.create(CONFIG_MAPS, config_map(namespace, "a"))
    events = client.watch(CONFIG_MAPS, namespace, version=page.version, seconds=5)
    assert (await anext(events)).type == "ADDED"
    elsewhere = await client.create(CONFIG_MAPS, {"metadata": {"generateName": "test-", "namespace": "default"}})
    rest = [event async for event in events]
    assert {event.type for event in rest} == {"BOOKMARK"}
    version = json.loads(bytes(rest[-1].object))["metadata"]["resourceVersion"]
    assert version == elsewhere["metadata"]["resourceVersion"]


async def test_a_quiet_watch_ends_and_restarts_without_an_error(
    client: Client, namespace: str, informing: Any, settled: Any
) -> None:
    informer = Informer(client, CONFIG_MAPS, namespace=namespace, backoff=SOON, pace=Pace(idle=4.0))
    ends, errors = restarts(CONFIG_MAPS, "end"), restarts(CONFIG_MAPS, "error")
    await informing(informer)
    await restarted(CONFIG_MAPS, "end", ends + 1)
    await client.create(CONFIG_MAPS, config_map(namespace, "a"))
    await settled(informer, lambda: names(informer) == ["a"])
    assert restarts(CONFIG_MAPS, "error") == errors


async def test_changes_while_the_server_was_down_are_delivered(
    apiserver: Any, namespace: str, informer: Informer[Any], settled: Any
) -> None:
    told = record(informer)
    lists = restarts(CONFIG_MAPS, "gone")
    async with changed_while_down(apiserver, namespace):
        await settled(informer, lambda: names(informer) == ["kept", "new", "other", "same"])
    assert ("gone", "deleted") in told
    assert ("same", "changed") not in told
    assert restarts(CONFIG_MAPS, "gone") - lists <= 1


async def test_after_a_compaction_a_list_delivers_the_changes(
    apiserver: Any, namespace: str, informer: Informer[Any], settled: Any
) -> None:
    told = record(informer)
    lists = restarts(CONFIG_MAPS, "gone")
    async with changed_while_down(apiserver, namespace, compact=apiserver.etcd.compact):
        await settled(informer, lambda: "new" in names(informer))
    assert restarts(CONFIG_MAPS, "gone") == lists + 1
    assert names(informer) == ["kept", "new", "other", "same"]
    assert sorted(told) == [
        ("gone", "deleted"),
        ("kept", "changed"),
        ("new", "added"),
        ("other", "added"),
        ("other", "deleted"),
    ]


async def test_a_list_with_a_compacted_version_is_gone(apiserver: Any, client: Client, namespace: str) -> None:
    for index in range(4):
        await client.create(CONFIG_MAPS, config_map(namespace, f"a{index}"))
    pages = client.pages(CONFIG_MAPS, namespace, limit=2)
    await anext(pages)
    await client.create(CONFIG_MAPS, config_map(namespace, "b"))
    apiserver.etcd.compact()
    apiserver.kill()  # its cache has events that etcd has compacted
    await asyncio.to_thread(apiserver.start)
    with pytest.raises(GoneError):
        await anext(pages)


async def test_a_hanging_server_is_detected_and_the_watch_recovers(
    apiserver: Any, namespace: str, informing: Any, settled: Any
) -> None:
    async with Client.open(apiserver.kubeconfig, timeout=1) as client:
        await client.create(CONFIG_MAPS, config_map(namespace, "a"))
        informer = Informer(client, CONFIG_MAPS, namespace=namespace, backoff=SOON, pace=Pace(idle=2.0))
        await informing(informer)
        errors = restarts(CONFIG_MAPS, "error")
        apiserver.signal(signal.SIGSTOP)
        await restarted(CONFIG_MAPS, "error", errors + 2)
        apiserver.signal(signal.SIGCONT)
        await client.delete(CONFIG_MAPS, "a", namespace)
        await settled(informer, lambda: informer.items() == [])


async def test_an_unreadable_object_is_skipped_and_its_last_state_kept(
    client: Client, namespace: str, widgets: Resource[Any], informing: Any, settled: Any
) -> None:
    untyped: Resource[Any] = dataclasses.replace(widgets, type=dict)
    for name, size in (("bad", "big"), ("good", 1), ("later", 1)):
        body = {"metadata": {"name": name, "namespace": namespace}, "spec": {"size": size}}
        await client.create(untyped, body)
    informer = Informer(client, widgets, namespace=namespace, backoff=SOON)
    await informing(informer)
    assert names(informer) == ["good", "later"]
    assert list(informer.unreadable) == [Key(namespace, "bad")]

    await client.patch(untyped, "later", namespace, {"spec": {"size": "big"}})
    await client.patch(untyped, "bad", namespace, {"spec": {"size": 2}})
    await settled(informer, lambda: "bad" in names(informer))
    assert list(informer.unreadable) == [Key(namespace, "later")]
    assert informer.get(Key(namespace, "later")).spec.size == 1

    await client.delete(untyped, "later", namespace)
    await settled(informer, lambda: names(informer) == ["bad", "good"])
    assert informer.unreadable == {}


async def test_a_kind_that_is_not_served_yet_is_awaited(client: Client, informing: Any, namespace: str) -> None:
    group = f"{namespace}.trustplane.dev"
    gadgets: Resource[Any] = Resource(group, "v1", "Gadget", "gadgets", dict)
    informer = Informer(client, gadgets, backoff=SOON)
    async with asyncio.TaskGroup() as tasks:
        synced = tasks.create_task(informing(informer))
        await asyncio.sleep(0)
        assert not informer.synced.is_set()
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        spec = {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": "Gadget", "plural": "gadgets"},
            "versions": [version],
        }
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": f"gadgets.{group}"}, "spec": spec})
        await synced
    assert informer.synced.is_set()
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, f"gadgets.{group}")


async def test_only_the_object_with_two_thousand_levels_is_skipped(
    client: Client, namespace: str, widgets: Resource[Any], informing: Any, settled: Any
) -> None:
    def deep(name: str) -> str:
        metadata = f'{{"name":"{name}","namespace":"{namespace}"}}'
        kind = f'"apiVersion":"{widgets.api_version}","kind":"Widget"'
        return f'{{{kind},"metadata":{metadata},"status":{{"x":{"[" * 2000 + "]" * 2000}}}}}'

    # A create request drops a status subresource, so in this kind the status is an ordinary field.
    kept: Resource[Any] = dataclasses.replace(widgets, version="v1", plural="deepwidgets", kind="DeepWidget")
    definition = json.loads(json.dumps(WIDGET_CRD).replace("widgets", "deepwidgets").replace("Widget", "DeepWidget"))
    definition["spec"]["names"]["singular"] = "deepwidget"
    del definition["spec"]["versions"][0]["subresources"]
    await client.apply(CUSTOM_RESOURCE_DEFINITIONS, definition, manager="test")
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(UnavailableError):
                await client.list(kept, namespace)
                break
            await asyncio.sleep(0.1)

    body = {"metadata": {"name": "good", "namespace": namespace}}
    await client.create(kept, body)
    await post(client, kept, namespace, deep("bad").replace('"Widget"', '"DeepWidget"'))
    with pytest.raises(UnreadableError, match="nests too deeply"):
        await client.get(kept, "bad", namespace)
    informer = Informer(client, kept, namespace=namespace, backoff=SOON)
    await informing(informer)
    assert names(informer) == ["good"]
    await post(client, kept, namespace, deep("worse").replace('"Widget"', '"DeepWidget"'))
    await client.create(kept, {"metadata": {"name": "other", "namespace": namespace}})
    await settled(informer, lambda: names(informer) == ["good", "other"])
    assert informer.unreadable.keys() == {Key(namespace, "bad"), Key(namespace, "worse")}
    await client.delete(kept, "bad", namespace)
    await client.delete(kept, "worse", namespace)
    await client.delete(kept, "good", namespace)
    await settled(informer, lambda: names(informer) == ["other"])
    assert not informer.unreadable
