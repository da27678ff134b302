"""Controllers and managers against a real API server."""

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from trustplane.api.keys import Key, key_of
from trustplane.errors import BugError, HostError, TransientError
from trustplane.kube.backoff import Backoff
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.kinds import CONFIG_MAPS, PLAIN_SECRETS
from trustplane.kube.manager import Manager

SOON = Backoff(first=0.05, most=0.2)


class Log:
    """The reconciled keys, in order, and a way to wait for them."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._changed = asyncio.Event()

    def add(self, key: Key) -> int:
        """Record a key; return how often it has been recorded."""
        self.keys.append(key.name)
        self._changed.set()
        return self.keys.count(key.name)

    async def reaches(self, name: str, times: int) -> None:
        async with asyncio.timeout(30):
            while self.keys.count(name) < times:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def log() -> Log:
    return Log()


async def create(client: Client, namespace: str, name: str) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": namespace}})


async def run(manager: Manager, work: Awaitable[Any]) -> Any:
    """Run a manager until some work is done."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(manager.run(stop))
        try:
            return await work
        finally:
            stop.set()
            await running


def count(controller: str, result: str) -> float:
    labels = {"controller": controller, "result": result}
    return REGISTRY.get_sample_value("trustplane_reconcile_total", labels) or 0.0


async def test_existing_and_new_objects_and_deletions_are_reconciled(client: Client, namespace: str, log: Log) -> None:
    async def reconcile(key: Key) -> Result:
        log.add(key)
        return Result()

    async def work() -> None:
        await log.reaches("a", 1)
        await create(client, namespace, "b")
        await log.reaches("b", 1)
        await client.delete(CONFIG_MAPS, "a", namespace)
        await log.reaches("a", 2)

    await create(client, namespace, "a")
    manager = Manager(client)
    manager.add(Controller("plain", reconcile, [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]))
    await run(manager, work())
    assert sorted(log.keys) == ["a", "a", "b"]


async def test_an_error_is_retried_and_counted_and_other_keys_are_reconciled(
    client: Client, namespace: str, log: Log
) -> None:
    failures: dict[int, BaseException] = {
        1: TransientError("later"),
        2: ValueError("a mistake"),
        3: asyncio.CancelledError(),
    }

    async def reconcile(key: Key) -> Result:
        times = log.add(key)
        if key.name == "bad" and times in failures:
            raise failures[times]
        return Result()

    async def work() -> None:
        await log.reaches("bad", 4)
        await create(client, namespace, "good")
        await log.reaches("good", 1)

    await create(client, namespace, "bad")
    manager = Manager(client)
    watches = [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]
    manager.add(Controller("failing", reconcile, watches, workers=1, backoff=SOON))
    await run(manager, work())
    assert (count("failing", "error"), count("failing", "success")) == (3, 2)


async def test_a_key_is_reconciled_again_on_request(client: Client, namespace: str, log: Log) -> None:
    async def reconcile(key: Key) -> Result:
        return Result(requeue_after=0.05 if log.add(key) < 3 else 0)

    await create(client, namespace, "a")
    manager = Manager(client)
    manager.add(Controller("again", reconcile, [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]))
    await run(manager, log.reaches("a", 3))
    assert log.keys == ["a", "a", "a"]


async def test_one_worker_per_key_and_many_keys_in_parallel(
    client: Client, namespace: str, log: Log, settled: Any
) -> None:
    running: list[str] = []
    together: set[int] = set()
    both = asyncio.Event()

    async def reconcile(key: Key) -> Result:
        assert key.name not in running
        running.append(key.name)
        together.add(len(running))
        if len(running) == 2:
            both.set()
        await both.wait()
        # Wakes the key in process: it must be reconciled again, but only afterwards.
        if log.add(key) < 4:
            await client.patch(CONFIG_MAPS, key.name, key.namespace, {"data": {"x": str(len(log.keys))}})
            await settled(informer, lambda: (informer.get(key) or {}).get("data", {}).get("x") is not None)
        running.remove(key.name)
        return Result()

    for name in ("a", "b"):
        await create(client, namespace, name)
    manager = Manager(client)
    informer = manager.informer(CONFIG_MAPS, namespace=namespace)
    manager.add(Controller("keyed", reconcile, [Watch(informer)], workers=4))

    async def work() -> None:
        await log.reaches("a", 4)
        await log.reaches("b", 4)

    await run(manager, work())
    assert together == {1, 2}
    assert count("keyed", "error") == 0


