"""The rollout of a changed set to nodes: a real API server and manager, a fake Cluster API, directories as nodes."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.conftest import inlined
from tests.apiserver.controllers.cluster_api import ClusterAPI, Node, Nodes
from tests.apiserver.controllers.conftest import KUBERNETES, Supervisor, born_with, entry, make_ca, until
from tests.apiserver.controllers.workload import (
    NOT_FOUND,
    Kubelet,
    annotation,
    condition_of,
    keep_kubeconfig,
    make_machine,
    registry,
    set_endpoint,
    trust_of,
)

from trustplane.api.annotations import CONTROL_PLANE_LABEL, PAUSED, REMEDIATE, TRUST_CANARY, TRUST_DIGEST, TRUST_PROVEN
from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.clustertrust import BOOTSTRAP, IN_PLACE, TRUST_APPLIED, TRUST_UPDATE_ERROR, VERIFIED, RegistryAccess
from trustplane.api.conditions import TRUST_CURRENT, TRUST_UP_TO_DATE
from trustplane.api.meta import Json, condition
from trustplane.clusterapi import release, secret
from trustplane.fleet import inspection
from trustplane.kube.client import Client
from trustplane.kube.kinds import (
    CLUSTERS,
    CONTROL_PLANES,
    EVENTS,
    MACHINE_DEPLOYMENTS,
    MACHINE_HEALTH_CHECKS,
    MACHINES,
    NODES,
    REGISTRIES,
    RELEASES,
    SECRETS,
)
from trustplane.kube.metrics import RECONCILES
from trustplane.nodes import ssh
from trustplane.nodes.hostkey import REPORTED
from trustplane.rollout.execution.node_write import NodeWriter
from trustplane.trust import recorded

OLD, NEW = entry("corp", make_ca("corp")), entry("apps", make_ca("apps"))
BOTH, BEFORE = {"apps", "corp"}, {"corp"}
DONE = ("True", "UpToDate")
THEN = "2026-01-01T00:00:00Z"


@pytest.fixture
async def kubelet(client: Client) -> AsyncIterator[Kubelet]:
    async with Kubelet(client).running() as kubelet:
        yield kubelet


@pytest.fixture
async def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nodes]:
    """No inspection. tests/node tests how a runtime reaches registries; here it verifies them all."""

    async def reach(_node: Any, wanted: Collection[str]) -> list[RegistryAccess]:
        return [RegistryAccess(registry=host, verification=VERIFIED) for host in sorted(wanted)]

    nodes = Nodes(tmp_path / "nodes")
    monkeypatch.setattr(ssh, "connect", nodes.connect())
    monkeypatch.setattr(inspection, "_registry_access", reach)
    yield nodes
    await nodes.close()


class Stage:
    """Cluster `shop`, whose nodes have proven CA `corp`, and whose manager is off.

    Attributes:
        host: Of the registry that its nodes are to trust.
    """

    def __init__(self, supervisor: Supervisor, capi: ClusterAPI, kubelet: Kubelet, host: str) -> None:
        self.supervisor, self.capi, self.kubelet, self.host = supervisor, capi, kubelet, host
        self.client, self.namespace = supervisor.client, supervisor.namespace

    def node(self, machine: str) -> Node:
        """Return the node of a machine."""
        return self.capi.nodes[machine]

    @property
    def trusted(self) -> dict[str, set[str]]:
        """The names of the entries on each node."""
        return {name: self.capi.nodes[name].trusted for name in self.capi.nodes}

    @property
    def writes(self) -> int:
        """The number of writes to all nodes."""
        return sum(self.capi.nodes[name].writes for name in self.capi.nodes)

    async def change(self, *entries: Json) -> str:
        """Change the service's list, and make the cluster take it; return the digest of the set taken."""
        before = await self.supervisor.cluster("shop")
        await self.supervisor.configure(*entries)
        await self.supervisor.annotate("shop", update_requested_at=datetime.now(UTC).isoformat())
        return digest(await self.supervisor.cluster("shop", lambda found: digest(found) != digest(before)))

    async def current(self) -> None:
        """Wait until every node has the set in force, and has proven it."""
        wanted = digest(await self.supervisor.cluster("shop"))
        await trust_of(
            self.supervisor,
            "shop",
            lambda one: (
                one.status.in_force is not None
                and one.status.in_force.digest == wanted
                and (condition_of(one, "Current"), condition_of(one, "Proven")) == (DONE, ("True", "Proven"))
            ),
        )
        await self.supervisor.cluster("shop", lambda found: found.metadata.annotations.get(TRUST_PROVEN) == wanted)
        await self.supervisor.boot_set("shop", wanted)

    async def have(self, names: list[str]) -> None:
        """Wait until the cluster has taken these entries, and every node has and has proven them."""
        await self.supervisor.trusting("shop", *names)
        await self.current()

    async def written(self, machine: str, wanted: str) -> None:
        """Wait until the write of a set is recorded on a machine."""

        def is_written(found: Machine) -> bool:
            applied = recorded.read_applied_trust(found.metadata.annotations)
            return applied is not None and (applied.digest, applied.method) == (wanted, IN_PLACE)

        await until(self.client, MACHINES, machine, self.namespace, is_written)

    async def boots_with(self) -> str:
        """Return the digest of the boot set."""
        found = await self.client.get(SECRETS, secret.boot_secret_name("shop"), self.namespace)
        return secret.parse_boot_secret(found).digest

    async def says(self, name: str, status: str, reason: str) -> None:
        """Wait until condition TrustUpToDate of a Machine, or of Cluster `shop`, has a status and reason."""

        def is_said(found: Any) -> bool:
            one = condition(found.status.conditions, TRUST_UP_TO_DATE)
            return one is not None and (one.status, one.reason) == (status, reason)

        resource: Any = CLUSTERS if name == "shop" else MACHINES
        await until(self.client, resource, name, self.namespace, is_said)

    async def versions(self) -> dict[str, str]:
        """Return the versions of the Cluster and of its Machines."""
        objects = [*await self.client.list(CLUSTERS, self.namespace), *await self.client.list(MACHINES, self.namespace)]
        return {one.metadata.name: one.metadata.resource_version for one in objects}

    async def told(self, reason: str) -> str:
        """Wait for an Event about the Cluster; return its note."""
        selector = f"regarding.name=shop,reason={reason}"
        async with asyncio.timeout(30):
            async for event in self.client.watch(EVENTS, self.namespace, version="", fields=selector):
                if event.type == "ADDED":
                    return str(EVENTS.decode(event.object)["note"])
        raise AssertionError


