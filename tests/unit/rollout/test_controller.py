"""The steps of a rollout, with a management cluster and nodes in memory."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.controllers.fleet import NAMESPACE, NOW, trust
from tests.unit.controllers.supervisor import Shells, Supervised, old

from trustplane.api.annotations import (
    CLUSTER_NAME_LABEL,
    CONTROL_PLANE_LABEL,
    DEPLOYMENT_NAME_LABEL,
    PAUSED,
    REMEDIATE,
    REPLACE_UNREACHABLE,
    TRUST_CANARY,
    TRUST_PROVEN,
    UPDATE_HANDLED_AT,
    UPDATE_STRATEGY,
)
from trustplane.api.clustertrust import IN_PLACE, TRUST_APPLIED, TRUST_INSPECTION, TRUST_WRITE_STARTED
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.controllers.rollout.controller import RolloutReconciler
from trustplane.errors import NodeError
from trustplane.kube import kinds as resources
from trustplane.kube.controller import Result
from trustplane.kube.errors import UnavailableError
from trustplane.rollout.execution import trust_secrets
from trustplane.rollout.execution.boot_data import LostSetError
from trustplane.rollout.execution.observation import last_proven_digest, parse_canary
from trustplane.rollout.planning.inputs import Canary
from trustplane.trust import bundle, recorded
from trustplane.trust.entries import TrustSet
from trustplane.trust.node_files import render_files

SHOP = Key(NAMESPACE, "shop")
TRUST_SECRET = f"shop-trust-{trust().short}"


class Rollout:
    """A fleet of one cluster, the shells of its nodes, and its rollout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet, self.shells = Supervised("shop"), Shells(monkeypatch)
        client: Any = self.fleet.server
        recorder: Any = self.fleet.recorder
        self.reconciler = RolloutReconciler(client, self.fleet.view, recorder)

    @property
    def calls(self) -> list[str]:
        return self.fleet.server.calls

    async def step(self) -> Result:
        """Reconcile once, and wait for the started writes."""
        try:
            return await self.reconciler.reconcile(SHOP)
        finally:
            while tasks := [task for _, task in self.reconciler._writer._tasks.values()]:
                await asyncio.wait(tasks)

    def begin(self) -> None:
        """Clear the recorded calls."""
        self.calls.clear()
        self.shells.opened.clear()
        self.fleet.recorder.events.clear()

    def running(self, *held: TrustSet) -> list[str]:
        """Add workers with these sets; the first is the boot set. Return their names."""
        self.fleet.boots("shop", held[0])
        names = [self.fleet.node("shop", number, trust_set) for number, trust_set in enumerate(held)]
        self.begin()
        return names

    def holds(self, machine: str) -> str:
        record = recorded.read_applied_trust(self.fleet.annotations(machine, resources.MACHINES))
        return record.digest if record else ""


def write_of(machine: str) -> list[str]:
    """Return the requests of one write: the records of its start and of its end."""
    return [f"patch machines/{machine}"] * 2


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Rollout:
    return Rollout(monkeypatch)


async def test_a_new_cluster_has_a_boot_set(rollout: Rollout) -> None:
    assert await rollout.step() == Result()
    assert rollout.calls == ["apply secrets/shop-trust"]
    assert (rollout.fleet.boot_set("shop").digest, rollout.fleet.boot_set("shop").is_intact) == (trust().digest, True)
    owner = rollout.fleet.server.stored(resources.SECRETS, "shop-trust")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Cluster", "uid-clusters-shop")
    rollout.begin()
    assert await rollout.step() == Result()
    assert rollout.calls == []
    assert rollout.fleet.recorder.events == []


async def test_the_set_of_a_cluster_with_its_own_secret_is_stored_by_content(rollout: Rollout) -> None:
    rollout.fleet.remove(resources.TANZU_CLUSTERS, "shop")
    own = {"metadata": {"annotations": {"trustplane.dev/trust-secret": "own"}, "ownerReferences": None}}
    rollout.fleet.change(resources.CLUSTERS, "shop", own)
    body = {"metadata": {"name": "own", "namespace": NAMESPACE}, "data": secret.set_data(old())}
    rollout.fleet.server.bodies[str(resources.SECRETS), Key(NAMESPACE, "own")] = body
    result = await rollout.step()
    assert rollout.calls == [f"create secrets/shop-trust-{old().short}", "apply secrets/shop-trust"]
    assert rollout.fleet.boot_set("shop").digest == old().digest
    assert result.requeue_after > 0  # no informer watches that Secret


