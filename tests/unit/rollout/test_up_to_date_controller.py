"""Conditions about trust on Machines and Clusters: written only if changed, without touching other conditions."""

from typing import Any

import pytest
from tests.unit.controllers.fleet import NAMESPACE, NOW, trust
from tests.unit.controllers.supervisor import Supervised, old

from trustplane.api.annotations import PAUSED
from trustplane.api.clustertrust import TRUST_UPDATE_ERROR, TRUST_WRITE_STARTED, UpdateError
from trustplane.api.conditions import TRUST_UP_TO_DATE
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.controllers.rollout import up_to_date
from trustplane.controllers.rollout.up_to_date import UpToDateReconciler
from trustplane.fleet.reading import has_more_than_trust_changed
from trustplane.kube import kinds
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.kube.informer import Change
from trustplane.kube.resource import Resource
from trustplane.trust import recorded

SHOP = Key(NAMESPACE, "shop")


class Conditions:
    """A fleet of one cluster, and its conditions; the server keeps conditions by their type."""

    def __init__(self) -> None:
        self.fleet = Supervised("shop")
        self.writing: frozenset[str] = frozenset()
        self.bodies: list[Json] = []
        self.after = 0.0
        self.refusing: dict[str, Exception] = {}
        client: Any = self
        self.reconciler = UpToDateReconciler(client, self.fleet.view, lambda _: self.writing)

    async def apply(self, resource: Resource[Any], body: Json, *, manager: str, subresource: str) -> None:
        assert (manager, subresource) == ("trustplane", "status")
        assert body.keys() == {"metadata", "status"}
        assert body["status"].keys() == {"conditions"}
        name = body["metadata"]["name"]
        if name in self.refusing:
            raise self.refusing[name]
        stored = self.fleet.server.stored(resource, name)
        assert body["metadata"] == {"name": name, "namespace": NAMESPACE, "uid": stored["metadata"]["uid"]}
        self.bodies.append(body)
        there = (stored.get("status") or {}).get("conditions") or []
        foreign = [entry for entry in there if entry["type"] != TRUST_UP_TO_DATE]
        self.fleet.change(resource, name, {"status": {"conditions": [*foreign, *body["status"]["conditions"]]}})

    async def step(self) -> list[str]:
        """Reconcile once; return the names of the written objects, in order."""
        self.bodies.clear()
        self.after = (await self.reconciler.reconcile(SHOP)).requeue_after
        return [body["metadata"]["name"] for body in self.bodies]

    def reported(self, name: str, resource: Resource[Any] = kinds.MACHINES) -> tuple[str, str]:
        conditions = (self.fleet.server.stored(resource, name).get("status") or {}).get("conditions") or []
        matching = [entry for entry in conditions if entry["type"] == TRUST_UP_TO_DATE]
        assert len(matching) <= 1
        return (matching[0]["status"], matching[0]["reason"]) if matching else ("", "")

    @property
    def whole(self) -> tuple[str, str]:
        return self.reported("shop", kinds.CLUSTERS)


@pytest.fixture
def conditions() -> Conditions:
    return Conditions()


async def test_a_condition_is_written_only_if_it_changes(conditions: Conditions) -> None:
    fleet = conditions.fleet
    fleet.node("shop", 0, trust(), proven=True)
    fleet.node("shop", 1, old())
    assert sorted(await conditions.step()) == ["shop", "shop-0", "shop-1"]
    assert (conditions.reported("shop-0"), conditions.reported("shop-1")) == (
        ("True", "UpToDate"),
        ("False", "Waiting"),
    )
    assert conditions.whole[0] == "False"
    types = {entry["type"] for entry in fleet.server.stored(kinds.MACHINES, "shop-0")["status"]["conditions"]}
    assert types == {"NodeReady", TRUST_UP_TO_DATE}
    for _ in range(3):
        assert await conditions.step() == []
    fleet.node("shop", 1, trust(), proven=True)
    assert sorted(await conditions.step()) == ["shop", "shop-1"]
    assert conditions.whole == ("True", "UpToDate")
    assert await conditions.step() == []


