"""Writes the provider's objects: finalizer, address index, spec, status. Skips writes that would change nothing."""

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
    """Writes LocalClusters and LocalMachines. Methods that return an object return its new state."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._allocating = asyncio.Lock()

    def is_claimed(self, local: LocalCluster | LocalMachine) -> bool:
        """Return whether the object has the provider's finalizer."""
        return FINALIZER in local.metadata.finalizers

    async def claim(self, resource: Resource[T], local: T) -> T:
        """Add the finalizer."""
        if self.is_claimed(local):
            return local
        return await self._set_finalizers(resource, local, [*local.metadata.finalizers, FINALIZER])

    async def release(self, resource: Resource[T], local: T) -> None:
        """Remove the finalizer, after all resources of the object were removed from this machine."""
        others = [finalizer for finalizer in local.metadata.finalizers if finalizer != FINALIZER]
        await self._set_finalizers(resource, local, others)

    async def allocate(self, resource: Resource[T], local: T) -> T:
        """Allocate an address index and store it in the object, unless it has one.

        Raises:
            HostError: All indexes are taken.
            ConflictError: The object has changed; nothing was allocated.
        """
        if local.spec.index:
            return local
        async with self._allocating:
            taken = {machine.spec.index for machine in await self._client.list(LOCAL_MACHINES)}
            taken |= {cluster.spec.index for cluster in await self._client.list(LOCAL_CLUSTERS)}
            index = addresses.choose_index(local.metadata.uid, taken)
            version = {"resourceVersion": local.metadata.resource_version}
            return await self._patch(resource, local, {"metadata": version, "spec": {"index": index}})

    async def set_spec(self, resource: Resource[T], local: T, fields: Json) -> T:
        """Set fields of the spec."""
        known = msgspec.to_builtins(local.spec)
        if all(known.get(name) == value for name, value in fields.items()):
            return local
        return await self._patch(resource, local, {"spec": fields})

    async def report(
        self, resource: Resource[T], local: T, observed: Iterable[Condition], status: Json | None = None
    ) -> T:
        """Merge conditions into the status, and set its other fields."""
        now = datetime.now(UTC).replace(microsecond=0)
        merged = conditions.merge_conditions(local.status.conditions, observed, local.metadata.generation, now)
        known, fields = msgspec.to_builtins(local.status), status or {}
        if merged == local.status.conditions and all(known.get(name) == value for name, value in fields.items()):
            return local
        body = {"status": {**fields, "conditions": conditions.conditions_to_json(merged)}}
        return await self._patch(resource, local, body, subresource="status")

    async def _set_finalizers(self, resource: Resource[T], local: T, finalizers: list[str]) -> T:
        metadata = {"resourceVersion": local.metadata.resource_version, "finalizers": finalizers}
        return await self._patch(resource, local, {"metadata": metadata})

    async def _patch(self, resource: Resource[T], local: T, body: Json, *, subresource: str = "") -> T:
        metadata = local.metadata
        return await self._client.patch(resource, metadata.name, metadata.namespace, body, subresource=subresource)
