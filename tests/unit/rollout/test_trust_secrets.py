"""Secrets of the sets of a cluster: owners, and unusable Secrets."""

from typing import Any

import pytest
from tests.unit.controllers.fleet import NAMESPACE, trust
from tests.unit.controllers.supervisor import Supervised, old

from trustplane.api.annotations import CLUSTER_LABEL, COMPONENT_LABEL
from trustplane.api.clusterapi import Cluster
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.errors import TransientError
from trustplane.kube import kinds
from trustplane.rollout.execution import trust_secrets
from trustplane.trust.entries import EMPTY_SET, TrustSet

NAME = f"shop-trust-{old().short}"
TKC = {
    "kind": "TanzuKubernetesCluster",
    "apiVersion": "run.tanzu.vmware.com/v1alpha3",
    "name": "shop",
    "uid": "uid-tkc",
}


@pytest.fixture
def fleet() -> Supervised:
    fleet = Supervised("shop")
    fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"ownerReferences": [TKC]}})
    fleet.server.calls.clear()
    return fleet


def cluster(fleet: Supervised) -> Cluster:
    cluster = fleet.view.clusters.get(Key(NAMESPACE, "shop"))
    assert cluster
    return cluster


async def ensure(fleet: Supervised, held: TrustSet) -> None:
    client: Any = fleet.server
    await trust_secrets.ensure_set_secret(client, cluster(fleet), held)


def store(fleet: Supervised, owner: Json, held: TrustSet | None = None, **metadata: Any) -> None:
    body: Json = {"name": NAME, "namespace": NAMESPACE, "ownerReferences": [owner], **metadata}
    body["labels"] = {CLUSTER_LABEL: "shop", COMPONENT_LABEL: "trust"}
    data = secret.set_data(held if held is not None else old())
    fleet.put(kinds.SECRETS, fleet.view.secrets, {"metadata": body, "data": data, "immutable": True})


async def test_a_set_is_stored_once_and_an_empty_one_needs_no_secret(fleet: Supervised) -> None:
    for _ in range(2):
        await ensure(fleet, old())
    await ensure(fleet, EMPTY_SET)
    assert fleet.server.calls == [f"create secrets/{NAME}"]
    assert fleet.server.stored(kinds.SECRETS, NAME)["metadata"]["ownerReferences"][0]["uid"] == "uid-clusters-shop"


@pytest.mark.parametrize(
    ("owner", "held", "metadata"),
    [
        ({"kind": "Cluster", "name": "shop", "uid": "earlier"}, None, {}),
        ({**TKC, "uid": "earlier"}, None, {}),
        ({"kind": "Cluster", "name": "shop", "uid": "uid-clusters-shop"}, trust(), {}),  # different content
        (TKC, trust(), {}),
        (
            {"kind": "Cluster", "name": "shop", "uid": "uid-clusters-shop"},
            None,
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        ),
    ],
)
async def test_a_foreign_secret_is_rejected(
    fleet: Supervised, owner: Json, held: TrustSet | None, metadata: Json
) -> None:
    store(fleet, owner, held, **metadata)
    with pytest.raises(TransientError, match=f"{NAME} cannot be used"):
        await ensure(fleet, old())
    assert fleet.server.calls == []
