"""What a Cluster without a TanzuKubernetesCluster is to trust: what it says, and what stays where it says nothing."""

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
from trustplane.trust.entries import EMPTY

SHOP = Key(NAMESPACE, "shop")
LIST = Key(NAMESPACE, "mine")


class Cluster:
    """A Cluster that nobody else speaks for; it asks for nothing yet."""

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
        """Name a Secret, or none."""
        self.change({"metadata": {"annotations": {"trustplane.dev/trust-secret": name}}})

    def lists(self, data: Json | None) -> None:
        """Have a Secret, made by somebody, that no informer follows."""
        self.fleet.server.bodies.pop((str(kinds.SECRETS), LIST), None)
        if data is not None:
            body = {"metadata": {"name": LIST.name, "namespace": NAMESPACE}, "data": data}
            self.fleet.server.bodies[str(kinds.SECRETS), LIST] = body
        self.change({})  # which is what has it read anew at once

    def boots(self, name: str, path: str = bootstrap.BUNDLE_FILE) -> None:
        """Have a control plane whose machines boot with a Secret."""
        file = {"path": path, "contentFrom": {"secret": {"name": name, "key": "bundle.pem"}}}
        metadata = {"name": "shop", "namespace": NAMESPACE, "labels": {CLUSTER_NAME_LABEL: "shop"}}
        spec = {"kubeadmConfigSpec": {"files": [{"path": "/etc/theirs", "content": "x"}, file]}}
        view = self.fleet.view
        self.fleet.put(kinds.CONTROL_PLANES, view.control_planes, {"metadata": metadata, "spec": spec})

    async def see(self) -> ClusterState | None:
        """Look, and report what was seen."""
        self.again = (await self._reconciler.reconcile(SHOP)).requeue_after
        return await self.fleet.view.observe(SHOP)

    @property
    def current(self) -> Json:
        status = self.fleet.server.stored(kinds.CLUSTER_TRUSTS, "shop")["status"]
        (found,) = (one for one in status["conditions"] if one["type"] == "Current")
        return dict(found)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_a_cluster_that_is_not_set_up_and_asks_for_nothing_is_left_alone(cluster: Cluster) -> None:
    cluster.boots("shop-trust", "/etc/theirs.pem")
    assert await cluster.see() is None
    cluster.boots("web-trust")
    assert await cluster.see() is None


async def test_one_whose_machines_wait_for_a_boot_set_gets_an_empty_one(cluster: Cluster) -> None:
    """Its class has the patch, and it says nothing of trust: without the Secret no machine of it would boot."""
    cluster.boots("shop-trust")
    seen = await cluster.see()
    assert seen
    assert (seen.sets.digest, seen.sets.in_force, seen.sets.desired) == (EMPTY.digest, EMPTY, EMPTY)
    assert await cluster.see()  # what it was reported to have before changes nothing
    assert cluster.current["status"] == "True"


@pytest.mark.parametrize("broken", ["gone", "no list", "no certificate", "silent"])
async def test_what_cannot_be_read_changes_nothing(cluster: Cluster, broken: str) -> None:
    cluster.boots("shop-trust")
    cluster.lists(secret.set_data(trust()))
    cluster.names("mine")
    seen = await cluster.see()
    assert seen
    assert seen.sets.in_force == trust()

    words = {"gone": "There is no Secret mine", "no list": "base64", "no certificate": "corp", "silent": "any more"}
    data = {
        "gone": None,
        "no list": {"corp.pem": "*"},
        "no certificate": {**secret.set_data(trust()), "corp.pem": base64.b64encode(b"text").decode()},
        "silent": secret.set_data(trust()),
    }[broken]
    cluster.lists(data)
    cluster.names(None if broken == "silent" else "mine")
    for _ in range(2):
        seen = await cluster.see()
        assert seen
        assert (seen.sets.digest, seen.sets.in_force, seen.sets.desired) == (trust().digest, trust(), None)
    assert (cluster.current["status"], cluster.current["reason"]) == ("False", "Invalid")
    assert words[broken] in cluster.current["message"], cluster.current
    assert "corp" in cluster.current["message"]


async def test_a_set_is_known_by_the_boot_set_where_nothing_was_reported(cluster: Cluster) -> None:
    cluster.boots("shop-trust")
    cluster.fleet.boots("shop", old())
    seen = await cluster.fleet.view.observe(SHOP)
    assert seen
    assert (seen.sets.digest, seen.sets.in_force, seen.sets.desired) == (old().digest, old(), None)


async def test_an_empty_list_is_one(cluster: Cluster) -> None:
    cluster.fleet.boots("shop", old())
    cluster.lists({})
    cluster.names("mine")
    seen = await cluster.see()
    assert seen
    assert (seen.sets.digest, seen.sets.desired) == (EMPTY.digest, EMPTY)


async def test_what_no_watch_tells_is_reported_within_a_minute(cluster: Cluster) -> None:
    """The Secrets of users: the list, and the key without which machines are replaced."""
    cluster.lists(secret.set_data(trust()))
    cluster.names("mine")
    await cluster.see()
    assert 0 < cluster.again <= 60