def digest(cluster: Cluster) -> str:
    """Return the digest of the set that a cluster has taken."""
    return cluster.metadata.annotations[TRUST_DIGEST]


@contextlib.asynccontextmanager
async def staged(
    supervisor: Supervisor, nodes: Nodes, kubelet: Kubelet, kubeconfig: Json, **sizes: int
) -> AsyncIterator[Stage]:
    """Provide the stage during the block."""
    capi = ClusterAPI(supervisor, "shop", nodes, **sizes)
    async with registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        stage = Stage(supervisor, capi, kubelet, host)
        await supervisor.configure(OLD)
        async with capi.running():
            async with supervisor.running():
                await supervisor.make("shop")
                await supervisor.label("shop", "test", supervisor.namespace)
                await supervisor.cluster("shop", lambda one: one.metadata.labels.get("test") == supervisor.namespace)
                await set_endpoint(supervisor, "shop", kubeconfig["clusters"][0]["cluster"]["server"])
                await keep_kubeconfig(supervisor, "shop", inlined(kubeconfig))
                await stage.current()
            assert stage.trusted == dict.fromkeys(stage.trusted, BEFORE)
            assert stage.writes == 0  # the nodes booted with it
            yield stage


@pytest.fixture
async def stage(supervisor: Supervisor, nodes: Nodes, kubelet: Kubelet, apiserver: Any) -> AsyncIterator[Stage]:
    async with staged(supervisor, nodes, kubelet, apiserver.kubeconfig) as stage:
        yield stage