async def test_an_object_wakes_other_keys_and_an_error_in_the_mapping_stops_nothing(
    client: Client, namespace: str, log: Log
) -> None:
    def owner(secret: Any) -> list[Key]:
        if key_of(secret).name == "bad":
            raise KeyError("owner")
        return [Key(namespace, "owner")]

    async def reconcile(key: Key) -> Result:
        log.add(key)
        return Result()

    for name in ("bad", "good"):
        await client.create(PLAIN_SECRETS, {"metadata": {"name": name, "namespace": namespace}})
    manager = Manager(client)
    manager.add(Controller("owners", reconcile, [Watch(manager.informer(PLAIN_SECRETS, namespace=namespace), owner)]))
    await run(manager, log.reaches("owner", 1))
    assert log.keys == ["owner"]


async def test_the_manager_recovers_when_a_dead_server_returns(
    apiserver: Any, client: Client, namespace: str, log: Log
) -> None:
    async def reconcile(key: Key) -> Result:
        await client.patch(CONFIG_MAPS, key.name, key.namespace, {"metadata": {"labels": {"seen": "yes"}}})
        log.add(key)
        return Result()

    async def work() -> None:
        await log.reaches("a", 1)
        apiserver.kill()
        controller.wake(Key(namespace, "a"))
        async with asyncio.timeout(10):
            while count("dying", "error") < 2:  # noqa: ASYNC110  a counter has no event
                await asyncio.sleep(0.02)
        await asyncio.to_thread(apiserver.start)
        await log.reaches("a", 2)
        await create(client, namespace, "b")
        await log.reaches("b", 1)

    await create(client, namespace, "a")
    manager = Manager(client)
    watches = [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]
    controller = Controller("dying", reconcile, watches, backoff=SOON)
    manager.add(controller)
    await run(manager, work())


async def test_stopping_finishes_reconciles_in_progress(client: Client, namespace: str, log: Log) -> None:
    finished: list[str] = []
    stop = asyncio.Event()

    async def reconcile(key: Key) -> Result:
        stop.set()
        await client.patch(CONFIG_MAPS, key.name, key.namespace, {"data": {"x": "1"}})
        finished.append(key.name)
        return Result()

    await create(client, namespace, "a")
    manager = Manager(client)
    manager.add(Controller("stopping", reconcile, [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]))
    await manager.run(stop)
    assert finished == ["a"]
    assert log.keys == []


async def test_a_manager_stops_even_without_a_first_list(apiserver: Any, namespace: str, log: Log) -> None:
    async def reconcile(key: Key) -> Result:
        log.add(key)
        return Result()

    async with Client.open(apiserver.visitor) as visitor:
        manager = Manager(visitor)
        manager.add(Controller("blind", reconcile, [Watch(manager.informer(PLAIN_SECRETS, namespace=namespace))]))
        await run(manager, asyncio.sleep(0))
    assert log.keys == []


async def test_informers_are_shared_and_fixed_at_the_start(client: Client, namespace: str) -> None:
    manager = Manager(client)
    assert manager.informer(CONFIG_MAPS) is manager.informer(CONFIG_MAPS)
    assert manager.informer(CONFIG_MAPS) is not manager.informer(CONFIG_MAPS, namespace=namespace)

    async def work() -> None:
        await asyncio.sleep(0)
        with pytest.raises(BugError):
            manager.informer(PLAIN_SECRETS)

    await run(manager, work())


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_health_and_metrics_answer(apiserver: Any, client: Client, namespace: str, log: Log) -> None:
    async def reconcile(key: Key) -> Result:
        log.add(key)
        return Result()

    async def work() -> None:
        await log.reaches("a", 1)
        assert await get(port, "/healthz") == (200, "ok\n")
        assert await get(port, "/readyz") == (200, "ok\n")
        status, text = await get(port, "/metrics")
        assert status == 200
        assert 'trustplane_reconcile_total{controller="measured",result="success"} 1.0' in text
        assert 'trustplane_reconcile_seconds_count{controller="measured"} 1.0' in text
        assert 'trustplane_queue_depth{controller="measured"} 0.0' in text

    await create(client, namespace, "a")
    port = apiserver.free_port()
    manager = Manager(client, health=("127.0.0.1", port))
    manager.add(Controller("measured", reconcile, [Watch(manager.informer(CONFIG_MAPS, namespace=namespace))]))
    await run(manager, work())


async def test_not_ready_before_the_first_list(apiserver: Any) -> None:
    async def work() -> tuple[int, str]:
        async with asyncio.timeout(10):
            while True:
                try:
                    return await get(port, "/readyz")
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.01)

    port = apiserver.free_port()
    async with Client.open(apiserver.visitor) as visitor:
        manager = Manager(visitor, health=("127.0.0.1", port))
        manager.informer(PLAIN_SECRETS)
        assert await run(manager, work()) == (503, "waiting for secrets\n")


async def test_a_taken_port_is_a_host_error(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"Cannot listen on 127.0.0.1 port {port}"):
            await Manager(client, health=("127.0.0.1", port)).run(asyncio.Event())
