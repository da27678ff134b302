"""Read objects, either from informers, at no cost, or from the API server, in their current state."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from trustplane.api.annotations import CLUSTER_LABEL, CLUSTER_NAME_LABEL
from trustplane.api.clusterapi import Machine, MachineHealthCheck
from trustplane.api.clustertrust import TRUST_WRITE_STARTED
from trustplane.api.conditions import TRUST_UP_TO_DATE
from trustplane.api.keys import Key
from trustplane.api.meta import Object
from trustplane.clusterapi.readiness import CapiObjects
from trustplane.kube.client import Client
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import CLUSTERS, CONTROL_PLANES, MACHINE_DEPLOYMENTS
from trustplane.kube.resource import Resource

T = TypeVar("T")


class Reader(Protocol):
    """Reads single objects."""

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return an object, or None if it is absent; `Client` also has this method."""


class InformerReader:
    """Reads objects from informers."""

    def __init__(self, informers: Iterable[Informer[Any]]) -> None:
        self._informers = {informer.resource: informer for informer in informers}

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return the last known state of an object, or None if it is unknown."""
        obj: T | None = self._informers[resource].get(Key(namespace, name))
        return obj


class ClusterIndex:
    """An index of objects by Cluster, kept current by an informer.

    Args:
        informer: The informer of the objects.
        cluster_of: Returns the keys of an object's Clusters; default: by Cluster API's label.
    """

    def __init__(self, informer: Informer[Any], cluster_of: Callable[[Any], list[Key]] | None = None) -> None:
        self._keys: dict[Key, set[Key]] = {}
        self._informer = informer
        self._cluster_of = cluster_of or cluster_keys
        informer.subscribe(self._follow)

    def objects(self, cluster: Key) -> list[Any]:
        """Return a Cluster's objects, sorted by name."""
        objects = (self._informer.get(key) for key in sorted(self._keys.get(cluster, ())))
        return [obj for obj in objects if obj is not None]

    def _follow(self, change: Change[Any]) -> None:
        for cluster in () if change.old is None else self._cluster_of(change.old):
            self._keys.get(cluster, set()).discard(change.key)
            if not self._keys.get(cluster):
                self._keys.pop(cluster, None)
        for cluster in () if change.new is None else self._cluster_of(change.new):
            self._keys.setdefault(cluster, set()).add(change.key)


def has_spec_changed(change: Change[Any]) -> bool:
    """Return whether an object's spec changed, by its generation, or the object was replaced or is being deleted."""
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    before, after = old.metadata, new.metadata
    return (before.generation, before.uid, before.deletion_timestamp) != (
        after.generation,
        after.uid,
        after.deletion_timestamp,
    )


def has_more_than_status_changed(change: Change[Any]) -> bool:
    """Return whether the spec, a label or an annotation of an object changed."""
    old, new = change.old, change.new
    if old is None or new is None or has_spec_changed(change):
        return True
    before, after = old.metadata, new.metadata
    return (before.labels, before.annotations) != (after.labels, after.annotations)


def has_more_than_trust_changed(change: Change[Machine]) -> bool:
    """Return whether anything changed on a Machine except our condition and our record of a started write."""
    old, new = change.old, change.new
    return old is None or new is None or _without_trust(old) != _without_trust(new)


def _without_trust(machine: Machine) -> Machine:
    annotations = {name: value for name, value in machine.metadata.annotations.items() if name != TRUST_WRITE_STARTED}
    conditions = [condition for condition in machine.status.conditions if condition.type != TRUST_UP_TO_DATE]
    return replace(
        machine,
        metadata=replace(machine.metadata, resource_version="", annotations=annotations),
        status=replace(machine.status, conditions=conditions),
    )


def health_check_cluster_keys(check: MachineHealthCheck) -> list[Key]:
    """Return the key of the Cluster whose machines a MachineHealthCheck monitors, as a list."""
    return [Key(check.metadata.namespace, check.spec.cluster_name)]


def cluster_keys(obj: Object) -> list[Key]:
    """Return the key of the Cluster (and TanzuKubernetesCluster) in an object's label; an empty list without a label.

    The label is Cluster API's or, on our Secrets, ours.
    """
    labels = obj.metadata.labels
    name = labels.get(CLUSTER_NAME_LABEL) or labels.get(CLUSTER_LABEL)
    return [Key(obj.metadata.namespace, name)] if name else []


async def list_cluster_objects(client: Client, resource: Resource[T], cluster: Key) -> list[T]:
    """List a Cluster's objects of one kind from the API server."""
    return await client.list(resource, cluster.namespace, labels=f"{CLUSTER_NAME_LABEL}={cluster.name}")


async def read_capi_objects(client: Client, cluster: Key) -> CapiObjects:
    """Read a cluster's objects in Cluster API from the API server.

    The order guarantees that objects which Cluster API derives from another are never older than that object.
    """
    capi = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    return CapiObjects(
        cluster=capi,
        control_plane=next(iter(await list_cluster_objects(client, CONTROL_PLANES, cluster)), None),
        machine_deployments=await list_cluster_objects(client, MACHINE_DEPLOYMENTS, cluster),
    )