@pytest.mark.parametrize("data", [{}, {"trustplane.dev/other": "x"}])
async def test_a_cluster_with_an_empty_set_settles(rollout: Rollout, data: dict[str, str]) -> None:
    """An empty set is falsy, but valid."""
    rollout.fleet.remove(resources.TANZU_CLUSTERS, "shop")
    variables = [{"name": "trust", "value": {"additionalTrustedCAs": []}}]
    body = {"metadata": {"annotations": data, "ownerReferences": None}, "spec": {"topology": {"variables": variables}}}
    rollout.fleet.change(resources.CLUSTERS, "shop", body)
    await rollout.step()
    assert rollout.calls == ["apply secrets/shop-trust"]
    await rollout.step()
    assert rollout.calls == ["apply secrets/shop-trust"]


async def test_the_canary_is_recorded_then_written_then_proven(rollout: Rollout) -> None:
    rollout.running(old(), old(), old())
    dialled: list[list[str]] = []
    rollout.fleet.server.before = lambda _: dialled.append([*rollout.shells.opened])
    await rollout.step()
    assert rollout.calls == ["patch clusters/shop", *write_of("shop-0")]
    assert dialled[0] == []
    assert parse_canary(rollout.fleet.annotations("shop")[TRUST_CANARY]) == Canary("shop-0", trust().digest)
    assert rollout.shells.opened == ["shop-0"]
    assert [rollout.holds(f"shop-{number}") for number in range(3)] == [trust().digest, old().digest, old().digest]
    assert set(rollout.shells.files["shop-0"]) == set(render_files(trust()))
    assert rollout.fleet.boot_set("shop").digest == old().digest
    rollout.begin()
    for _ in range(3):
        await rollout.step()
    assert rollout.calls == []
    assert rollout.shells.opened == []


async def test_listeners_are_notified_of_writes(rollout: Rollout) -> None:
    rollout.running(old(), old())
    reported: list[frozenset[str]] = []
    rollout.reconciler.notify_on_write(lambda key: reported.append(rollout.reconciler.machines_being_written(key)))
    await rollout.step()
    assert (reported[0], reported[-1]) == ({"shop-0"}, frozenset())


async def test_after_the_proof_come_its_record_the_boot_set_and_the_other_nodes(rollout: Rollout) -> None:
    rollout.running(old(), old(), old())
    await rollout.step()
    rollout.fleet.says("shop-0", trust())
    rollout.begin()
    await rollout.step()
    assert rollout.calls[:2] == ["patch clusters/shop", "apply secrets/shop-trust"]
    assert sorted(rollout.calls[2:]) == [*write_of("shop-1"), *write_of("shop-2")]
    assert rollout.fleet.annotations("shop")[TRUST_PROVEN] == trust().digest
    assert rollout.fleet.boot_set("shop").digest == trust().digest
    assert {rollout.holds(f"shop-{number}") for number in range(3)} == {trust().digest}
    rollout.begin()
    await rollout.step()
    assert rollout.calls == []


async def test_an_informers_object_is_never_changed(rollout: Rollout) -> None:
    """Otherwise the next list would contain no difference, and the record would stay unnoticed."""
    rollout.running(old())
    rollout.fleet.server.informers.pop(str(resources.CLUSTERS))  # as a lagging one
    before = rollout.fleet.view.clusters.get(SHOP)
    assert before
    version = before.metadata.resource_version
    await rollout.step()
    assert rollout.fleet.view.clusters.get(SHOP) is before
    assert before.metadata.resource_version == version
    assert TRUST_CANARY not in before.metadata.annotations
    assert rollout.fleet.server.stored(resources.CLUSTERS, "shop")["metadata"]["resourceVersion"] != version


