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
    """A fleet, its index with what it has told, and how often a cluster was looked at."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.fleet, self.told, self.looks = fleet, [], []  # type: ignore[var-annotated]
        self.index = RegistryIndex(fleet.view, fleet.recorder, self.told.append)  # type: ignore[arg-type]
        self.controller = self.index.controller()
        if monkeypatch:
            see = FleetView.observe

            async def counted(view: FleetView, key: Key) -> ClusterState | None:
                self.looks.append(key.name)
                return await see(view, key)

            monkeypatch.setattr(clustertrust_view.FleetView, "see", counted)

    async def settle(self) -> None:
        """Work off what was woken by changes until now."""
        queue = self.controller._queue
        while len(queue):
            one = await queue.get()
            await self.index.reconcile(one)
            queue.done(one)
        queue.forget(ONE)

    async def fill(self) -> None:
        for one in self.fleet.view.all_keys():
            await self.index.reconcile(one)
        await self.settle()
        self.told.clear()
        self.looks.clear()


async def test_a_change_of_one_machine_costs_a_look_at_one_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Indexed(Fleet(*(f"c{number}" for number in range(20))), monkeypatch)
    await found.fill()
    read: list[str] = []

    def counted(machine: Any, *arguments: Any, **named: Any) -> Any:
        read.append(machine.metadata.name)
        return machine_facts.node_facts(machine, *arguments, **named)

    monkeypatch.setattr(node_facts, "facts", counted)
    found.fleet.machine("c7", 0, one="NotTrusted")
    await found.settle()
    assert (found.looks, read) == (["c7"], ["c7-0"])
    assert found.told == [ONE]  # the other registry is told nothing
    said = await found.index.tally("one.corp.test")
    assert (said.clusters, said.trusting_clusters, said.nodes, said.trusting, said.refusing) == (20, 19, 40, 39, 1)
    assert said.refusals == (f"node-c7-0 of {NAMESPACE}/c7: one.corp.test is not trusted",)


async def test_what_says_nothing_else_of_a_registry_wakes_none() -> None:
    found = Indexed(Fleet("a", "b"))
    await found.fill()
    found.fleet.trust("a", {"lastProof": "2026-01-01T00:00:00Z", "provenNodes": "2/2"})
    found.fleet.machine("b", 1)
    found.fleet.registry("one.corp.test")  # its status was written
    await found.settle()
    assert found.told == []


async def test_what_a_cluster_trust_says_of_a_registry_wakes_it() -> None:
    found = Indexed(Fleet("a", "b"))
    await found.fill()
    found.fleet.trust("a", {"failures": [{"host": "two.corp.test", "cause": "issuer-not-trusted", "pods": 3}]})
    await found.settle()
    assert found.told == [TWO]


async def test_a_registry_adds_up_and_looks_at_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet("a", "b", "c")
    registries = RegistryReconciler(fleet.view, fleet.view, fleet.recorder, namespace="system")  # type: ignore[arg-type]
    registries._client = fleet.server  # type: ignore[assignment]
    found = Indexed(fleet, monkeypatch)
    found.index = registries._index
    assert (await registries.reconcile(ONE)).requeue_after <= 1  # not all clusters have been looked at
    assert fleet.statuses() == []
    await found.fill()
    fleet.machine("b", 0, one="Unreachable")
    await found.index.reconcile(key("b"))
    found.looks.clear()
    await registries.reconcile(ONE)
    assert found.looks == []
    [status] = fleet.statuses()
    assert (status["clusters"], status["nodes"]) == ({"trusting": 2, "total": 3}, {"trusting": 5, "total": 6})
    trusted = next(one for one in status["conditions"] if one["type"] == "Trusted")
    assert trusted["message"].startswith("1 of 6 nodes have not proven it: node-b-0 of shop/b: one.corp.test cannot be")


async def test_a_cluster_that_is_gone_counts_no_more() -> None:
    found = Indexed(Fleet("a", "b"))
    await found.fill()
    cluster = found.fleet.view.clusters.get(key("a"))
    assert cluster
    clusters = found.fleet.view.clusters
    clusters._store(Change(key("a"), cluster, None))
    await found.settle()
    assert (await found.index.tally("one.corp.test")).clusters == 1
    assert set(found.told) == {ONE, TWO}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("text", [*(json.dumps({"digest": DIGEST, "at": at}) for at in BAD_TIMES), *DEEP])
async def test_a_record_that_cannot_be_true_harms_its_own_cluster_alone(name: str, text: str) -> None:
    found = Indexed(Fleet("a", "b"))
    found.fleet.machine("a", 0, {name: text})
    await found.fill()
    said = await found.index.tally("one.corp.test")
    assert (said.clusters, said.nodes) == (2, 4)
    assert said.trusting >= 3


@settings(deadline=None, max_examples=50)
@given(annotations)
def test_whatever_is_written_on_a_machine_the_other_clusters_are_reported(values: dict[str, str]) -> None:
    async def play() -> None:
        fleet = Fleet("a", "b")
        fleet.machine("a", 0, values)
        found = Indexed(fleet)
        await found.fill()
        said = await found.index.tally("one.corp.test")
        assert (said.clusters, said.nodes) == (2, 4)
        trusts = ClusterTrustReconciler(fleet.server, fleet.view, fleet.recorder)  # type: ignore[arg-type]
        for name in ("a", "b"):
            await trusts.reconcile(key(name))
        bad, good = fleet.statuses()
        assert good["provenNodes"] == "2/2"
        proven = next(one for one in bad["conditions"] if one["type"] == "Proven")
        machine = fleet.view.machines.get(key("a-0"))
        assert machine
        spoilt = machine_facts.node_facts(machine).ignored_annotations
        assert all(one in proven["message"] for one in spoilt)
        assert all(one["message"].isprintable() for one in bad["conditions"])
        assert not list(violations(bad, schema_of("ClusterTrust")))

    asyncio.run(play())


async def test_a_cluster_that_makes_a_reconcile_fail_is_told_of_and_counts_as_unproven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Indexed(Fleet("a", "b"))
    await found.fill()
    see = FleetView.observe

    async def broken(view: FleetView, which: Key) -> ClusterState | None:
        if which.name == "a":
            raise TypeError("can't compare offset-naive and offset-aware datetimes")
        return await see(view, which)

    with monkeypatch.context() as patched:
        patched.setattr(FleetView, "see", broken)
        for _ in range(2):
            with pytest.raises(TypeError):
                await found.index.reconcile(key("a"))
        await found.index.reconcile(key("b"))
    said = await found.index.tally("one.corp.test")
    assert (said.clusters, said.trusting_clusters, said.nodes, said.silent) == (2, 1, 4, 2)
    assert "unreadable" in said.silences[0]
    assert found.fleet.recorder.events == [("a", "TrustUnreadable")]
    await found.index.reconcile(key("a"))
    assert (await found.index.tally("one.corp.test")).trusting_clusters == 2


async def test_what_is_known_of_a_cluster_stays_while_the_api_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Indexed(Fleet("a"))
    await found.fill()

    async def away(*_: object) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr(FleetView, "see", away)
    with pytest.raises(UnavailableError):
        await found.index.reconcile(key("a"))
    assert (await found.index.tally("one.corp.test")).trusting_clusters == 1
    assert found.fleet.recorder.events == []


@pytest.mark.parametrize("at", BAD_TIMES[1:4])
async def test_times_of_other_ages_in_a_cluster_trust_stop_no_registry(at: str) -> None:
    fleet = Fleet("a", "b")
    status: Json = {"desired": {"digest": "x", "source": "Cluster"}, "conditions": []}
    status["desired"]["entries"] = [{"name": "corp", "fingerprints": ["f" * 64], "expires": at}]
    status["failures"] = [{"host": "one.corp.test", "cause": "expired", "pods": 1, "since": at, "lastSeen": at}]
    fleet.trust("a", status)
    found = Indexed(fleet)
    await found.fill()
    [registry] = [one for one in fleet.view.registries.items() if one.metadata.name == "one"]
    assert [one.metadata.name for one in found.index.reporting(registry)] == ["a"]
    await found.index.risks(registry, datetime.now(UTC))


async def test_reconciles_that_never_wait_leave_others_their_turn() -> None:
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
    assert len([one for one in order if one != "other"]) < 30
