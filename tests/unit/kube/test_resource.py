import pytest

from trustplane.api.meta import Metadata, Object
from trustplane.kube.errors import UnreadableError
from trustplane.kube.kinds import NAMESPACES, SECRETS
from trustplane.kube.resource import Key, Resource, key_of, metadata_of

CLUSTERS: Resource[Object] = Resource("cluster.x-k8s.io", "v1beta2", "Cluster", "clusters", Object)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SECRETS.path(), "/api/v1/secrets"),
        (SECRETS.path("ns"), "/api/v1/namespaces/ns/secrets"),
        (SECRETS.path("ns", "a"), "/api/v1/namespaces/ns/secrets/a"),
        (NAMESPACES.path("", "ns"), "/api/v1/namespaces/ns"),
        (NAMESPACES.path("ignored", "ns", "status"), "/api/v1/namespaces/ns/status"),
        (CLUSTERS.path("ns", "a", "status"), "/apis/cluster.x-k8s.io/v1beta2/namespaces/ns/clusters/a/status"),
        (SECRETS.path("../x", "a/b?c"), "/api/v1/namespaces/..%2Fx/secrets/a%2Fb%3Fc"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


def test_names() -> None:
    assert (str(CLUSTERS), CLUSTERS.api_version) == ("clusters.cluster.x-k8s.io", "cluster.x-k8s.io/v1beta2")
    assert (str(SECRETS), SECRETS.api_version) == ("secrets", "v1")
    assert (str(Key("ns", "a")), str(Key("", "a"))) == ("ns/a", "a")


def test_keys_and_metadata_of_typed_and_untyped_objects() -> None:
    typed = Object(metadata=Metadata(name="a", namespace="ns", uid="1"))
    untyped = {"metadata": {"name": "a", "namespace": "ns", "uid": "1"}}
    assert key_of(typed) == key_of(untyped) == Key("ns", "a")
    assert metadata_of(typed) == metadata_of(untyped)
    assert key_of({"metadata": {"name": "a"}}) == Key("", "a")


def test_decoding_fills_in_kind_and_version() -> None:
    assert CLUSTERS.decode(b'{"metadata":{"name":"a"}}').kind == "Cluster"
    assert SECRETS.decode(b"{}") == {"apiVersion": "v1", "kind": "Secret"}
    assert CLUSTERS.decode(b'{"kind":"Other","apiVersion":"v2"}').api_version == "v2"


@pytest.mark.parametrize("data", [b'{"metadata":{"name":1}}', b"[]", b"{"])
def test_another_shape_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"An object of clusters.cluster.x-k8s.io cannot be read"):
        CLUSTERS.decode(data)
