"""A tenant's Secret and Cluster can harm only the tenant's cluster, and its status reports the harm."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.conftest import post
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca
from tests.apiserver.controllers.workload import (
    NOT_FOUND,
    Inspector,
    Kubelet,
    condition_of,
    keep_kubeconfig,
    make_nodes,
    registry,
    trust_of,
)

from trustplane.api.clustertrust import ClusterTrust
from trustplane.api.keys import Key
from trustplane.api.meta import Json, condition
from trustplane.controllers.proof import controller
from trustplane.kube import reach
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, EVENTS
from trustplane.kube.unreadable import REASON

ACCEPTED = "KubeconfigAccepted"
REFUSED = ("False", "KubeconfigRefused")


@pytest.fixture
async def kubelet(client: Client) -> AsyncIterator[Kubelet]:
    async with Kubelet(client).running() as kubelet:
        yield kubelet


@pytest.fixture(autouse=True)
def inspector(monkeypatch: pytest.MonkeyPatch) -> Inspector:
    """No node of these tests has an SSH server."""
    inspector = Inspector()
    monkeypatch.setattr(controller, "inspect_node", inspector.inspect)
    return inspector


async def cluster(supervisor: Supervisor, name: str, kubeconfig: Json, endpoint: str = "") -> None:
    """Make a cluster of one node."""
    await supervisor.make(name)
    await supervisor.label(name, "test", supervisor.namespace)
    await supervisor.trusting(name, "corp")
    await supervisor.cluster(name, lambda one: one.metadata.labels.get("test") == supervisor.namespace)
    await supervisor.play(name)
    await make_nodes(supervisor, name, f"{name}-0", kubeconfig=kubeconfig, endpoint=endpoint)


async def refused(supervisor: Supervisor, name: str, field: str) -> str:
    """Wait until a refusal names a field; return its message."""

    def is_refused(trust: ClusterTrust) -> bool:
        one = condition(trust.status.conditions, ACCEPTED)
        return condition_of(trust, ACCEPTED) == REFUSED and one is not None and field in one.message

    trust = await trust_of(supervisor, name, is_refused)
    found = condition(trust.status.conditions, ACCEPTED)
    assert found
    return found.message


async def test_a_kubeconfig_that_runs_a_program_is_refused_and_reported(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(ran)]}
    evil = {**apiserver.inline, "users": [{"name": "test", "user": {"exec": command}}]}
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        async with supervisor.running():
            await cluster(supervisor, "evil", evil)
            await cluster(supervisor, "shop", apiserver.kubeconfig)
            assert "delete the Secret" in await refused(supervisor, "evil", "users[0].user.exec")
            await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven")[0] == "True")
            assert not ran.exists()
        # A corrected one works; a restart ends the backoff.
        await keep_kubeconfig(supervisor, "evil", apiserver.inline)
        async with supervisor.running():
            trust = await trust_of(supervisor, "evil", lambda one: condition_of(one, "Proven")[0] == "True")
            assert condition_of(trust, ACCEPTED) == ("", "")
    events = await supervisor.client.list(EVENTS, supervisor.namespace, fields="regarding.name=evil")
    assert any(event["reason"] == "KubeconfigRefused" and "users[0].user.exec" in event["note"] for event in events)


async def test_a_kubeconfig_leads_only_to_its_own_control_plane(supervisor: Supervisor, apiserver: Any) -> None:
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with registry(supervisor), supervisor.running():
        await cluster(supervisor, "shop", apiserver.kubeconfig, "https://198.18.0.10:6443")
        message = await refused(supervisor, "shop", "clusters[].cluster.server")
        assert "198.18.0.10 port 6443" in message


async def test_without_the_operators_allowance_loopback_is_not_contacted(
    supervisor: Supervisor, apiserver: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv(reach.ALLOWANCE)
    await supervisor.configure(entry("corp", make_ca("corp")))
    with apiserver.sibling() as other:
        async with registry(supervisor), supervisor.running():
            await cluster(supervisor, "own", apiserver.kubeconfig)
            await cluster(supervisor, "near", other.kubeconfig)
            assert "own API server" in await refused(supervisor, "own", "clusters[].cluster.server")
            assert "loopback" in await refused(supervisor, "near", "clusters[].cluster.server")


async def test_an_unreadable_cluster_harms_only_itself(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    async def strange(name: str) -> None:
        value = "[" * 2000 + "]" * 2000
        variables = f'[{{"name":"x","value":{value}}}]'
        spec = f'{{"topology":{{"classRef":{{"name":"none"}},"version":"v1.36.3","variables":{variables}}}}}'
        metadata = f'{{"name":"{name}","namespace":"{supervisor.namespace}"}}'
        kind = f'"apiVersion":"{CLUSTERS.api_version}","kind":"{CLUSTERS.kind}"'
        await post(supervisor.client, CLUSTERS, supervisor.namespace, f'{{{kind},"metadata":{metadata},"spec":{spec}}}')

    async def told(name: str) -> Json:
        async with asyncio.timeout(30):
            while True:
                for one in await supervisor.client.list(EVENTS, supervisor.namespace, fields=f"regarding.name={name}"):
                    if one["reason"] == REASON:
                        return one
                await asyncio.sleep(0.1)

    await supervisor.configure(entry("corp", make_ca("corp")))
    await strange("listed")
    try:
        async with supervisor.running() as task, registry(supervisor) as (_, host):
            kubelet.messages[host] = NOT_FOUND
            assert "nests too deeply" in (await told("listed"))["note"]
            await strange("watched")
            assert "nests too deeply" in (await told("watched"))["note"]
            await cluster(supervisor, "shop", apiserver.kubeconfig)
            await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven")[0] == "True")
            assert not task.done()
    finally:
        for name in ("listed", "watched"):
            path = CLUSTERS.path(*Key(supervisor.namespace, name))
            await supervisor.client.raw("DELETE", path)
