"""A change costs the same in every fleet, and nothing blocks the event loop."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.conftest import ApiServer, prepared
from tests.bench import controllers
from tests.bench.fleet import Fleet

from trustplane.api.keys import Key
from trustplane.clusterapi import machine_facts
from trustplane.controllers.registries.controller import RegistryReconciler
from trustplane.fleet import node_facts
from trustplane.fleet import view as clustertrust_view
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.kube.controller import Result

# Of one callback, in CPU time of this thread, as other processes do not count; deliberately generous.
MOST_CPU = 0.5
SIZE = Fleet(clusters=20, registries=3)


@pytest.fixture
def server(binaries: Path, tmp_path: Path) -> Any:
    """A separate API server for this test, because its kinds and objects are many."""
    with prepared(binaries, tmp_path) as apiserver:
        apiserver.start()
        yield apiserver


def test_a_change_of_one_cluster_reconciles_only_this_cluster(
    server: ApiServer, binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: dict[str, int] = {}
    read: list[str] = []
    registries: list[str] = []
    see, facts, reconcile = FleetView.observe, machine_facts.node_facts, RegistryReconciler.reconcile

    async def seen(view: FleetView, key: Key) -> ClusterState | None:
        looks[key.name] = looks.get(key.name, 0) + 1
        return await see(view, key)

    def counted(machine: Any, *arguments: Any, **named: Any) -> Any:
        read.append(machine.metadata.name)
        return facts(machine, *arguments, **named)

    async def reconciled(reconciler: RegistryReconciler, key: Key) -> Result:
        registries.append(key.name)
        return await reconcile(reconciler, key)

    class Counted(controllers.Run):
        counts: dict[str, tuple[dict[str, int], list[str], list[str]]] = {}  # noqa: RUF012

        async def settle(self) -> None:
            await super().settle()
            Counted.counts[str(len(Counted.counts))] = (dict(looks), list(read), list(registries))
            looks.clear()
            read.clear()
            registries.clear()

    monkeypatch.setattr(clustertrust_view.FleetView, "observe", seen)
    monkeypatch.setattr(node_facts, "node_facts", counted)
    monkeypatch.setattr(RegistryReconciler, "reconcile", reconciled)
    monkeypatch.setattr(controllers, "Run", Counted)
    monkeypatch.setattr(controllers, "_IDLE", 1.0)
    measured = controllers.benchmark(server, binaries, SIZE)
    _, report, machine, _ = Counted.counts.values()
    name = SIZE.place(SIZE.clusters // 2)["name"]
    assert set(report[0]) == {name}
    assert (report[1], set(report[2])) == ([], {"registry-0"})
    assert set(machine[0]) == {name}
    assert (machine[1], set(machine[2])) == ([f"{name}-0"], {"registry-0"})
    assert measured.lease_kept
    assert max(phase.callback_cpu for phase in measured.phases) < MOST_CPU
    assert asyncio.Handle._run.__module__ == "asyncio.events"