async def test_two_records_on_the_cluster_are_one_change(rollout: Rollout) -> None:
    """In a control plane, the next node is elected while the proof of the previous one is recorded."""
    rollout.fleet.boots("shop", old())
    for number in range(3):
        rollout.fleet.node("shop", number, old(), control_plane=True)
    await rollout.step()
    rollout.fleet.says("shop-0", trust())
    rollout.begin()
    await rollout.step()
    assert rollout.calls == ["patch clusters/shop", "apply secrets/shop-trust", *write_of("shop-1")]
    assert parse_canary(rollout.fleet.annotations("shop")[TRUST_CANARY]) == Canary("shop-1", trust().digest)
    assert rollout.fleet.annotations("shop")[TRUST_PROVEN] == trust().digest


async def test_a_conflict_leaves_the_rest_to_the_next_reconcile(rollout: Rollout) -> None:
    rollout.running(old(), old())

    def change_it(what: str) -> None:
        if what == "patch clusters/shop":
            rollout.fleet.server.before = lambda _: None
            rollout.fleet.change(resources.CLUSTERS, "shop", {"metadata": {"labels": {"foreign": "1"}}})

    rollout.fleet.server.before = change_it
    assert (await rollout.step()).requeue_after > 0
    assert rollout.calls == []
    assert rollout.shells.opened == []
    assert TRUST_CANARY not in rollout.fleet.annotations("shop")
    await rollout.step()
    assert rollout.shells.opened == ["shop-0"]


@pytest.mark.parametrize("refused", ["patch clusters/shop", "apply secrets/shop-trust"])
async def test_no_node_is_written_if_an_earlier_step_fails(rollout: Rollout, refused: str) -> None:
    rollout.running(old(), old())
    await rollout.step()
    rollout.fleet.says("shop-0", trust())
    rollout.begin()
    rollout.fleet.server.refusing[refused] = UnavailableError("no answer")
    with pytest.raises(UnavailableError):
        await rollout.step()
    assert rollout.shells.opened == []
    await rollout.step()
    assert rollout.shells.opened == ["shop-1"]


async def test_a_refusing_node_stops_the_rollout_until_the_set_changes(rollout: Rollout) -> None:
    rollout.running(old(), old())
    await rollout.step()
    rollout.fleet.says("shop-0", trust(), one="NotTrusted")
    rollout.begin()
    await rollout.step()
    assert rollout.calls == []
    assert rollout.shells.opened == []
    rollout.fleet.says("shop-0", trust())  # the registry was corrected
    await rollout.step()
    assert rollout.shells.opened == ["shop-1"]


async def test_a_failing_canary_stays_until_it_is_written(rollout: Rollout) -> None:
    rollout.running(old(), old())
    rollout.shells.failing["shop-0"] = NodeError("no sudo")
    await rollout.step()
    await rollout.step()
    assert rollout.shells.opened[0] == "shop-0"
    assert rollout.holds("shop-1") == old().digest


def edited(text: str) -> Json:
    return {"data": {bundle.BUNDLE_KEY: base64.b64encode(text.encode()).decode()}}


@pytest.mark.parametrize(
    "data",
    [
        edited("trustplane-set-"),
        {"data": {bundle.BUNDLE_KEY: "no base64!"}},
        {"data": {bundle.BUNDLE_KEY: None}},
        edited(bundle.render_bundle(trust(), bundle.MAX_BUDGET_BYTES).replace("MII", "MIJ", 1)),
    ],
    ids=range(4),
)
async def test_an_edited_boot_set_is_restored_and_reported_once(rollout: Rollout, data: Json) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    rollout.fleet.change(resources.SECRETS, "shop-trust", data)
    await rollout.step()
    assert rollout.calls == ["apply secrets/shop-trust"]
    assert (rollout.fleet.boot_set("shop").digest, rollout.fleet.boot_set("shop").is_intact) == (trust().digest, True)
    assert rollout.fleet.recorder.events == [("shop", "TrustBootSetRestored")]
    rollout.begin()
    await rollout.step()
    assert (rollout.calls, rollout.fleet.recorder.events) == ([], [])


async def test_an_older_boot_set_is_replaced(rollout: Rollout) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    rollout.fleet.kept("shop", old())
    rollout.fleet.change(
        resources.SECRETS, "shop-trust", edited(bundle.render_bundle(old(), bundle.DEFAULT_BUDGET_BYTES))
    )
    await rollout.step()
    assert rollout.fleet.boot_set("shop").digest == trust().digest


