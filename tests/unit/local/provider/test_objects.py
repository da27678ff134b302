import msgspec

from trustplane.api.clusterapi import Cluster, ClusterSpec
from trustplane.api.keys import Key
from trustplane.api.meta import Metadata, OwnerReference
from trustplane_local.provider import objects


def test_an_owner_is_one_of_cluster_api() -> None:
    metadata = Metadata(
        namespace="a",
        owner_references=[
            OwnerReference(api_version="example.com/v1", kind="Machine", name="other"),
            OwnerReference(api_version="cluster.x-k8s.io/v1beta2", kind="Cluster", name="c1"),
            OwnerReference(api_version="cluster.x-k8s.io/v1beta2", kind="Machine", name="m1"),
        ],
    )
    assert objects.find_owner(metadata, "Machine") == Key("a", "m1")
    assert objects.find_owner(Metadata(namespace="a"), "Machine") is None


def test_paused_is_the_object_or_its_cluster() -> None:
    paused = Cluster(spec=ClusterSpec(paused=True))
    assert not objects.is_paused(Metadata(), None)
    assert not objects.is_paused(Metadata(), Cluster())
    assert objects.is_paused(Metadata(), paused)
    assert objects.is_paused(Metadata(annotations={"cluster.x-k8s.io/paused": ""}), Cluster())


def test_a_machine_as_the_api_server_sends_it() -> None:
    text = b"""{"metadata":{"name":"m","namespace":"a"},"spec":{"index":12,"providerID":"trustplane-local:///s/a/m"},
    "status":{"initialization":{"provisioned":true},"addresses":[{"type":"InternalIP","address":"198.18.64.12"}]}}"""
    found = msgspec.json.decode(text, type=objects.LocalMachine)
    assert (found.spec.index, found.spec.provider_id) == (12, "trustplane-local:///s/a/m")
    assert found.status.initialization.provisioned
    assert found.status.addresses[0].address == "198.18.64.12"
