"""The controller of LocalMachine: creates and removes the machine's container, and reports its state."""

import asyncio
import shutil
from collections.abc import Iterable
from typing import Any

import structlog

from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.errors import TransientError, TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.kinds import PLAIN_SECRETS
from trustplane.kube.manager import Manager
from trustplane.kube.reconciler import Reconciler
from trustplane_local.podman import LIST_SECONDS, Podman
from trustplane_local.provider import conditions, instance
from trustplane_local.provider.instance import InstanceState
from trustplane_local.provider.objects import (
    CLUSTERS,
    LOCAL_MACHINES,
    MACHINES,
    LocalMachine,
    cluster_key,
    find_owner,
    is_paused,
)
from trustplane_local.provider.writer import Writer
from trustplane_local.stack import Stack

log = structlog.get_logger(__name__)


class Machines(Reconciler):
    """Keeps a container for each LocalMachine."""

    name = "localmachine"

    def __init__(self, stack: Stack, client: Client, podman: Podman, manager: Manager, writer: Writer) -> None:
        self._stack = stack
        self._client = client
        self._podman = podman
        self._writer = writer
        self._locals = manager.informer(LOCAL_MACHINES)
        self._machines = manager.informer(MACHINES)
        self._clusters = manager.informer(CLUSTERS)

    def _watches(self) -> list[Watch[Any]]:
        return [
            Watch(self._locals),
            Watch(self._machines, self._keys_for_machine),
            Watch(self._clusters, self._keys_for_cluster),
        ]

    async def reconcile(self, key: Key) -> Result:
        """Reconcile one LocalMachine and report its status."""
        local = await self._client.find(LOCAL_MACHINES, key.name, key.namespace)
        if local is None:
            return Result()
        cluster = self._clusters.get(cluster_key(local.metadata))
        if is_paused(local.metadata, cluster):
            await self._writer.report(LOCAL_MACHINES, local, [conditions.paused_condition(paused=True)])
        elif local.metadata.deletion_timestamp is not None:
            await self._delete(local)
        else:
            await self._keep(local, cluster)
        return Result()

    async def _keep(self, local: LocalMachine, cluster: Cluster | None) -> None:
        owner_key = find_owner(local.metadata, "Machine")
        machine = self._machines.get(owner_key) if owner_key else None
        container = await self._podman.find(instance.container_name(key_of(local)), recently=LIST_SECONDS)
        place = instance.machine_folder(self._stack, key_of(local))
        bootstrapped = await asyncio.to_thread(instance.is_bootstrapped, place)
        state = instance.decide_state(machine, cluster, container, bootstrapped=bootstrapped)
        if state.must_create and machine is not None:
            local = await self._writer.claim(LOCAL_MACHINES, local)
            state = await self._start(local, machine)
        await self._report(local, state)

    async def _start(self, local: LocalMachine, machine: Machine) -> InstanceState:
        """Create the container; report a permanent failure, and raise it for a retry with backoff."""
        try:
            return await self._create(await self._writer.allocate(LOCAL_MACHINES, local), machine)
        except TransientError:
            raise
        except TrustplaneError as error:
            await self._report(local, InstanceState(is_ready=False, reason=conditions.START_FAILED, message=str(error)))
            raise

    async def _create(self, local: LocalMachine, machine: Machine) -> InstanceState:
        key, index = key_of(local), local.spec.index
        secret = await self._client.get(PLAIN_SECRETS, machine.spec.bootstrap.data_secret_name, key.namespace)
        place = instance.machine_folder(self._stack, key)
        meta = instance.meta_data(self._stack, key, local.metadata.uid, index)
        await asyncio.to_thread(instance.write_seed, place, instance.decode_user_data(secret.get("data", {})), meta)
        await asyncio.to_thread(instance.renew_disks, place, self._stack.images)
        await self._podman.run(instance.machine_container(self._stack, key, index))
        log.info("machine started", machine=str(key), address=self._stack.address(index))
        return InstanceState(is_ready=True, reason=conditions.RUNNING)

    async def _report(self, local: LocalMachine, state: InstanceState) -> None:
        observed = conditions.ready_conditions(
            conditions.INSTANCE_READY, ready=state.is_ready, reason=state.reason, message=state.message
        )
        status: Json = {}
        if state.is_ready:
            key = key_of(local)
            local = await self._writer.set_spec(
                LOCAL_MACHINES, local, {"providerID": instance.provider_id(self._stack, key)}
            )
            status = {"initialization": {"provisioned": True}, "addresses": self._addresses(local)}
        await self._writer.report(LOCAL_MACHINES, local, observed, status)

    def _addresses(self, local: LocalMachine) -> list[Json]:
        name, address = local.metadata.name, self._stack.address(local.spec.index)
        return [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
            {"type": "InternalDNS", "address": name},
        ]

    async def _delete(self, local: LocalMachine) -> None:
        if not self._writer.is_claimed(local):
            return
        deleting = conditions.ready_conditions(conditions.INSTANCE_READY, ready=False, reason=conditions.DELETING)
        local = await self._writer.report(LOCAL_MACHINES, local, deleting)
        key = key_of(local)
        await self._podman.remove(instance.container_name(key))
        await asyncio.to_thread(shutil.rmtree, instance.machine_folder(self._stack, key), ignore_errors=True)
        await self._writer.release(LOCAL_MACHINES, local)
        log.info("machine removed", machine=str(key))

    def _keys_for_machine(self, machine: Machine) -> Iterable[Key]:
        return [
            key_of(local) for local in self._locals.items() if find_owner(local.metadata, "Machine") == key_of(machine)
        ]

    def _keys_for_cluster(self, cluster: Cluster) -> Iterable[Key]:
        return [key_of(local) for local in self._locals.items() if cluster_key(local.metadata) == key_of(cluster)]
