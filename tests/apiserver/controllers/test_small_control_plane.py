"""Trust of small control planes in place, on a real API server, with a played Cluster API and directories as nodes."""

import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.controllers.cluster_api import MANAGER, ClusterAPI, Node
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, trusted, until, until_gone

from trustplane.api.annotations import PAUSED, ROLLOUT
from trustplane.api.conditions import TRUE, TRUST_CURRENT
from trustplane.api.meta import Json, condition
from trustplane.clusterapi.small_control_plane import PAUSE
from trustplane.controllers.resources import CLUSTER_TRUSTS, CLUSTERS, TANZU_CLUSTERS
from trustplane.kube.kinds import EVENTS
from trustplane.machines.resources import CONTROL_PLANES, KUBEADM_CONFIGS, MACHINES
from trustplane.nodes import ssh
from trustplane.trust.policy import IN_PLACE

OLD, NEW = entry("corp", make_ca("corp")), entry("apps", make_ca("apps"))


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """The node behind every machine; its SSH server needs no privileged port."""
    node = Node(tmp_path / "node")
    await node.start()
    monkeypatch.setattr(ssh, "connect", functools.partial(ssh.connect, port=node.port))
    yield node
    await node.stop()


@contextlib.asynccontextmanager
async def cluster(supervisor: Supervisor) -> AsyncIterator[ClusterAPI]:
    """Make cluster `shop` with one CA; its manager is stopped when the block begins."""
    await supervisor.configure(OLD)
    capi = ClusterAPI(supervisor, "shop")
    async with supervisor.running():
        await supervisor.make("shop")
        await supervisor.trusting("shop", "corp")
        async with capi.running():
            await supervisor.tkc("shop", is_current)
    async with capi.running():
        yield capi


def is_current(tkc: Any) -> bool:
    found = condition(list(tkc.status.conditions), TRUST_CURRENT)
    return found is not None and found.status == TRUE


async def change(supervisor: Supervisor, *entries: Json) -> None:
    """Have the service's list changed, and the cluster take it."""
    await supervisor.configure(*entries)
    await supervisor.annotate("shop", update_requested_at=datetime.now(UTC).isoformat())


async def current(supervisor: Supervisor, *names: str) -> None:
    """Wait until every machine has the set."""
    # The strategy is dropped when the last machine has it, so that an older TrustCurrent is not taken for a new one.
    await supervisor.cluster("shop", lambda found: trusted(found) == [*names] and not is_under_way(found))
    await supervisor.tkc("shop", is_current)


def is_under_way(found: Any) -> bool:
    return found.metadata.annotations.get(ROLLOUT) == IN_PLACE or bool(found.control_plane_override("trust"))


async def control_plane(supervisor: Supervisor) -> Json:
    return await supervisor.client.get(CONTROL_PLANES, "shop-cp", supervisor.namespace)


def pause(found: Json) -> str | None:
    return (found["metadata"].get("annotations") or {}).get(PAUSED)


def is_ours(found: Json) -> bool:
    return (pause(found) or "").startswith(PAUSE)


async def until_pause(supervisor: Supervisor, *, ours: bool) -> None:
    await until(
        supervisor.client, CONTROL_PLANES, "shop-cp", supervisor.namespace, lambda found: is_ours(found) is ours
    )


async def test_no_machine_is_replaced_and_no_pause_is_left(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor) as capi, supervisor.running():
        await change(supervisor, OLD, NEW)
        await current(supervisor, "apps", "corp")
        await until_pause(supervisor, ours=False)
        assert (capi.replaced, node.trusted) == ([], {"apps", "corp"})
        wanted = (await control_plane(supervisor))["spec"]["kubeadmConfigSpec"]["files"]
        config = await supervisor.client.get(KUBEADM_CONFIGS, "shop-cp-0", supervisor.namespace)
        assert config["spec"]["files"] == wanted
        owners = [one["manager"] for one in config["metadata"]["managedFields"] if "f:spec" in one["fieldsV1"]]
        assert owners == [MANAGER]
        await change(supervisor)
        await current(supervisor)
        await until_pause(supervisor, ours=False)
        assert (capi.replaced, node.trusted) == ([], set())


async def test_a_manager_that_is_killed_again_and_again_ends_with_the_same(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor) as capi:
        await change(supervisor, OLD, NEW)
        async with supervisor.running() as task:
            await until_pause(supervisor, ours=True)
            task.cancel()
        assert is_ours(await control_plane(supervisor))
        await node.stop()
        async with supervisor.running() as task:
            await until(supervisor.client, MACHINES, "shop-cp-0", supervisor.namespace, hinders("Cannot open SSH"))
            task.cancel()
        await node.start()
        async with supervisor.running() as task:
            await until(supervisor.client, MACHINES, "shop-cp-0", supervisor.namespace, has_applied)
            task.cancel()
        async with supervisor.running():
            await current(supervisor, "apps", "corp")
            await until_pause(supervisor, ours=False)
        assert (capi.replaced, node.trusted, node.writes) == ([], {"apps", "corp"}, 1)