async def test_one_node_goes_first_and_others_and_new_machines_follow_its_proof(stage: Stage) -> None:
    stage.kubelet.may_answer.clear()
    async with stage.supervisor.running():
        before = await stage.boots_with()
        wanted = await stage.change(OLD, NEW)
        await stage.written("shop-np-0", wanted)
        canary = await stage.supervisor.cluster("shop", lambda one: TRUST_CANARY in one.metadata.annotations)
        assert canary.metadata.annotations[TRUST_CANARY] == f'{{"machine":"shop-np-0","digest":"{wanted}"}}'
        assert stage.trusted == {"shop-cp-0": BEFORE, "shop-np-0": BOTH, "shop-np-1": BEFORE}
        assert await stage.boots_with() == before
        trust = await trust_of(
            stage.supervisor, "shop", lambda one: condition_of(one, "Current") == ("False", "Updating")
        )
        assert "Proven" not in condition_of(trust, "Proven")

        stage.kubelet.may_answer.set()
        await stage.current()
        assert stage.trusted == dict.fromkeys(("shop-cp-0", "shop-np-0", "shop-np-1"), BOTH)
        assert (stage.writes, stage.capi.replaced, await stage.boots_with()) == (3, [], wanted)
    # The previous set of both is available for undo: that written in place, and that of the bootstrap data.
    assert await stage.client.find(SECRETS, secret.set_secret_name("shop", before), stage.namespace)


async def test_machines_and_the_cluster_report_who_has_the_set(stage: Stage) -> None:
    foreign = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": THEN}
    metadata = {"name": "shop-np-1", "namespace": stage.namespace}
    body: Json = {"metadata": metadata, "status": {"conditions": [foreign]}}
    await stage.client.apply(MACHINES, body, manager="capi", subresource="status")
    stage.kubelet.may_answer.clear()
    async with stage.supervisor.running():
        for name in ("shop", "shop-cp-0", "shop-np-0", "shop-np-1"):
            await stage.says(name, "True", "UpToDate")
        wanted = await stage.change(OLD, NEW)
        await stage.written("shop-np-0", wanted)
        await stage.says("shop-np-0", "True", "UpToDate")
        await stage.says("shop-np-1", "False", "Waiting")
        await stage.says("shop", "False", "Proving")
        stage.kubelet.may_answer.set()
        await stage.current()
        for name in ("shop", "shop-cp-0", "shop-np-0", "shop-np-1"):
            await stage.says(name, "True", "UpToDate")
    machine = json.loads(await stage.client.raw("GET", MACHINES.path(stage.namespace, "shop-np-1")))
    assert {one["type"] for one in machine["status"]["conditions"]} == {"Ready", TRUST_UP_TO_DATE}
    managed = {(one["manager"], one["operation"]): one["fieldsV1"] for one in machine["metadata"]["managedFields"]}
    ours = managed["trustplane", "Apply"]
    assert (list(ours), list(ours["f:status"])) == (["f:status"], ["f:conditions"])
    assert list(ours["f:status"]["f:conditions"]) == [f'k:{{"type":"{TRUST_UP_TO_DATE}"}}']


async def test_without_changes_nothing_is_written_to_cluster_apis_objects(stage: Stage) -> None:
    async with stage.supervisor.running():
        for name in ("shop", "shop-cp-0", "shop-np-0", "shop-np-1"):
            await stage.says(name, "True", "UpToDate")
    before, count = await stage.versions(), reconciles()
    async with stage.supervisor.running():
        for number in range(3):  # which wakes every cluster
            spec = {"host": f"other-{number}.corp.test", "clusterSelector": {"matchLabels": {"none": "of-ours"}}}
            body = {"metadata": {"name": f"other-{stage.namespace}"}, "spec": spec}
            await stage.client.apply(REGISTRIES, body, manager="user")
            async with asyncio.timeout(30):
                while reconciles() < count + number + 1:  # noqa: ASYNC110  a counter tells nobody
                    await asyncio.sleep(0.05)
    await stage.client.delete(REGISTRIES, f"other-{stage.namespace}")
    assert await stage.versions() == before


