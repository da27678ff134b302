"""The controllers of one process: shared informers, one lease, health and metrics."""

import asyncio
from typing import Any, TypeVar

from trustplane.errors import BugError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller
from trustplane.kube.garbage_collection import short_collections
from trustplane.kube.health import serve_health
from trustplane.kube.informer import Informer
from trustplane.kube.lease import Lease
from trustplane.kube.resource import Resource
from trustplane.kube.tasks import first
from trustplane.kube.unreadable import UnreadableReporter

T = TypeVar("T")

GRACE = 10.0  # seconds for reconciles to finish after a stop


class Manager:
    """Runs controllers while this process leads.

    Informers always run, including in a process that does not lead: it takes over with a warm cache.

    Args:
        client: for the informers.
        lease: controllers run only while this process holds it; None: they always run.
        health: host and port of /healthz, /readyz (all informers have their first list) and /metrics; None: no server.
    """

    def __init__(self, client: Client, *, lease: Lease | None = None, health: tuple[str, int] | None = None) -> None:
        self._client = client
        self._lease = lease
        self._health = health
        self._informers: dict[tuple[Resource[Any], str, str], Informer[Any]] = {}
        self._controllers: list[Controller] = []
        self._unreadable = UnreadableReporter(client)
        self._running = False

    def informer(self, resource: Resource[T], *, namespace: str = "", labels: str = "") -> Informer[T]:
        """Return the shared informer of a kind and selector; only before `run`."""
        self._require_not_running()
        selection = (resource, namespace, labels)
        if selection not in self._informers:
            informer = Informer(self._client, resource, namespace=namespace, labels=labels)
            informer.report = self._unreadable.sink(resource)
            self._informers[selection] = informer
        return self._informers[selection]

    def add(self, controller: Controller) -> None:
        """Add a controller; only before `run`."""
        self._require_not_running()
        self._controllers.append(controller)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set or the lease is lost; then end all tasks and release the lease.

        Raises:
            HostError: the health port is taken.
        """
        self._require_not_running()
        self._running = True
        with short_collections():
            await self._run(stop)

    async def _run(self, stop: asyncio.Event) -> None:
        async with serve_health(self._health, self._waiting_for), asyncio.TaskGroup() as group:
            tasks = [group.create_task(informer.run()) for informer in self._informers.values()]
            await self._lead(stop)
            for task in tasks:
                task.cancel()

    def _require_not_running(self) -> None:
        if self._running:
            raise BugError("The manager is already running", next_step="Add informers and controllers before run()")

    def _waiting_for(self) -> list[str]:
        return sorted({str(informer.resource) for informer in self._informers.values() if not informer.synced.is_set()})

    async def _lead(self, stop: asyncio.Event) -> None:
        if self._lease is None:
            await first(self._control(stop), _grace(stop))
            return
        try:
            if await first(stop.wait(), self._lease.acquire()):
                await first(self._control(stop), _grace(stop), self._lease.hold())
        finally:
            await self._lease.release()

    async def _control(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for controller in self._controllers:
                group.create_task(controller.run(stop))
            reports = group.create_task(self._unreadable.run())
            await stop.wait()
            reports.cancel()


async def _grace(stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(GRACE)
