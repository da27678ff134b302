import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from tests.unit.api.limits import schema_of, violations
from tests.unit.controllers.fleet import NAMESPACE, Fleet
from tests.unit.trust.hostile import BAD_TIMES, DEEP, DIGEST, RECORDS, annotations

from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import machine_facts
from trustplane.controllers.cluster_trust.controller import ClusterTrustReconciler
from trustplane.controllers.registries.controller import RegistryReconciler
from trustplane.controllers.registries.index import RegistryIndex
from trustplane.fleet import node_facts
from trustplane.fleet import view as clustertrust_view
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.kube.controller import Controller, Result
from trustplane.kube.errors import UnavailableError
from trustplane.kube.informer import Change

ONE, TWO = Key("", "one"), Key("", "two")


def key(name: str) -> Key:
    return Key(NAMESPACE, name)


class Indexed:
    """A fleet with its index, the woken Registries, and the number of reads per cluster."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.fleet, self.told, self.looks = fleet, [], []  # type: ignore[var-annotated]
        self.index = RegistryIndex(fleet.view, fleet.recorder, self.told.append)  # type: ignore[arg-type]
        self.controller = self.index.controller()
        if monkeypatch:
            see = FleetView.observe

            async def counted(view: FleetView, key: Key) -> ClusterState | None:
                self.looks.append(key.name)
                return await see(view, key)

            monkeypatch.setattr(clustertrust_view.FleetView, "observe", counted)

    async def settle(self) -> None:
        """Reconcile everything woken by changes so far."""
        queue = self.controller._queue
        while len(queue):
            key = await queue.get()
            await self.index.reconcile(key)
            queue.done(key)
        queue.forget(ONE)

    async def fill(self) -> None:
        for key in self.fleet.view.all_keys():
            await self.index.reconcile(key)
        await self.settle()
        self.told.clear()
        self.looks.clear()


async def test_a_change_of_one_machine_reads_only_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed(Fleet(*(f"c{number}" for number in range(20))), monkeypatch)
    await indexed.fill()
    read: list[str] = []

    def counted(machine: Any, *arguments: Any, **named: Any) -> Any:
        read.append(machine.metadata.name)
        return machine_facts.node_facts(machine, *arguments, **named)

    monkeypatch.setattr(node_facts, "node_facts", counted)
    indexed.fleet.machine("c7", 0, one="NotTrusted")
    await indexed.settle()
    assert (indexed.looks, read) == (["c7"], ["c7-0"])
    assert indexed.told == [ONE]  # the other Registry is not woken
    tally = await indexed.index.tally("one.corp.test")
    assert (tally.clusters, tally.trusting_clusters, tally.nodes, tally.trusting, tally.refusing) == (20, 19, 40, 39, 1)
    assert tally.refusing_messages == (f"node-c7-0 of {NAMESPACE}/c7: one.corp.test is not trusted",)


async def test_irrelevant_changes_wake_no_registry() -> None:
    indexed = Indexed(Fleet("a", "b"))
    await indexed.fill()
    indexed.fleet.trust("a", {"lastProof": "2026-01-01T00:00:00Z", "provenNodes": "2/2"})
    indexed.fleet.machine("b", 1)
    indexed.fleet.registry("one.corp.test")  # its status was written
    await indexed.settle()
    assert indexed.told == []


async def test_a_changed_cluster_trust_wakes_its_registries() -> None:
    indexed = Indexed(Fleet("a", "b"))
    await indexed.fill()
    indexed.fleet.trust("a", {"failures": [{"host": "two.corp.test", "cause": "issuer-not-trusted", "pods": 3}]})
    await indexed.settle()
    assert indexed.told == [TWO]


async def test_a_registry_sums_up_without_reading_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet("a", "b", "c")
    registries = RegistryReconciler(fleet.view, fleet.view, fleet.recorder, namespace="system")  # type: ignore[arg-type]
    registries._client = fleet.server  # type: ignore[assignment]
    indexed = Indexed(fleet, monkeypatch)
    indexed.index = registries._index
    assert (await registries.reconcile(ONE)).requeue_after <= 1  # not all clusters are indexed
    assert fleet.statuses() == []
    await indexed.fill()
    fleet.machine("b", 0, one="Unreachable")
    await indexed.index.reconcile(key("b"))
    indexed.looks.clear()
    await registries.reconcile(ONE)
    assert indexed.looks == []
    [status] = fleet.statuses()
    assert (status["clusters"], status["nodes"]) == ({"trusting": 2, "total": 3}, {"trusting": 5, "total": 6})
    trusted = next(condition for condition in status["conditions"] if condition["type"] == "Trusted")
    assert trusted["message"].startswith(
        "1 of 6 nodes have not proven trust: node-b-0 of shop/b: one.corp.test cannot be"
    )


async def test_a_deleted_cluster_no_longer_counts() -> None:
    indexed = Indexed(Fleet("a", "b"))
    await indexed.fill()
    cluster = indexed.fleet.view.clusters.get(key("a"))
    assert cluster
    clusters = indexed.fleet.view.clusters
    clusters._store(Change(key("a"), cluster, None))
    await indexed.settle()
    assert (await indexed.index.tally("one.corp.test")).clusters == 1
    assert set(indexed.told) == {ONE, TWO}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("text", [*(json.dumps({"digest": DIGEST, "at": at}) for at in BAD_TIMES), *DEEP])
async def test_an_impossible_record_affects_only_its_own_cluster(name: str, text: str) -> None:
    indexed = Indexed(Fleet("a", "b"))
    indexed.fleet.machine("a", 0, {name: text})
    await indexed.fill()
    tally = await indexed.index.tally("one.corp.test")
    assert (tally.clusters, tally.nodes) == (2, 4)
    assert tally.trusting >= 3


@settings(deadline=None, max_examples=50)
@given(annotations)
def test_arbitrary_annotations_do_not_affect_reports_on_other_clusters(values: dict[str, str]) -> None:
    async def play() -> None:
        fleet = Fleet("a", "b")
        fleet.machine("a", 0, values)
        indexed = Indexed(fleet)
        await indexed.fill()
        tally = await indexed.index.tally("one.corp.test")
        assert (tally.clusters, tally.nodes) == (2, 4)
        trusts = ClusterTrustReconciler(fleet.server, fleet.view, fleet.recorder)  # type: ignore[arg-type]
        for name in ("a", "b"):
            await trusts.reconcile(key(name))
        bad, good = fleet.statuses()
        assert good["provenNodes"] == "2/2"
        proven = next(condition for condition in bad["conditions"] if condition["type"] == "Proven")
        machine = fleet.view.machines.get(key("a-0"))
        assert machine
        spoilt = machine_facts.node_facts(machine).ignored_annotations
        assert all(name in proven["message"] for name in spoilt)
        assert all(condition["message"].isprintable() for condition in bad["conditions"])
        assert not list(violations(bad, schema_of("ClusterTrust")))

    asyncio.run(play())


async def test_a_cluster_with_a_failing_reconcile_is_reported_and_counts_as_unproven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    indexed = Indexed(Fleet("a", "b"))
    await indexed.fill()
    see = FleetView.observe

    async def broken(view: FleetView, which: Key) -> ClusterState | None:
        if which.name == "a":
            raise TypeError("can't compare offset-naive and offset-aware datetimes")
        return await see(view, which)

    with monkeypatch.context() as patched:
        patched.setattr(FleetView, "observe", broken)
        for _ in range(2):
            with pytest.raises(TypeError):
                await indexed.index.reconcile(key("a"))
        await indexed.index.reconcile(key("b"))
    tally = await indexed.index.tally("one.corp.test")
    assert (tally.clusters, tally.trusting_clusters, tally.nodes, tally.silent) == (2, 1, 4, 2)
    assert "unreadable" in tally.silent_messages[0]
    assert indexed.fleet.recorder.events == [("a", "TrustUnreadable")]
    await indexed.index.reconcile(key("a"))
    assert (await indexed.index.tally("one.corp.test")).trusting_clusters == 2


async def test_the_last_assessment_stays_while_the_api_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed(Fleet("a"))
    await indexed.fill()

    async def away(*_: object) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr(FleetView, "observe", away)
    with pytest.raises(UnavailableError):
        await indexed.index.reconcile(key("a"))
    assert (await indexed.index.tally("one.corp.test")).trusting_clusters == 1
    assert indexed.fleet.recorder.events == []


@pytest.mark.parametrize("at", BAD_TIMES[1:4])
async def test_extreme_times_in_a_cluster_trust_block_no_registry(at: str) -> None:
    fleet = Fleet("a", "b")
    status: Json = {"desired": {"digest": "x", "source": "Cluster"}, "conditions": []}
    status["desired"]["entries"] = [{"name": "corp", "fingerprints": ["f" * 64], "expires": at}]
    status["failures"] = [{"host": "one.corp.test", "cause": "expired", "pods": 1, "since": at, "lastSeen": at}]
    fleet.trust("a", status)
    indexed = Indexed(fleet)
    await indexed.fill()
    [registry] = [one for one in fleet.view.registries.items() if one.metadata.name == "one"]
    assert [trust.metadata.name for trust in indexed.index.reporting(registry)] == ["a"]
    await indexed.index.risks(registry, datetime.now(UTC))


async def test_reconciles_that_never_wait_still_yield_to_others() -> None:
    order: list[str] = []

    async def reconcile(which: Key) -> Result:
        order.append(which.name)
        return Result()

    controller, stop = Controller("test", reconcile, [], workers=1), asyncio.Event()
    for number in range(100):
        controller.wake(Key("", str(number)))

    async def other() -> None:
        for _ in range(10):
            order.append("other")
            await asyncio.sleep(0)
        stop.set()

    await asyncio.gather(controller.run(stop), other())
    assert len([name for name in order if name != "other"]) < 30
