"""One leader among several managers."""

import asyncio
import json
import signal
import sys
from typing import Any

import pytest

from trustplane.api.keys import Key
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.kinds import CONFIG_MAPS, LEASES
from trustplane.kube.lease import Lease
from trustplane.kube.manager import Manager

SECONDS = 6
LONG = 60  # no test waits for such a lease to expire


class Replica:
    """A candidate manager; `leads` is set once its controllers run."""

    def __init__(self, client: Client, namespace: str, name: str, *, seconds: int = SECONDS) -> None:
        self.stop = asyncio.Event()
        self.leads = asyncio.Event()
        self.manager = Manager(client, lease=Lease(client, "test", namespace, seconds=seconds, identity=name))
        watches = [Watch(self.manager.informer(CONFIG_MAPS, namespace=namespace))]
        self.manager.add(Controller(f"leading-{name}", self._reconcile, watches))

    async def _reconcile(self, _: Key) -> Result:
        self.leads.set()
        return Result()

    async def run(self) -> None:
        await self.manager.run(self.stop)


async def leading(replica: Replica, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        await replica.leads.wait()


@pytest.fixture(autouse=True)
async def something(client: Client, namespace: str) -> None:
    """Provide something to reconcile."""
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": namespace}})


@pytest.fixture
def first(client: Client, namespace: str) -> Replica:
    return Replica(client, namespace, "first")


async def holder(client: Client, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = (await client.get(LEASES, "test", namespace))["spec"]
    return spec


LEADER = """
import asyncio, json, sys
from trustplane.kube.client import Client
from trustplane.kube.lease import Lease
from trustplane.kube.manager import Manager

async def main():
    kubeconfig, namespace, seconds = sys.argv[1:]
    async with Client.open(json.loads(kubeconfig)) as client:
        lease = Lease(client, "test", namespace, seconds=int(seconds), identity="killed")
        await Manager(client, lease=lease).run(asyncio.Event())

asyncio.run(main())
"""


async def held(client: Client, namespace: str, identity: str) -> None:
    async with asyncio.timeout(20):
        while True:
            lease = await client.find(LEASES, "test", namespace)
            if lease and lease["spec"].get("holderIdentity") == identity:
                return
            await asyncio.sleep(0.05)


async def renewed(client: Client, namespace: str, before: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await holder(client, namespace))["renewTime"] != before:
                return
            await asyncio.sleep(0.05)


async def test_a_killed_leader_has_a_successor(apiserver: Any, client: Client, namespace: str, first: Replica) -> None:
    arguments = ("-c", LEADER, json.dumps(apiserver.kubeconfig), namespace, str(SECONDS))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        await held(client, namespace, "killed")
        async with asyncio.TaskGroup() as group:
            group.create_task(first.run())
            process.kill()
            await leading(first)
            first.stop.set()
    finally:
        await process.wait()
    assert (await holder(client, namespace))["leaseTransitions"] == 1


async def test_a_stopped_leader_has_a_successor_before_its_lease_expires(client: Client, namespace: str) -> None:
    first, second = (Replica(client, namespace, name, seconds=LONG) for name in ("first", "second"))
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await leading(first)
        group.create_task(second.run())
        await held(client, namespace, "first")
        assert not second.leads.is_set()
        first.stop.set()
        await leading(second, LONG * 2 / 3)
        second.stop.set()
    assert (await holder(client, namespace))["holderIdentity"] == ""


async def test_a_lease_is_released_despite_an_interrupted_renewal(client: Client, namespace: str) -> None:
    lease = Lease(client, "test", namespace, seconds=SECONDS, identity="first")
    await lease.acquire()
    # The server has accepted a renewal, but its response never reached the holder.
    await client.patch(LEASES, "test", namespace, {"spec": {"leaseDurationSeconds": SECONDS + 1}})
    await lease.release()
    assert (await holder(client, namespace))["holderIdentity"] == ""


async def test_a_lease_taken_by_another_manager_ends_the_manager(
    client: Client, namespace: str, first: Replica
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.run())
        await leading(first)
        await client.patch(LEASES, "test", namespace, {"spec": {"holderIdentity": "usurper"}})
        async with asyncio.timeout(20):
            await running
    assert not first.stop.is_set()
    assert (await holder(client, namespace))["holderIdentity"] == "usurper"


async def test_a_leader_that_cannot_renew_stops_before_another_may_start(
    apiserver: Any, namespace: str, first: Replica
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.run())
        await leading(first)
        apiserver.signal(signal.SIGSTOP)
        async with asyncio.timeout(20):
            await running
    apiserver.start()
    async with Client.open(apiserver.kubeconfig) as client:
        assert (await holder(client, namespace))["holderIdentity"] == "first"


class HangsOnce(Client):
    """A client with one request that never gets a response."""

    hung = asyncio.Event()

    async def find(self, *arguments: Any, **options: Any) -> Any:
        if not self.hung.is_set():
            self.hung.set()
            await asyncio.Event().wait()
        return await super().find(*arguments, **options)


async def test_one_hanging_request_costs_no_lease(apiserver: Any, client: Client, namespace: str) -> None:
    async with HangsOnce.open(apiserver.kubeconfig) as hanging:
        assert isinstance(hanging, HangsOnce)
        hanging.hung = asyncio.Event()
        hanging.hung.set()
        lease = Lease(hanging, "test", namespace, seconds=SECONDS, identity="first")
        await lease.acquire()
        before = (await holder(client, namespace))["renewTime"]
        hanging.hung.clear()
        holding = asyncio.create_task(lease.hold())
        await hanging.hung.wait()
        await renewed(client, namespace, before)
        assert not holding.done()
        holding.cancel()


async def test_a_deleted_lease_is_created_again(client: Client, namespace: str, first: Replica) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await leading(first)
        await client.delete(LEASES, "test", namespace)
        await held(client, namespace, "first")
        first.stop.set()
