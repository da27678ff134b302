"""A look at a small control plane: what is decided about, and the objects themselves, whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import msgspec

from trustplane.api.annotations import CLUSTER_NAME_LABEL, CONTROL_PLANE_LABEL, TRUST_DIGEST
from trustplane.api.clusterapi import Cluster, KubeadmConfig, KubeadmControlPlane, Machine
from trustplane.api.meta import Json
from trustplane.clusterapi.field_owner import is_borrowed
from trustplane.clusterapi.inplace import trust_files
from trustplane.clusterapi.inplace_update import MachineUpdate
from trustplane.clusterapi.rollout import are_updated
from trustplane.clusterapi.secret import name_of
from trustplane.clusterapi.small_control_plane import Member, Scene
from trustplane.controllers.resources import CLUSTERS
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.machines.resources import CONTROL_PLANES, KUBEADM_CONFIGS, MACHINES
from trustplane.trust.entries import EMPTY


@dataclass(frozen=True)
class Look:
    """One look at a cluster.

    Attributes:
        key: Of the Cluster.
        cluster: None where it is gone.
        control_plane: Its KubeadmControlPlane.
        machines: All Machines of the cluster, by name.
        configs: Their KubeadmConfigs, by name.
    """

    key: Key
    cluster: Cluster | None
    control_plane: Json
    machines: Mapping[str, Json]
    configs: Mapping[str, Json]

    @cached_property
    def scene(self) -> Scene:
        """What is decided about."""
        return Scene(
            cluster=self.cluster,
            control_plane=msgspec.convert(self.control_plane, KubeadmControlPlane),
            spec=self.control_plane.get("spec") or {},
            members=[self._member(one) for one in self.machines.values() if _is_control_plane(one)],
            are_pools_done=self._are_pools_done(),
            now=datetime.now(UTC),
        )

    def config(self, machine: str) -> Json:
        """Return the KubeadmConfig of a machine of the scene that has one."""
        return self.configs[_config_name(self.machines[machine])]

    def update(self, machine: str) -> MachineUpdate:
        """Return what is to be done on the node of a machine."""
        bootstrap = self.machines[machine]["spec"].get("bootstrap") or {}
        return MachineUpdate(
            namespace=self.key.namespace,
            name=machine,
            cluster=self.key.name,
            bootstrap_secret=bootstrap.get("dataSecretName") or "",
            files=tuple(trust_files(self.scene.files)),
        )

    def _member(self, machine: Json) -> Member:
        typed, config = msgspec.convert(machine, Machine), self.configs.get(_config_name(machine))
        if config is None:
            return Member(typed, None)
        managed = config["metadata"].get("managedFields") or []
        return Member(typed, (config.get("spec") or {}).get("files") or [], is_borrowed(managed))

    def _are_pools_done(self) -> bool:
        digest = self.cluster.metadata.annotations.get(TRUST_DIGEST, "") if self.cluster else ""
        return are_updated(
            [msgspec.convert(one, Machine) for one in self.machines.values()],
            [msgspec.convert(one, KubeadmConfig) for one in self.configs.values()],
            "" if digest == EMPTY.digest else name_of(self.key.name, digest),
        )


async def look_at(client: Client, key: Key) -> Look | None:
    """Look at a cluster as it is now, at the Cluster first; None where it has no KubeadmControlPlane."""
    labels = f"{CLUSTER_NAME_LABEL}={key.name}"
    cluster = await client.find(CLUSTERS, key.name, key.namespace)
    found = await client.list(CONTROL_PLANES, key.namespace, labels=labels)
    if not found:
        return None
    machines = await client.list(MACHINES, key.namespace, labels=labels)
    configs = await client.list(KUBEADM_CONFIGS, key.namespace, labels=labels)
    return Look(key, cluster, found[0], _by_name(machines), _by_name(configs))


def _by_name(found: list[Json]) -> dict[str, Json]:
    return {one["metadata"]["name"]: one for one in found}


def _is_control_plane(machine: Json) -> bool:
    return CONTROL_PLANE_LABEL in (machine["metadata"].get("labels") or {})


def _config_name(machine: Json) -> str:
    reference = (machine["spec"].get("bootstrap") or {}).get("configRef") or {}
    return str(reference.get("name", "")) if reference.get("kind") == "KubeadmConfig" else ""
