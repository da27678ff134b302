"""The controller of LocalCluster: runs a load balancer for the control plane, and publishes its address."""

from collections.abc import Iterable
from typing import Any

import structlog

from trustplane.api.clusterapi import Cluster
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.errors import TransientError, TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.manager import Manager
from trustplane.kube.reconciler import Reconciler
from trustplane_local.podman import Podman
from trustplane_local.provider import conditions, loadbalancer
from trustplane_local.provider.objects import (
    CLUSTERS,
    LOCAL_CLUSTERS,
    LOCAL_MACHINES,
    MANAGED_BY_ANNOTATION,
    LocalCluster,
    LocalMachine,
    cluster_key,
    find_owner,
    is_paused,
)
from trustplane_local.provider.writer import Writer
from trustplane_local.stack import Stack

log = structlog.get_logger(__name__)


class Clusters(Reconciler):
    """Keeps a load balancer for each LocalCluster."""

    name = "localcluster"

    def __init__(self, stack: Stack, client: Client, podman: Podman, manager: Manager, writer: Writer) -> None:
        self._stack = stack
        self._client = client
        self._podman = podman
        self._writer = writer
        self._locals = manager.informer(LOCAL_CLUSTERS)
        self._machines = manager.informer(LOCAL_MACHINES)
        self._clusters = manager.informer(CLUSTERS)

    def _watches(self) -> list[Watch[Any]]:
        return [
            Watch(self._locals),
            Watch(self._machines, self._keys_for_machine),
            Watch(self._clusters, self._keys_for_cluster),
        ]

    async def reconcile(self, key: Key) -> Result:
        """Reconcile the load balancer of one LocalCluster, and report its status."""
        local = await self._client.find(LOCAL_CLUSTERS, key.name, key.namespace)
        if local is None or MANAGED_BY_ANNOTATION in local.metadata.annotations:
            return Result()
        cluster_key = find_owner(local.metadata, "Cluster")
        cluster = self._clusters.get(cluster_key) if cluster_key else None
        if is_paused(local.metadata, cluster):
            await self._writer.report(LOCAL_CLUSTERS, local, [conditions.paused_condition(paused=True)])
        elif local.metadata.deletion_timestamp is not None:
            await self._delete(local)
        elif cluster_key is None:
            await self._report(local, ready=False, reason=conditions.WAITING_FOR_OWNER)
        else:
            await self._keep(local, cluster_key)
        return Result()

    async def _keep(self, local: LocalCluster, cluster: Key) -> None:
        local = await self._writer.claim(LOCAL_CLUSTERS, local)
        try:
            local = await self._writer.allocate(LOCAL_CLUSTERS, local)
            backends = loadbalancer.backends(self._stack, cluster, self._machines.items())
            config = loadbalancer.haproxy_configuration(backends)
            await loadbalancer.ensure_load_balancer(self._podman, self._stack, key_of(local), local.spec.index, config)
        except TransientError:
            raise
        except TrustplaneError as error:
            await self._report(local, ready=False, reason=conditions.START_FAILED, message=str(error))
            raise
        endpoint = {"host": self._stack.address(local.spec.index), "port": loadbalancer.PORT}
        local = await self._writer.set_spec(LOCAL_CLUSTERS, local, {"controlPlaneEndpoint": endpoint})
        await self._report(local, ready=True, reason=conditions.RUNNING)

    async def _report(self, local: LocalCluster, *, ready: bool, reason: str, message: str = "") -> LocalCluster:
        observed = conditions.ready_conditions(
            conditions.LOAD_BALANCER_READY, ready=ready, reason=reason, message=message
        )
        status: Json = {"initialization": {"provisioned": True}} if ready else {}
        return await self._writer.report(LOCAL_CLUSTERS, local, observed, status)

    async def _delete(self, local: LocalCluster) -> None:
        if not self._writer.is_claimed(local):
            return
        local = await self._report(local, ready=False, reason=conditions.DELETING)
        await loadbalancer.remove_load_balancer(self._podman, self._stack, key_of(local))
        await self._writer.release(LOCAL_CLUSTERS, local)
        log.info("load balancer removed", cluster=str(key_of(local)))

    def _keys_for_cluster(self, cluster: Cluster) -> Iterable[Key]:
        return self._keys_owned_by(key_of(cluster))

    def _keys_for_machine(self, machine: LocalMachine) -> Iterable[Key]:
        return self._keys_owned_by(cluster_key(machine.metadata))

    def _keys_owned_by(self, cluster: Key) -> list[Key]:
        return [key_of(local) for local in self._locals.items() if find_owner(local.metadata, "Cluster") == cluster]