async def test_a_deleted_boot_set_is_restored(rollout: Rollout) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    rollout.fleet.remove(resources.SECRETS, "shop-trust")
    await rollout.step()
    assert rollout.fleet.boot_set("shop").digest == trust().digest
    assert rollout.fleet.recorder.events == [("shop", "TrustBootSetMissing")]


async def test_other_keys_of_the_boot_set_stay(rollout: Rollout) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    rollout.fleet.change(resources.SECRETS, "shop-trust", {"data": {"other": "eA=="}})
    await rollout.step()
    assert (rollout.calls, rollout.fleet.recorder.events) == ([], [])


async def test_nodes_get_the_set_in_force_although_the_previous_one_is_lost(rollout: Rollout) -> None:
    """New machines wait for its proof."""
    rollout.running(old(), old())
    rollout.fleet.change(resources.SECRETS, "shop-trust", edited("x"))
    rollout.fleet.remove(resources.SECRETS, f"shop-trust-{old().short}")
    with pytest.raises(LostSetError):
        await rollout.step()
    assert rollout.shells.opened == ["shop-0"]
    assert rollout.fleet.recorder.events == []  # nothing is restored yet
    rollout.fleet.says("shop-0", trust())
    await rollout.step()
    assert rollout.fleet.boot_set("shop").digest == trust().digest


@pytest.mark.parametrize(
    "body", [{"spec": {"paused": True}}, {"metadata": {"annotations": {PAUSED: ""}}}], ids=["spec", "annotation"]
)
async def test_a_paused_cluster_has_no_steps(rollout: Rollout, body: Json) -> None:
    rollout.running(old(), old())
    rollout.fleet.change(resources.SECRETS, "shop-trust", edited("x"))
    rollout.fleet.change(resources.CLUSTERS, "shop", body)
    await rollout.step()
    assert (rollout.calls, rollout.shells.opened, rollout.fleet.recorder.events) == ([], [], [])


@pytest.mark.parametrize("content", [None, {"x.pem": "bm90aGluZw=="}, "another set"])
async def test_an_unreadable_set_is_not_written(rollout: Rollout, content: Any) -> None:
    """Tenants may write Secrets: content that differs from the named set is ignored."""
    rollout.running(old(), old())
    rollout.fleet.remove(resources.SECRETS, TRUST_SECRET)
    if content is not None:
        data = content if isinstance(content, dict) else secret.set_data(old())
        rollout.fleet.secret(TRUST_SECRET, "shop", "trust", data)
    await rollout.step()
    assert (rollout.calls, rollout.shells.opened) == ([], [])
    assert rollout.fleet.boot_set("shop").digest == old().digest


async def test_a_cluster_without_a_key_or_registries_still_has_a_boot_set(rollout: Rollout) -> None:
    rollout.running(old(), old())
    rollout.fleet.remove(resources.SECRETS, "shop-ssh")
    await rollout.step()
    assert rollout.shells.opened == []
    assert rollout.fleet.boot_set("shop").digest == trust().digest  # machines are replaced


async def test_a_restored_set_is_written_over_an_unrecorded_one(rollout: Rollout) -> None:
    """A manager was killed after it wrote another set, and before it recorded that."""
    rollout.running(trust(), trust())
    for name in ("shop-0", "shop-1"):
        rollout.fleet.says(name, trust())
    rollout.fleet.boots("shop", trust())
    await rollout.step()
    started = {"metadata": {"annotations": {TRUST_WRITE_STARTED: old().digest}}}
    rollout.fleet.change(resources.MACHINES, "shop-1", started)
    rollout.begin()
    for _ in range(2):
        await rollout.step()
    assert rollout.shells.opened == ["shop-1"]
    assert TRUST_WRITE_STARTED not in rollout.fleet.annotations("shop-1", resources.MACHINES)


async def test_sets_of_booted_machines_are_recorded_before_the_plan(rollout: Rollout) -> None:
    rollout.fleet.boots("shop", trust())
    name = rollout.fleet.node("shop", 0, None)
    value = base64.b64encode(bundle.render_bundle(trust(), bundle.DEFAULT_BUDGET_BYTES).encode()).decode()
    rollout.fleet.server.bodies[str(resources.SECRETS), Key(NAMESPACE, f"{name}-data")] = {
        "metadata": {"name": f"{name}-data", "namespace": NAMESPACE},
        "data": {"value": value},
    }
    rollout.begin()
    await rollout.step()
    assert rollout.calls == [f"patch machines/{name}"]
    rollout.begin()
    await rollout.step()
    assert rollout.shells.opened == []  # it already has the set
    assert rollout.holds(name) == trust().digest


