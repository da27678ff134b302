from typing import Any

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.api.meta import Metadata
from trustplane.fleet.reading import ClusterIndex, cluster_keys
from trustplane.kube.client import Client
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import SECRETS


def _put(informer: Informer[Any], name: str, cluster: str | None) -> None:
    """Have an object made, changed, or (without a cluster) deleted."""
    key = Key("n", name)
    labels = {CLUSTER_NAME_LABEL: cluster} if cluster else {}
    new = None if cluster is None else Secret(metadata=Metadata(namespace="n", name=name, labels=labels))
    informer._store(Change(key, informer.get(key), new))


def _names(index: ClusterIndex, cluster: str) -> list[str]:
    return [one.metadata.name for one in index.objects(Key("n", cluster))]


def test_objects_are_found_by_their_cluster_as_they_come_move_and_go() -> None:
    informer = Informer(Client(None), SECRETS)
    index = ClusterIndex(informer)
    _put(informer, "b", "one")
    _put(informer, "a", "one")
    _put(informer, "c", "")
    assert _names(index, "one") == ["a", "b"]
    _put(informer, "a", "two")
    assert (_names(index, "one"), _names(index, "two")) == (["b"], ["a"])
    _put(informer, "b", None)
    _put(informer, "a", "two")
    assert (_names(index, "one"), _names(index, "two")) == ([], ["a"])
    _put(informer, "a", None)
    assert index._keys == {}


def test_an_object_without_the_label_belongs_to_no_cluster() -> None:
    assert cluster_keys(Secret(metadata=Metadata(namespace="n", name="x"))) == []