async def test_a_removed_condition_of_trustplane_is_restored(stage: Stage) -> None:
    async with stage.supervisor.running():
        await stage.says("shop-np-0", "True", "UpToDate")
        none: Json = {"status": {"conditions": None}}
        await stage.client.patch(MACHINES, "shop-np-0", stage.namespace, none, subresource="status")
        await stage.says("shop-np-0", "True", "UpToDate")


def reconciles() -> float:
    """Return the number of checks of conditions."""
    return float(RECONCILES.labels("up-to-date", "success")._value.get())


async def test_p6_a_removal_reaches_every_node_and_the_boot_set(stage: Stage) -> None:
    async with stage.supervisor.running():
        await stage.change(OLD, NEW)
        await stage.current()
        wanted = await stage.change(OLD)
        await stage.current()
        assert stage.trusted == dict.fromkeys(("shop-cp-0", "shop-np-0", "shop-np-1"), BEFORE)
        assert await stage.boots_with() == wanted


async def test_a_refusal_stops_the_rollout_and_the_others_keep_their_set(stage: Stage) -> None:
    stage.kubelet.refuses = lambda node, _: stage.node(node).trusted == BOTH
    async with stage.supervisor.running():
        before = await stage.boots_with()
        await stage.change(OLD, NEW)
        trust = await trust_of(
            stage.supervisor, "shop", lambda one: condition_of(one, "Current") == ("False", "Stopped")
        )
        found = condition(trust.status.conditions, "Current")
        assert found is not None
        fingerprint = next(one for one in trust.status.desired.entries if one.name == "apps").fingerprints[0]  # type: ignore[union-attr]
        for words in ("shop-np-0", f"{stage.host} is not trusted", fingerprint[:10]):
            assert words in found.message
        assert stage.trusted == {"shop-cp-0": BEFORE, "shop-np-0": BOTH, "shop-np-1": BEFORE}
        assert await stage.boots_with() == before
        reported = await stage.supervisor.tkc("shop", lambda tkc: _reason(tkc) == "Stopped")
        assert stage.host in next(one.message for one in reported.status.conditions if one.type == TRUST_CURRENT)

        await stage.change(OLD)
        await stage.current()
        assert stage.trusted == dict.fromkeys(("shop-cp-0", "shop-np-0", "shop-np-1"), BEFORE)


def _reason(tkc: Any) -> str:
    found = condition([*tkc.status.conditions], TRUST_CURRENT)
    return found.reason if found else ""


async def test_a_write_interrupted_before_its_record_is_judged_by_its_changes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.kubelet.refuses = lambda node, _: stage.node(node).trusted == BOTH
    written = asyncio.Event()

    annotate = NodeWriter._annotate

    async def die(writer: NodeWriter, machine: Machine, annotations: dict[str, Any]) -> None:
        if TRUST_APPLIED not in annotations:
            return await annotate(writer, machine, annotations)
        written.set()
        return await asyncio.Future()

    with monkeypatch.context() as patch:
        patch.setattr(NodeWriter, "_annotate", die)
        async with stage.supervisor.running() as task:
            await stage.change(OLD, NEW)
            await asyncio.wait_for(written.wait(), 30)
            task.cancel()
    assert stage.trusted == {"shop-cp-0": BEFORE, "shop-np-0": BOTH, "shop-np-1": BEFORE}
    async with stage.supervisor.running():  # which has nothing to write there
        await trust_of(stage.supervisor, "shop", lambda one: condition_of(one, "Current") == ("False", "Stopped"))
    assert stage.trusted == {"shop-cp-0": BEFORE, "shop-np-0": BOTH, "shop-np-1": BEFORE}