async def test_a_joining_machine_is_checked_again(rollout: Rollout) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    assert (await rollout.step()).requeue_after == 0
    rollout.fleet.node("shop", 1, trust(), joined=False)
    assert (await rollout.step()).requeue_after > 0
    assert rollout.shells.opened == []


# Replacement of machines.


def pooled(rollout: Rollout) -> Callable[[str], Any]:
    """Add a control plane and two pools; return a function that reads `rollout.after` of an object."""
    labels = {CLUSTER_NAME_LABEL: "shop"}
    view = rollout.fleet.view
    metadata = {"namespace": NAMESPACE, "labels": labels}
    rollout.fleet.put(resources.CONTROL_PLANES, view.control_planes, {"metadata": {**metadata, "name": "shop-cp"}})
    for name in ("np", "other"):
        named = {**metadata, "name": f"shop-{name}-x7", "labels": {**labels, DEPLOYMENT_NAME_LABEL: name}}
        rollout.fleet.put(resources.MACHINE_DEPLOYMENTS, view.pools, {"metadata": named})
    kinds = {"shop-cp": resources.CONTROL_PLANES}

    def after(name: str) -> Any:
        body = rollout.fleet.server.stored(kinds.get(name, resources.MACHINE_DEPLOYMENTS), name)
        return body.get("spec", {}).get("rollout", {}).get("after")

    return after


async def test_machines_are_replaced_once_for_each_group_after_the_boot_set(rollout: Rollout) -> None:
    rollout.fleet.boots("shop", old())
    rollout.fleet.change(resources.TANZU_CLUSTERS, "shop", {"metadata": {"annotations": {UPDATE_STRATEGY: "Replace"}}})
    rollout.fleet.node("shop", 0, old(), control_plane=True)
    rollout.fleet.node("shop", 1, old())
    after = pooled(rollout)
    rollout.begin()
    await rollout.step()
    assert rollout.calls == ["apply secrets/shop-trust"]
    await rollout.step()
    assert rollout.calls[1:] == ["patch kubeadmcontrolplanes/shop-cp"]
    assert after("shop-cp")
    await rollout.step()
    assert rollout.calls[2:] == []  # its machine is leaving
    rollout.fleet.node("shop", 0, trust(), control_plane=True, proven=True)
    rollout.begin()
    for _ in range(2):
        await rollout.step()
    assert rollout.calls == ["patch clusters/shop", "patch machinedeployments/shop-np-x7"]
    assert after("shop-np-x7")
    assert not after("shop-other-x7")
    assert rollout.shells.opened == []


@pytest.mark.parametrize("why", ["no key", "no access"])
async def test_without_inspection_the_pools_follow_an_accepted_control_plane(rollout: Rollout, why: str) -> None:
    """Whether the runtime verifies stays unknown; the rollout must not wait for it forever."""
    rollout.fleet.boots("shop", trust())
    replaced = {"metadata": {"annotations": {UPDATE_STRATEGY: "Replace"}}}
    if why == "no key":
        rollout.fleet.remove(resources.SECRETS, "shop-ssh")
    else:
        rollout.fleet.change(resources.TANZU_CLUSTERS, "shop", replaced)
    name = rollout.fleet.node("shop", 0, trust(), control_plane=True, proven=True)
    rollout.fleet.node("shop", 1, old())
    after = pooled(rollout)
    inspection = rollout.fleet.annotations(name, resources.MACHINES)[TRUST_INSPECTION]
    rollout.fleet.change(resources.MACHINES, name, {"metadata": {"annotations": {TRUST_INSPECTION: None}}})
    if why == "no access":
        await rollout.step()
        assert not after("shop-np-x7")
        failed = json.loads(inspection) | {"error": "Permission denied", "registries": []}
        body = {"metadata": {"annotations": {TRUST_INSPECTION: json.dumps(failed)}}}
        rollout.fleet.change(resources.MACHINES, name, body)
    for _ in range(2):
        await rollout.step()
    assert after("shop-np-x7")
    assert rollout.shells.opened == []


