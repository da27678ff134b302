"""Two ways to read an object: as last seen, which costs nothing, and as it is now."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from trustplane.api.annotations import CLUSTER_LABEL, CLUSTER_NAME_LABEL
from trustplane.api.clusterapi import Machine, MachineHealthCheck
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
        """Return an object, or None where it is absent; `Client` has this method too."""


class InformerReader:
    """Reads objects as informers last saw them."""

    def __init__(self, informers: Iterable[Informer[Any]]) -> None:
        self._informers = {informer.resource: informer for informer in informers}

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Return an object as last seen, or None where it was absent."""
        found: T | None = self._informers[resource].get(Key(namespace, name))
        return found


class ClusterIndex:
    """The objects of each Cluster, kept current by an informer.

    Args:
        informer: Of the objects.
        cluster_of: The key of an object's Cluster; by Cluster API's label without it.
    """

    def __init__(self, informer: Informer[Any], cluster_of: Callable[[Any], list[Key]] | None = None) -> None:
        self._keys: dict[Key, set[Key]] = {}
        self._informer = informer
        self._cluster_of = cluster_of or cluster_keys
        informer.subscribe(self._follow)

    def objects(self, cluster: Key) -> list[Any]:
        """Return a Cluster's objects, by name."""
        found = (self._informer.get(key) for key in sorted(self._keys.get(cluster, ())))
        return [one for one in found if one is not None]

    def _follow(self, change: Change[Any]) -> None:
        for gone in () if change.old is None else self._cluster_of(change.old):
            self._keys.get(gone, set()).discard(change.key)
            if not self._keys.get(gone):
                self._keys.pop(gone, None)
        for there in () if change.new is None else self._cluster_of(change.new):
            self._keys.setdefault(there, set()).add(change.key)


def has_spec_changed(change: Change[Any]) -> bool:
    """Tell whether more than the status of an object has changed: the API server counts such changes."""
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
    """Tell whether the spec, a label or an annotation of an object has changed."""
    old, new = change.old, change.new
    if old is None or new is None or has_spec_changed(change):
        return True
    before, after = old.metadata, new.metadata
    return (before.labels, before.annotations) != (after.labels, after.annotations)


def has_more_than_trust_changed(change: Change[Machine]) -> bool:
    """Tell whether more of a Machine has changed than what we say of it ourselves, which is news to nobody here."""
    old, new = change.old, change.new
    return old is None or new is None or _without_trust(old) != _without_trust(new)


def _without_trust(machine: Machine) -> Machine:
    conditions = [one for one in machine.status.conditions if one.type != TRUST_UP_TO_DATE]
    return replace(
        machine,
        metadata=replace(machine.metadata, resource_version=""),
        status=replace(machine.status, conditions=conditions),
    )


def health_check_cluster_keys(found: MachineHealthCheck) -> list[Key]:
    """Return the key of the Cluster whose machines a MachineHealthCheck looks after."""
    return [Key(found.metadata.namespace, found.spec.cluster_name)]


def cluster_keys(found: Object) -> list[Key]:
    """Return the Key of the Cluster (and of its TanzuKubernetesCluster) that an object's label names; none without.

    The label is Cluster API's, or ours on Secrets of ours.
    """
    labels = found.metadata.labels
    name = labels.get(CLUSTER_NAME_LABEL) or labels.get(CLUSTER_LABEL)
    return [Key(found.metadata.namespace, name)] if name else []


async def list_cluster_objects(client: Client, resource: Resource[T], cluster: Key) -> list[T]:
    """Read a Cluster's objects as they are now."""
    return await client.list(resource, cluster.namespace, labels=f"{CLUSTER_NAME_LABEL}={cluster.name}")


async def read_capi_objects(client: Client, cluster: Key) -> CapiObjects:
    """Read what there is of a cluster in Cluster API as it is now.

    In this order, what Cluster API derives from an object is never older than the object itself.
    """
    found = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    return CapiObjects(
        cluster=found,
        control_plane=next(iter(await list_cluster_objects(client, CONTROL_PLANES, cluster)), None),
        machine_deployments=await list_cluster_objects(client, MACHINE_DEPLOYMENTS, cluster),
    )
