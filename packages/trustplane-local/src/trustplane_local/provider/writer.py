"""What the provider writes into its objects: finalizer, address index, spec, status. Each write changes something."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from trustplane.api.meta import Condition, Json
from trustplane.kube.client import Client
from trustplane.kube.resource import Resource
from trustplane_local.provider import addresses, conditions
from trustplane_local.provider.objects import FINALIZER, LOCAL_CLUSTERS, LOCAL_MACHINES, LocalCluster, LocalMachine

T = TypeVar("T", LocalCluster, LocalMachine)


class Writer:
    """Writes LocalClusters and LocalMachines. Every method returns the object as it is afterwards."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._allocating = asyncio.Lock()

    def is_claimed(self, local: LocalCluster | LocalMachine) -> bool:
        """Tell whether the object waits for the provider before it goes."""
        return FINALIZER in local.metadata.finalizers

    async def claim(self, resource: Resource[T], local: T) -> T:
        """Add the finalizer."""
        if self.is_claimed(local):
            return local
        return await self._set_finalizers(resource, local, [*local.metadata.finalizers, FINALIZER])

    async def release(self, resource: Resource[T], local: T) -> None:
        """Remove the finalizer: nothing of the object is left on this machine."""
        others = [one for one in local.metadata.finalizers if one != FINALIZER]
        await self._set_finalizers(resource, local, others)

    async def allocate(self, resource: Resource[T], local: T) -> T:
        """Give the object an address index, unless it has one. It is kept in the object before anything is made of it.

        Raises:
            HostError: none is left.
            ConflictError: the object has changed meanwhile; nothing was given.
        """
        if local.spec.index:
            return local
        async with self._allocating:
            taken = {one.spec.index for one in await self._client.list(LOCAL_MACHINES)}
            taken |= {one.spec.index for one in await self._client.list(LOCAL_CLUSTERS)}
            index = addresses.choose_index(local.metadata.uid, taken)
            version = {"resourceVersion": local.metadata.resource_version}
            return await self._patch(resource, local, {"metadata": version, "spec": {"index": index}})

    async def set_spec(self, resource: Resource[T], local: T, wanted: Json) -> T:
        """Set fields of the spec."""
        known = msgspec.to_builtins(local.spec)
        if all(known.get(name) == value for name, value in wanted.items()):
            return local
        return await self._patch(resource, local, {"spec": wanted})

    async def report(
        self, resource: Resource[T], local: T, observed: Iterable[Condition], status: Json | None = None
    ) -> T:
        """Merge conditions into the status, and set other fields of it."""
        now = datetime.now(UTC).replace(microsecond=0)
        merged = conditions.merge_conditions(local.status.conditions, observed, local.metadata.generation, now)
        known, wanted = msgspec.to_builtins(local.status), status or {}
        if merged == local.status.conditions and all(known.get(name) == value for name, value in wanted.items()):
            return local
        body = {"status": {**wanted, "conditions": conditions.conditions_to_json(merged)}}
        return await self._patch(resource, local, body, subresource="status")

    async def _set_finalizers(self, resource: Resource[T], local: T, finalizers: list[str]) -> T:
        metadata = {"resourceVersion": local.metadata.resource_version, "finalizers": finalizers}
        return await self._patch(resource, local, {"metadata": metadata})

    async def _patch(self, resource: Resource[T], local: T, body: Json, *, subresource: str = "") -> T:
        metadata = local.metadata
        return await self._client.patch(resource, metadata.name, metadata.namespace, body, subresource=subresource)