async def test_the_boot_set_of_each_machine_is_known_separately(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(OLD)
        await supervisor.make("c")
        text = await supervisor.boot_set("c", digest(await supervisor.trusting("c", "corp")))
        for number in range(25):
            await make_machine(supervisor, "c", f"a-{number}", "")  # of a template without Trustplane's files
        await make_machine(supervisor, "c", "b", text)
        found = await until(supervisor.client, MACHINES, "b", supervisor.namespace, _is_recorded)
        applied = recorded.read_applied_trust(found.metadata.annotations)
        assert applied is not None
        assert (applied.method, applied.digest, applied.booted) == (BOOTSTRAP, born_with(text), born_with(text))


def _is_recorded(machine: Machine) -> bool:
    return TRUST_APPLIED in machine.metadata.annotations


async def test_a_node_that_is_off_delays_no_other_and_takes_the_set_when_it_returns(stage: Stage) -> None:
    await stage.node("shop-np-0").stop()  # the first candidate
    async with stage.supervisor.running():
        wanted = await stage.change(OLD, NEW)
        for machine in ("shop-np-1", "shop-cp-0"):
            await stage.written(machine, wanted)
        await stage.supervisor.boot_set("shop", wanted)
        trust = await trust_of(stage.supervisor, "shop", lambda one: "shop-np-0" in _message(one, "Current"))
        assert condition_of(trust, "Current") == ("False", "Updating")
        assert "Cannot open SSH" in (await annotation(stage.supervisor, "shop-np-0", TRUST_UPDATE_ERROR))["message"]
        await stage.node("shop-np-0").start()
        await stage.current()
        assert await annotation(stage.supervisor, "shop-np-0", TRUST_UPDATE_ERROR) == {}


def _message(trust: Any, type_: str) -> str:
    found = condition(trust.status.conditions, type_)
    return found.message if found else ""


async def test_another_host_key_is_refused_and_nothing_is_sent(stage: Stage) -> None:
    await stage.node("shop-np-1").rekey()
    async with stage.supervisor.running():
        wanted = await stage.change(OLD, NEW)
        for machine in ("shop-np-0", "shop-cp-0"):
            await stage.written(machine, wanted)
        await until(stage.client, MACHINES, "shop-np-1", stage.namespace, _is_hindered)
        update_error = await annotation(stage.supervisor, "shop-np-1", TRUST_UPDATE_ERROR)
        assert "Another machine answers at the address of Machine shop-np-1" in update_error["message"]
        assert (stage.node("shop-np-1").trusted, stage.node("shop-np-1").writes) == (BEFORE, 0)
        await trust_of(stage.supervisor, "shop", lambda one: "host key" in _message(one, "Current"))
        # The node generated new keys, and reports them.
        body = {"metadata": {"annotations": {REPORTED: f"{stage.node('shop-np-1').host_key},"}}}
        await stage.client.patch(NODES, "shop-np-1", "", body)
        await stage.current()


async def test_an_unreachable_control_plane_machine_is_replaced_by_its_health_check(
    supervisor: Supervisor, nodes: Nodes, kubelet: Kubelet, apiserver: Any
) -> None:
    async with staged(supervisor, nodes, kubelet, apiserver.kubeconfig, control_plane=3, workers=1) as stage:
        client, namespace = stage.client, stage.namespace
        plane: Any = await client.get(CONTROL_PLANES, "shop-cp", namespace)
        owner = {"apiVersion": CONTROL_PLANES.api_version, "kind": CONTROL_PLANES.kind, "name": "shop-cp"}
        for name in stage.capi.machines("cp"):
            owners = [{**owner, "uid": plane.metadata.uid, "controller": True}]
            await client.patch(MACHINES, name, namespace, {"metadata": {"ownerReferences": owners}})
        await stage.node("shop-cp-1").stop()
        await _is_silent(stage, "shop-cp-1")
        async with stage.supervisor.running():
            at = datetime.now(UTC).isoformat()
            await stage.supervisor.configure(OLD, NEW)
            await stage.supervisor.annotate("shop", update_requested_at=at, replace_unreachable=at)
            await trust_of(
                stage.supervisor, "shop", lambda one: "shop-cp-1 is not replaced" in _message(one, "Current")
            )
            spec = {"clusterName": "shop", "selector": {"matchLabels": {CONTROL_PLANE_LABEL: ""}}}
            metadata = {"name": "checks", "namespace": namespace}
            await client.create(MACHINE_HEALTH_CHECKS, {"metadata": metadata, "spec": spec})
            found = await until(
                client, MACHINES, "shop-cp-1", namespace, lambda one: REMEDIATE in one.metadata.annotations
            )
            assert found.metadata.annotations[REMEDIATE] == ""
            assert "marked for its MachineHealthCheck" in await stage.told("TrustReplacing")
            assert await client.find(MACHINES, "shop-cp-1", namespace)  # the manager itself deletes none of them
            await client.delete(MACHINES, "shop-cp-1", namespace)  # as its owner does then
            await stage.current()
            marked = [one for one in await client.list(MACHINES, namespace) if REMEDIATE in one.metadata.annotations]
            assert (marked, stage.capi.machines("cp")) == ([], ["shop-cp-0", "shop-cp-2", "shop-cp-3"])
            assert stage.trusted == dict.fromkeys(stage.trusted, BOTH)


async def _is_silent(stage: Stage, machine: str) -> None:
    """Report as Cluster API that the kubelet of a machine does not respond."""
    ready = {
        "type": "NodeReady",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await stage.client.patch(
        MACHINES, machine, stage.namespace, {"status": {"conditions": [ready]}}, subresource="status"
    )


def _is_hindered(machine: Machine) -> bool:
    return TRUST_UPDATE_ERROR in machine.metadata.annotations


async def test_the_control_plane_is_written_one_by_one(
    supervisor: Supervisor, nodes: Nodes, kubelet: Kubelet, apiserver: Any
) -> None:
    async with staged(supervisor, nodes, kubelet, apiserver.kubeconfig, control_plane=3, workers=1) as stage:
        counts = [0]

        def judge(_node: str, _host: str) -> bool:
            counts.append(sum(stage.node(machine).trusted == BOTH for machine in stage.capi.machines("cp")))
            return False

        kubelet.refuses = judge
        async with supervisor.running():
            await stage.change(OLD, NEW)
            await stage.current()
        # At each probe, at most one more kubelet had the set than at the previous one.
        assert all(after - before <= 1 for before, after in itertools.pairwise(counts))
        assert stage.trusted == dict.fromkeys(stage.trusted, BOTH)


@pytest.mark.timeout(900)
async def test_a_manager_killed_after_any_step_converges_to_the_same_state(stage: Stage) -> None:
    sets = ((OLD, NEW), (OLD,))
    for step in range(1, 100):
        entries = sets[(step + 1) % 2]
        names = sorted(one["name"] for one in entries)
        await stage.supervisor.configure(*entries)
        await stage.supervisor.annotate("shop", update_requested_at=datetime.now(UTC).isoformat())
        is_killed = await _live_until(stage, step, names)
        async with stage.supervisor.running():
            await stage.have(names)
            assert all(found == set(names) for found in stage.trusted.values()), f"step {step}"
        if not is_killed:
            break
    assert step > 8
    assert stage.capi.replaced == []


async def _live_until(stage: Stage, step: int, names: list[str]) -> bool:
    """Run a manager that is killed after a number of its writes about the rollout; return whether it was."""
    manager, killed, count = stage.supervisor._manager, asyncio.Event(), 0
    originals = {name: getattr(manager, name) for name in ("create", "apply", "patch", "delete")}

    def mortal(name: str) -> Any:
        async def write(resource: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal count
            if resource not in (CLUSTERS, MACHINES, SECRETS):
                return await originals[name](resource, *arguments, **named)
            if killed.is_set():
                await asyncio.Future()  # it is dead
            found = await originals[name](resource, *arguments, **named)
            count += 1
            if count >= step:
                killed.set()
            return found

        return write

    with pytest.MonkeyPatch.context() as patch:
        for name in originals:
            patch.setattr(manager, name, mortal(name))
        async with stage.supervisor.running() as task:
            ends = [asyncio.create_task(awaitable) for awaitable in (stage.have(names), killed.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if killed.is_set():
                task.cancel()
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
    return killed.is_set()


async def test_an_edited_boot_set_is_restored_and_reported(stage: Stage) -> None:
    name = secret.boot_secret_name("shop")
    async with stage.supervisor.running():
        before = await stage.client.get(SECRETS, name, stage.namespace)
        evil = base64.b64encode(base64.b64decode(before.data["bundle.pem"]).replace(b"MII", b"XII", 1)).decode()
        await stage.client.patch(SECRETS, name, stage.namespace, {"data": {"bundle.pem": evil}})
        await until(stage.client, SECRETS, name, stage.namespace, lambda found: found.data == before.data)
        assert "was edited" in await stage.told("TrustBootSetRestored")

        await stage.client.delete(SECRETS, name, stage.namespace)
        again = await until(
            stage.client, SECRETS, name, stage.namespace, lambda found: found.metadata.uid != before.metadata.uid
        )
        assert again.data == before.data
        assert "was missing" in await stage.told("TrustBootSetMissing")
    assert (stage.writes, stage.capi.replaced) == (0, [])


async def test_a_forged_part_of_the_set_is_corrected(stage: Stage) -> None:
    name = secret.boot_secret_name("shop")
    async with stage.supervisor.running():
        before = await stage.client.get(SECRETS, name, stage.namespace)
        text = base64.b64decode(before.data["bundle.pem"]).decode()
        head, _, rest = text.partition("\n")
        made_up = f"{head}\ntrustplane-partial\n{rest.replace('tkg-corp', 'tkg-evil')}"
        body = {"data": {"bundle.pem": base64.b64encode(made_up.encode()).decode()}}
        await stage.client.patch(SECRETS, name, stage.namespace, body)
        await until(stage.client, SECRETS, name, stage.namespace, lambda found: found.data == before.data)
        assert "was edited" in await stage.told("TrustBootSetRestored")


@pytest.mark.parametrize("how", ["spec", "annotation"])
async def test_a_paused_cluster_does_not_change(stage: Stage, how: str) -> None:
    on: Json = {"spec": {"paused": True}} if how == "spec" else {"metadata": {"annotations": {PAUSED: ""}}}
    off: Json = {"spec": {"paused": False}} if how == "spec" else {"metadata": {"annotations": {PAUSED: None}}}
    async with stage.supervisor.running():
        await stage.client.patch(CLUSTERS, "shop", stage.namespace, on)
        await stage.change(OLD, NEW)
        await trust_of(stage.supervisor, "shop", lambda one: "The cluster is paused" in _message(one, "Current"))
        assert stage.writes == 0
        await stage.client.patch(CLUSTERS, "shop", stage.namespace, off)
        await stage.current()
        assert stage.trusted == dict.fromkeys(stage.trusted, BOTH)


async def test_replace_rolls_the_control_plane_and_then_the_pools_and_writes_to_no_node(stage: Stage) -> None:
    await stage.supervisor.annotate("shop", update_strategy="Replace")
    async with stage.supervisor.running():
        wanted = await stage.change(OLD, NEW)
        await stage.current()
        assert (await stage.boots_with(), stage.writes) == (wanted, 0)
        assert stage.trusted == dict.fromkeys(stage.trusted, BOTH)
        groups = [one.split("-")[1] for one in stage.capi.replaced]
        assert groups == sorted(groups)  # the control plane, `cp`, before the pool
        assert {"shop-cp-0", "shop-np-0", "shop-np-1"} <= set(stage.capi.replaced)
        for resource, name in ((CONTROL_PLANES, "shop-cp"), (MACHINE_DEPLOYMENTS, "shop-np")):
            found: Any = await stage.client.get(resource, name, stage.namespace)
            assert found.spec.rollout.after is not None


async def test_p4_an_update_of_the_release_starts_when_new_machines_boot_with_the_set(stage: Stage) -> None:
    await stage.client.apply(RELEASES, release.release_body("v1.36.4"), manager="test")
    stage.kubelet.may_answer.clear()
    async with stage.supervisor.running():
        await stage.supervisor.configure(OLD, NEW)
        await stage.supervisor.tkc("shop", lambda tkc: _reason(tkc) == "Held")
        await stage.supervisor.make("shop", release="v1.36.4")
        wanted = digest(await stage.supervisor.trusting("shop", "apps", "corp"))
        await stage.written("shop-np-0", wanted)
        assert (await stage.supervisor.cluster("shop")).spec.topology.version == KUBERNETES

        stage.kubelet.may_answer.set()
        await stage.supervisor.cluster("shop", lambda one: one.spec.topology.version == "v1.36.4")
        assert await stage.boots_with() == wanted
        await stage.current()


async def test_p4_a_refused_set_blocks_the_update(stage: Stage) -> None:
    await stage.client.apply(RELEASES, release.release_body("v1.36.4"), manager="test")
    stage.kubelet.refuses = lambda node, _: stage.node(node).trusted == BOTH
    async with stage.supervisor.running():
        await stage.supervisor.configure(OLD, NEW)
        await stage.supervisor.tkc("shop", lambda tkc: _reason(tkc) == "Held")
        await stage.supervisor.make("shop", release="v1.36.4")
        await trust_of(stage.supervisor, "shop", lambda one: condition_of(one, "Current") == ("False", "Stopped"))
        assert (await stage.supervisor.cluster("shop")).spec.topology.version == KUBERNETES

        await stage.change(OLD)
        await stage.supervisor.cluster("shop", lambda one: one.spec.topology.version == "v1.36.4")
        await stage.current()


async def test_without_a_key_machines_are_replaced(supervisor: Supervisor, nodes: Nodes) -> None:
    """A Cluster of a user's class, which names its CAs by the variable `trust`."""
    client, capi = supervisor.client, ClusterAPI(supervisor, "theirs", nodes)
    await _their_list(supervisor, corp=OLD["data"])
    async with capi.running(), supervisor.running():
        await _have(nodes, capi, {"corp"}, supervisor)
        await _their_list(supervisor, corp=OLD["data"], apps=NEW["data"])
        await _have(nodes, capi, {"apps", "corp"}, supervisor)
        assert sum(nodes[name].writes for name in nodes) == 0
        assert len(capi.replaced) >= 3
        assert await client.find(SECRETS, "theirs-ssh", supervisor.namespace) is None


async def _their_list(supervisor: Supervisor, **data: str) -> None:
    listed = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    metadata = {"name": "theirs-user-trusted-ca-secret", "namespace": supervisor.namespace}
    await supervisor.client.apply(SECRETS, {"metadata": metadata, "data": listed}, manager="user")
    value = {"additionalTrustedCAs": [{"name": name} for name in data]}
    topology = {
        "classRef": {"name": "own-class"},
        "version": KUBERNETES,
        "variables": [{"name": "trust", "value": value}],
    }
    metadata = {"name": "theirs", "namespace": supervisor.namespace}
    await supervisor.client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")


async def _have(nodes: Nodes, capi: ClusterAPI, names: set[str], supervisor: Supervisor) -> None:
    """Wait until all machines exist with these entries on their nodes, and the manager reports it."""
    async with asyncio.timeout(60):
        while len(list(nodes)) < 3 or any(nodes[node].trusted != names for node in nodes):  # noqa: ASYNC110  directories
            await asyncio.sleep(0.1)
    for machine in (*capi.machines("cp"), *capi.machines("np")):
        await until(supervisor.client, MACHINES, machine, supervisor.namespace, _is_recorded)
    await trust_of(supervisor, "theirs", lambda one: condition_of(one, "Current") == DONE)