async def test_a_write_in_progress_is_reported_with_the_time_of_its_change(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, old())
    await conditions.step()
    [body] = [body for body in conditions.bodies if body["metadata"]["name"] == "shop-0"]
    then = {**body["status"]["conditions"][0], "lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions.fleet.change(kinds.MACHINES, "shop-0", {"status": {"conditions": [then]}})
    conditions.writing = frozenset({"shop-0"})
    assert await conditions.step() == ["shop-0"]
    assert conditions.reported("shop-0") == ("False", "Writing")
    assert conditions.bodies[0]["status"]["conditions"][0]["lastTransitionTime"] == then["lastTransitionTime"]


async def test_attempts_to_reach_a_node_are_not_reported_one_by_one(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, old())
    update_error = recorded.encode_record(
        UpdateError(digest=trust().digest, at=NOW, message="no route", is_unreachable=True)
    )
    conditions.fleet.change(kinds.MACHINES, "shop-0", {"metadata": {"annotations": {TRUST_UPDATE_ERROR: update_error}}})
    await conditions.step()
    assert conditions.reported("shop-0") == ("False", "Unreachable")
    for names in (frozenset({"shop-0"}), frozenset()):
        conditions.writing = names
        assert await conditions.step() == []


async def test_the_number_of_conditions_per_run_is_limited(
    conditions: Conditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up_to_date, "_MOST", 2)
    for number in range(4):
        conditions.fleet.node("shop", number, trust())
    turns = [(len(await conditions.step()), conditions.after) for _ in range(4)]
    assert turns == [(2, 1.0), (2, 1.0), (1, 0.0), (0, 0.0)]


async def test_an_object_that_rejects_its_condition_delays_no_other(conditions: Conditions) -> None:
    for number in range(2):
        conditions.fleet.node("shop", number, trust())
    conditions.refusing = {"shop-0": InvalidError("Too many: 33: must have at most 32 items")}
    assert sorted(await conditions.step()) == ["shop", "shop-1"]
    assert conditions.after == 60.0  # not immediately
    conditions.refusing = {"shop-0": NotFoundError("gone")}
    assert (await conditions.step(), conditions.after) == ([], 0.0)
    conditions.refusing = {"shop-0": ConflictError("another object of this name")}
    assert (await conditions.step(), conditions.after) == ([], 0.0)


async def test_an_unreadable_set_is_reported_as_unknown(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, trust())
    conditions.fleet.remove(kinds.SECRETS, f"shop-trust-{trust().short}")
    await conditions.step()
    assert conditions.reported("shop-0") == conditions.whole == ("Unknown", "Unreadable")


async def test_a_paused_cluster_is_reported(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, old())
    conditions.fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"annotations": {PAUSED: ""}}})
    await conditions.step()
    assert conditions.reported("shop-0") == conditions.whole == ("False", "Paused")


async def test_a_disowned_cluster_loses_its_conditions(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, trust())
    await conditions.step()
    conditions.fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"ownerReferences": None}})
    assert sorted(await conditions.step()) == ["shop", "shop-0"]
    assert conditions.reported("shop-0") == conditions.whole == ("", "")
    assert await conditions.step() == []


async def test_a_cluster_in_deletion_is_not_touched(conditions: Conditions) -> None:
    conditions.fleet.node("shop", 0, trust())
    gone = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    conditions.fleet.change(kinds.CLUSTERS, "shop", gone)
    assert await conditions.step() == []
    conditions.fleet.remove(kinds.CLUSTERS, "shop")
    assert await conditions.step() == []


async def test_our_condition_and_a_started_write_wake_no_other_controller(conditions: Conditions) -> None:
    changes: list[Change[Any]] = []
    conditions.fleet.node("shop", 0, trust())
    conditions.fleet.view.machines.subscribe(changes.append)
    await conditions.step()
    assert [has_more_than_trust_changed(change) for change in changes] == [False]
    started = {"metadata": {"annotations": {TRUST_WRITE_STARTED: trust().digest}}}
    conditions.fleet.change(kinds.MACHINES, "shop-0", started)
    assert not has_more_than_trust_changed(changes[-1])
    conditions.fleet.says("shop-0", trust())
    assert has_more_than_trust_changed(changes[-1])
    conditions.fleet.remove(kinds.MACHINES, "shop-0")
    assert has_more_than_trust_changed(changes[-1])
