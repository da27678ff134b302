"""The trust list of a Cluster without a TanzuKubernetesCluster: its own list, or the last set without one."""

import base64
from typing import Any

import pytest
from tests.unit.controllers.fleet import NAMESPACE, trust
from tests.unit.controllers.supervisor import Supervised, old

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap, secret
from trustplane.controllers.cluster_trust.controller import ClusterTrustReconciler
from trustplane.fleet.view import ClusterState
from trustplane.kube import kinds
from trustplane.trust.entries import EMPTY_SET

SHOP = Key(NAMESPACE, "shop")
LIST = Key(NAMESPACE, "authorities")


class Cluster:
    """A Cluster without a TanzuKubernetesCluster, initially without a trust list."""

    def __init__(self) -> None:
        self.fleet = Supervised("shop")
        self.fleet.remove(kinds.TANZU_CLUSTERS, "shop")
        self.change({"metadata": {"ownerReferences": None}})
        body = {"metadata": {"name": "shop", "namespace": NAMESPACE}}
        self.fleet.put(kinds.CLUSTER_TRUSTS, self.fleet.view.trusts, body)
        client: Any = self.fleet.server
        recorder: Any = self.fleet.recorder
        self._reconciler = ClusterTrustReconciler(client, self.fleet.view, recorder)
        self.again = 0.0  # seconds

    def change(self, body: Json) -> None:
        generation = self.fleet.server.stored(kinds.CLUSTERS, "shop")["metadata"].get("generation", 0) + 1
        body = {**body, "metadata": {**body.get("metadata", {}), "generation": generation}}
        self.fleet.change(kinds.CLUSTERS, "shop", body)

    def names(self, name: str | None) -> None:
        """Name a Secret in the annotation, or remove the annotation."""
        self.change({"metadata": {"annotations": {"trustplane.dev/trust-secret": name}}})

    def lists(self, data: Json | None) -> None:
        """Store a user's Secret, which no informer follows, or delete it."""
        self.fleet.server.bodies.pop((str(kinds.SECRETS), LIST), None)
        if data is not None:
            body = {"metadata": {"name": LIST.name, "namespace": NAMESPACE}, "data": data}
            self.fleet.server.bodies[str(kinds.SECRETS), LIST] = body
        self.change({})  # a new generation makes the cached Secret obsolete

    def boots(self, name: str, path: str = bootstrap.BUNDLE_FILE) -> None:
        """Store a control plane whose machines boot with a Secret."""
        file = {"path": path, "contentFrom": {"secret": {"name": name, "key": "bundle.pem"}}}
        metadata = {"name": "shop", "namespace": NAMESPACE, "labels": {CLUSTER_NAME_LABEL: "shop"}}
        spec = {"kubeadmConfigSpec": {"files": [{"path": "/etc/other", "content": "x"}, file]}}
        view = self.fleet.view
        self.fleet.put(kinds.CONTROL_PLANES, view.control_planes, {"metadata": metadata, "spec": spec})

    async def see(self) -> ClusterState | None:
        """Reconcile, and return the state."""
        self.again = (await self._reconciler.reconcile(SHOP)).requeue_after
        return await self.fleet.view.observe(SHOP)

    @property
    def current(self) -> Json:
        status = self.fleet.server.stored(kinds.CLUSTER_TRUSTS, "shop")["status"]
        (current,) = (condition for condition in status["conditions"] if condition["type"] == "Current")
        return dict(current)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_a_cluster_without_setup_and_list_is_ignored(cluster: Cluster) -> None:
    cluster.boots("shop-trust", "/etc/other.pem")
    assert await cluster.see() is None
    cluster.boots("web-trust")
    assert await cluster.see() is None


async def test_a_cluster_whose_machines_need_a_boot_set_gets_an_empty_one(cluster: Cluster) -> None:
    """Its class has the patch, but it names no list: without the Secret, none of its machines would boot."""
    cluster.boots("shop-trust")
    state = await cluster.see()
    assert state
    assert (state.sets.digest, state.sets.in_force, state.sets.desired) == (EMPTY_SET.digest, EMPTY_SET, EMPTY_SET)
    assert await cluster.see()  # the reported set makes no difference
    assert cluster.current["status"] == "True"


@pytest.mark.parametrize("broken", ["gone", "no list", "no certificate", "silent"])
async def test_an_unreadable_list_changes_nothing(cluster: Cluster, broken: str) -> None:
    cluster.boots("shop-trust")
    cluster.lists(secret.set_data(trust()))
    cluster.names("authorities")
    state = await cluster.see()
    assert state
    assert state.sets.in_force == trust()

    messages = {
        "gone": "Secret authorities with the certificates does not exist",
        "no list": "base64",
        "no certificate": "corp",
        "silent": "no longer names",
    }
    data = {
        "gone": None,
        "no list": {"corp.pem": "*"},
        "no certificate": {**secret.set_data(trust()), "corp.pem": base64.b64encode(b"text").decode()},
        "silent": secret.set_data(trust()),
    }[broken]
    cluster.lists(data)
    cluster.names(None if broken == "silent" else "authorities")
    for _ in range(2):
        state = await cluster.see()
        assert state
        assert (state.sets.digest, state.sets.in_force, state.sets.desired) == (trust().digest, trust(), None)
    assert (cluster.current["status"], cluster.current["reason"]) == ("False", "Invalid")
    assert messages[broken] in cluster.current["message"], cluster.current
    assert "corp" in cluster.current["message"]


async def test_the_boot_set_names_the_set_if_none_was_reported(cluster: Cluster) -> None:
    cluster.boots("shop-trust")
    cluster.fleet.boots("shop", old())
    state = await cluster.fleet.view.observe(SHOP)
    assert state
    assert (state.sets.digest, state.sets.in_force, state.sets.desired) == (old().digest, old(), None)


async def test_an_empty_list_is_valid(cluster: Cluster) -> None:
    cluster.fleet.boots("shop", old())
    cluster.lists({})
    cluster.names("authorities")
    state = await cluster.see()
    assert state
    assert (state.sets.digest, state.sets.desired) == (EMPTY_SET.digest, EMPTY_SET)


async def test_unwatched_secrets_are_reported_within_a_minute(cluster: Cluster) -> None:
    """Users' Secrets: the list, and the SSH key without which machines are replaced."""
    cluster.lists(secret.set_data(trust()))
    cluster.names("authorities")
    await cluster.see()
    assert 0 < cluster.again <= 60
