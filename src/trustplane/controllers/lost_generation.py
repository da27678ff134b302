"""Pools and control planes whose generation Cluster API has seen without saying so: it is made to look again."""

import time
from typing import Any, Final

import structlog

from trustplane.api.clusterapi import KubeadmControlPlane, MachineDeployment
from trustplane.api.meta import Json
from trustplane.clusterapi.lost_update import is_generation_lost
from trustplane.controllers.clustertrust_view import View
from trustplane.controllers.resources import CONTROL_PLANES, MACHINE_DEPLOYMENTS
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.informer import Informer
from trustplane.kube.resource import Key, Resource

# A reconcile that failed is tried again within this time, mostly.
_PATIENCE_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


class LostGenerationReconciler:
    """Has Cluster API write the status of one kind's objects again, where it forgot.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        resource: The kind.
        informer: Of that kind.
    """

    def __init__(self, client: Client, view: View, resource: Resource[Any], informer: Informer[Any]) -> None:
        self._client = client
        self._view = view
        self._resource = resource
        self._informer = informer
        self._since: dict[Key, float] = {}  # when it seemed lost first; a new process is patient anew

    def controller(self) -> Controller:
        """Return the controller."""
        watches: list[Watch[Any]] = [
            Watch(self._informer),
            Watch(self._view.clusters, lambda _: ()),
        ]  # the latter to be there
        return Controller(f"lostgeneration-{self._resource.kind.lower()}", self.reconcile, watches)

    async def reconcile(self, key: Key) -> Result:
        """Look at one object."""
        found: KubeadmControlPlane | MachineDeployment | None = self._informer.get(key)
        if found is None or not is_generation_lost(found) or self._view.cluster_of(found) is None:
            self._since.pop(key, None)
            return Result()
        waited = time.monotonic() - self._since.setdefault(key, time.monotonic())
        if waited >= _PATIENCE_SECONDS:
            await self._nudge(found)
            waited = 0.0
            self._since[key] = time.monotonic()
        return Result(requeue_after=_PATIENCE_SECONDS - waited)

    async def _nudge(self, found: KubeadmControlPlane | MachineDeployment) -> None:
        """Take away what every reconcile of Cluster API writes anew, and the generation with it if it succeeds."""
        metadata = found.metadata
        body: Json = {"metadata": {"resourceVersion": metadata.resource_version}, "status": {"selector": None}}
        try:
            await self._client.patch(self._resource, metadata.name, metadata.namespace, body, subresource="status")
        except (ConflictError, NotFoundError):
            return  # what changed it wakes us
        _log.warning("status asked for again", kind=self._resource.kind, name=metadata.name)


def lost_generations(client: Client, view: View) -> list[LostGenerationReconciler]:
    """Return the reconcilers of pools and of control planes."""
    kinds: list[tuple[Resource[Any], Informer[Any]]] = [
        (MACHINE_DEPLOYMENTS, view.pools),
        (CONTROL_PLANES, view.control_planes),
    ]
    return [LostGenerationReconciler(client, view, *one) for one in kinds]