def unreachable(rollout: Rollout, *, requested: str) -> None:
    rollout.running(trust(), old(), old())
    rollout.fleet.says("shop-0", trust())
    for number in (1, 2):
        rollout.fleet.node("shop", number, old(), silent=True)
    at = NOW.isoformat()
    rollout.fleet.change(resources.CLUSTERS, "shop", {"metadata": {"annotations": {UPDATE_HANDLED_AT: at}}})
    requested_at = {REPLACE_UNREACHABLE: requested or at}
    rollout.fleet.change(resources.TANZU_CLUSTERS, "shop", {"metadata": {"annotations": requested_at}})
    rollout.begin()


async def test_unreachable_nodes_are_replaced_one_at_a_time_on_request(
    rollout: Rollout,
) -> None:
    unreachable(rollout, requested="")
    await rollout.step()
    assert [call for call in rollout.calls if call.startswith("delete")] == ["delete machines/shop-1"]
    assert rollout.fleet.recorder.events == [("shop", "TrustReplacing")]
    assert rollout.shells.opened == []


@pytest.mark.parametrize("requested", ["2020-01-01T00:00:00Z", "now", "\x1b[2J"])
async def test_a_request_for_another_update_replaces_no_machine(rollout: Rollout, requested: str) -> None:
    unreachable(rollout, requested=requested)
    await rollout.step()
    assert not [call for call in rollout.calls if call.startswith("delete")]


async def test_a_machine_replaced_since_the_plan_is_not_deleted(rollout: Rollout) -> None:
    unreachable(rollout, requested="")

    def replaced(what: str) -> None:
        if what.startswith("delete"):
            rollout.fleet.change(resources.MACHINES, "shop-1", {"metadata": {"uid": "another"}})

    rollout.fleet.server.before = replaced
    assert (await rollout.step()).requeue_after > 0
    assert "shop-1" in rollout.fleet.server.names(resources.MACHINES)


def lost_control_plane(rollout: Rollout, *, of: int = 3, checked: bool = True) -> None:
    """Add a control plane with a MachineHealthCheck; its first machine is unreachable."""
    unreachable(rollout, requested="")
    for number in (1, 2):
        rollout.fleet.remove(resources.MACHINES, f"shop-{number}")
    owner = [{"kind": "KubeadmControlPlane", "name": "shop", "controller": True}]
    for number in range(of):
        held = trust() if number else old()
        name = rollout.fleet.node("shop", number, held, silent=not number, control_plane=True, proven=bool(number))
        rollout.fleet.change(resources.MACHINES, name, {"metadata": {"ownerReferences": owner}})
    if checked:
        check(rollout, {CONTROL_PLANE_LABEL: ""})
    rollout.begin()


def check(rollout: Rollout, labels: dict[str, str]) -> None:
    spec = {"clusterName": "shop", "selector": {"matchLabels": labels}}
    body = {"metadata": {"name": "checks", "namespace": NAMESPACE}, "spec": spec}
    rollout.fleet.put(resources.MACHINE_HEALTH_CHECKS, rollout.fleet.view.health_checks, body)


async def test_an_unreachable_control_plane_machine_is_marked_once(rollout: Rollout) -> None:
    lost_control_plane(rollout)
    await rollout.step()
    assert rollout.calls[-1:] == ["patch machines/shop-0"]
    assert rollout.fleet.annotations("shop-0", resources.MACHINES)[REMEDIATE] == ""
    assert rollout.fleet.recorder.events == [("shop", "TrustReplacing")]
    rollout.begin()
    for _ in range(2):
        await rollout.step()
    assert (rollout.calls, rollout.fleet.recorder.events) == ([], [])


async def test_an_existing_mark_stays(rollout: Rollout) -> None:
    lost_control_plane(rollout)
    rollout.fleet.server.before = lambda _: marked(rollout)
    assert (await rollout.step()).requeue_after > 0
    assert rollout.fleet.annotations("shop-0", resources.MACHINES)[REMEDIATE] == "foreign"
    await rollout.step()
    assert rollout.fleet.annotations("shop-0", resources.MACHINES)[REMEDIATE] == "foreign"
    assert rollout.fleet.recorder.events == []


def marked(rollout: Rollout) -> None:
    rollout.fleet.server.before = lambda _: None
    rollout.fleet.change(resources.MACHINES, "shop-0", {"metadata": {"annotations": {REMEDIATE: "foreign"}}})