def has_applied(machine: Json) -> bool:
    return "trustplane.dev/trust-applied" in machine["metadata"].get("annotations", {})


def hinders(words: str) -> Any:
    return lambda found: words in found["metadata"].get("annotations", {}).get("trustplane.dev/trust-hindrance", "")


async def test_a_node_that_does_not_answer_is_told_and_replaced_on_demand(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor) as capi, supervisor.running():
        await node.stop()
        await change(supervisor, OLD, NEW)

        def is_failed(trust: Any) -> bool:
            told = [one for one in trust.status.nodes if one.name == "shop-cp-0"]
            return any(one.state == "Failed" and "update-strategy: Replace" in one.message for one in told)

        await until(supervisor.client, CLUSTER_TRUSTS, "shop", supervisor.namespace, is_failed)
        assert is_ours(await control_plane(supervisor))
        await supervisor.annotate("shop", update_strategy="Replace")
        await until_pause(supervisor, ours=False)
        await current(supervisor, "apps", "corp")
        assert capi.replaced == ["shop-cp-0"]
        machine = await supervisor.client.get(MACHINES, "shop-cp-0", supervisor.namespace)
        assert "trustplane.dev/trust-hindrance" not in machine["metadata"]["annotations"]


async def test_a_node_that_shows_another_host_key_gets_nothing(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor):
        pinned = {"metadata": {"annotations": {"trustplane.dev/ssh-host-key": "ssh-ed25519 AAAA"}}}
        await supervisor.client.patch(MACHINES, "shop-cp-0", supervisor.namespace, pinned)
        async with supervisor.running():
            await change(supervisor, OLD, NEW)
            await until(supervisor.client, MACHINES, "shop-cp-0", supervisor.namespace, hinders("host key"))
            events = await supervisor.client.list(EVENTS, supervisor.namespace)
            assert "TrustRefused" in {one["reason"] for one in events if one["regarding"]["name"] == "shop-cp-0"}
            assert node.trusted == set()


async def test_a_users_pause_is_waited_for(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor) as capi, supervisor.running():
        await _set_pause(supervisor, "maintenance")
        await change(supervisor, OLD, NEW)
        await supervisor.cluster("shop", lambda found: found.control_plane_override("trust") is not None)
        await until(
            supervisor.client, CLUSTER_TRUSTS, "shop", supervisor.namespace, lambda one: one.status.difference == ""
        )
        assert (pause(await control_plane(supervisor)), node.trusted) == ("maintenance", set())
        await _set_pause(supervisor, None)
        await current(supervisor, "apps", "corp")
        assert (capi.replaced, node.trusted) == ([], {"apps", "corp"})


async def _set_pause(supervisor: Supervisor, value: str | None) -> None:
    body = {"metadata": {"annotations": {PAUSED: value}}}
    await supervisor.client.patch(CONTROL_PLANES, "shop-cp", supervisor.namespace, body)


async def test_nothing_is_paused_before_the_workers_are_done(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor) as capi, supervisor.running():
        capi.are_workers_held = True
        await change(supervisor, OLD, NEW)
        await supervisor.cluster("shop", lambda found: found.control_plane_override("trust") is not None)
        assert (pause(await control_plane(supervisor)), node.trusted) == (None, set())
        capi.are_workers_held = False
        await supervisor.label("shop", "any", "change")
        await current(supervisor, "apps", "corp")
        assert (capi.replaced, node.trusted) == ([], {"apps", "corp"})


async def test_the_pause_ends_with_the_cluster(supervisor: Supervisor, node: Node) -> None:
    async with cluster(supervisor), supervisor.running():
        await node.stop()
        # Cluster API has a finalizer there, and cannot remove it while the control plane is paused.
        body = {"metadata": {"finalizers": ["cluster.x-k8s.io/test"]}}
        await supervisor.client.patch(CLUSTERS, "shop", supervisor.namespace, body)
        await change(supervisor, OLD, NEW)
        await until_pause(supervisor, ours=True)
        await supervisor.client.delete(TANZU_CLUSTERS, "shop", supervisor.namespace)
        await until_pause(supervisor, ours=False)
        await supervisor.forget("shop", CLUSTERS)
        await until_gone(supervisor.client, TANZU_CLUSTERS, "shop", supervisor.namespace)