@pytest.mark.parametrize(("of", "labels"), [(1, {CONTROL_PLANE_LABEL: ""}), (2, {CONTROL_PLANE_LABEL: ""}), (3, {})])
async def test_without_a_health_check_or_a_quorum_no_machine_is_marked(
    rollout: Rollout, of: int, labels: dict[str, str]
) -> None:
    lost_control_plane(rollout, of=of, checked=False)
    check(rollout, labels)
    await rollout.step()
    assert REMEDIATE not in rollout.fleet.annotations("shop-0", resources.MACHINES)
    assert rollout.fleet.recorder.events == []


async def test_one_machine_is_deleted_at_a_time(rollout: Rollout) -> None:
    unreachable(rollout, requested="")
    going = {"metadata": {"deletionTimestamp": NOW.isoformat()}}
    rollout.fleet.change(resources.MACHINES, "shop-1", going)
    await rollout.step()
    assert not [call for call in rollout.calls if call.startswith("delete")]
    rollout.fleet.remove(resources.MACHINES, "shop-1")
    await rollout.step()
    assert [call for call in rollout.calls if call.startswith("delete")] == ["delete machines/shop-2"]


# Cleanup.


async def test_unused_sets_are_deleted_except_the_latest(rollout: Rollout) -> None:
    rollout.running(trust())
    rollout.fleet.says("shop-0", trust())
    rollout.fleet.kept("shop", old())  # used by a node, see below
    names = [f"shop-trust-{number:010}" for number in range(trust_secrets.KEPT_SETS + 2)]
    for number, name in enumerate(names):
        rollout.fleet.secret(name, "shop", "trust", {})
        created = {"metadata": {"creationTimestamp": f"2026-01-{number + 1:02}T00:00:00Z"}}
        rollout.fleet.change(resources.SECRETS, name, created)
    rollout.fleet.change(resources.MACHINES, "shop-0", {"metadata": {"annotations": {TRUST_APPLIED: _booted()}}})
    rollout.fleet.says("shop-0", trust())
    rollout.begin()
    await rollout.step()
    assert sorted(rollout.calls) == [f"delete secrets/{name}" for name in names[:2]]
    assert {TRUST_SECRET, "shop-trust", "shop-ssh", f"shop-trust-{old().short}"} < rollout.fleet.server.names(
        resources.SECRETS
    )


def _booted() -> str:
    record = {"digest": trust().digest, "at": "2026-01-01T00:00:00Z", "method": IN_PLACE, "booted": old().digest}
    return json.dumps(record)


async def test_no_set_is_deleted_while_nodes_wait(rollout: Rollout) -> None:
    rollout.running(old(), old())
    for number in range(trust_secrets.KEPT_SETS + 2):
        rollout.fleet.secret(f"shop-trust-{number:010}", "shop", "trust", {})
    rollout.begin()
    await rollout.step()
    assert not [call for call in rollout.calls if call.startswith("delete")]


@pytest.mark.parametrize("gone", ["cluster", "set"])
async def test_a_deleted_or_unreadable_cluster_uses_no_share_of_the_limit(rollout: Rollout, gone: str) -> None:
    rollout.running(old(), old())
    rollout.reconciler._writer.allowance(SHOP, 10)
    if gone == "cluster":
        rollout.fleet.remove(resources.CLUSTERS, "shop")
    else:
        rollout.fleet.remove(resources.SECRETS, TRUST_SECRET)
    await rollout.step()
    assert rollout.reconciler._writer._demand == {}
    assert (rollout.calls, rollout.shells.opened) == ([], [])


async def test_closing_the_controller_ends_its_writes(rollout: Rollout) -> None:
    rollout.running(old())
    rollout.shells.held["shop-0"] = asyncio.Event()
    await rollout.reconciler.reconcile(SHOP)
    close = rollout.reconciler.controller()._close
    assert close
    await close()
    assert rollout.holds("shop-0") == old().digest
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": 1, "digest": "d"}', '{"machine": "m"}', "[" * 200_000])
def test_an_invalid_record_is_none(text: str) -> None:
    assert parse_canary(text) is None
    assert last_proven_digest({TRUST_PROVEN: text}) is None
    assert last_proven_digest({TRUST_PROVEN: trust().digest}) == trust().digest
