"""Controller of images: the registries of workload clusters' images, and whether nodes trust them now.

Pods are listed periodically, page by page; only their image names are kept.
"""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from trustplane.api import clusterapi
from trustplane.api.clustertrust import KIND, ImageSource
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key
from trustplane.clusterapi.readiness import is_condition_true
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.fleet.workload import open_workload_and_report
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import NotFoundError, UnreadableError
from trustplane.kube.kinds import CLUSTER_TRUSTS, WORKLOAD_PODS
from trustplane.kube.reconciler import Reconciler
from trustplane.proof import probe
from trustplane.reporting.images import assess_sources, image_sources

IMAGES_FIELD_MANAGER: Final = "trustplane-images"
_IMAGES: Final = 50_000  # limit per cluster; tenants can name any number
_LENGTH: Final = 512  # maximum characters of an image name
_EVERY: Final = (540.0, 660.0)  # seconds between two lists of a cluster's pods
_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass(frozen=True)
class _ImageList:
    uid: str  # UID of the Cluster
    until: float  # when to list the pods again, by the loop's clock
    sources: list[ImageSource]


class ImageReconciler(Reconciler):
    """Report the sources of workload clusters' images.

    Args:
        client: To the management cluster.
        view: The view of clusters.
    """

    name = "images"
    workers = 8

    def __init__(self, client: Client, view: FleetView) -> None:
        self._client = client
        self._view = view
        self._listed: dict[Key, _ImageList] = {}  # avoids requests; lost on restart, then listed again

    def _watches(self) -> list[Watch[Any]]:
        return [Watch(self._view.clusters), Watch(self._view.trusts)]

    async def reconcile(self, key: Key) -> Result:
        """Report the image sources of one cluster."""
        snapshot = await self._view.observe(key)
        if snapshot is None or not is_condition_true(snapshot.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            self._listed.pop(key, None)
            return Result()
        if snapshot.trust is None:
            return Result()  # its creation wakes the controller
        now = asyncio.get_running_loop().time()
        listed = self._listed.get(key)
        if listed is None or listed.uid != snapshot.cluster.metadata.uid or listed.until <= now:
            listed = await self._list(key, snapshot)
            self._listed[key] = listed
        await self._report(snapshot, listed)
        return Result(requeue_after=max(1.0, listed.until - now))

    async def _list(self, key: Key, snapshot: ClusterState) -> _ImageList:
        images: set[str] = set()
        async with open_workload_and_report(self._client, key) as opened:
            async for page in opened.pages(WORKLOAD_PODS, fields=_RUNNING):
                names = (image for item in page.items for image in _images(item) if len(image) <= _LENGTH)
                images.update(islice(names, max(0, _IMAGES - len(images))))
        current = image_sources(images, snapshot.trust.status.images if snapshot.trust else ())
        until = asyncio.get_running_loop().time() + random.uniform(*_EVERY)  # noqa: S311  spreads the load
        return _ImageList(snapshot.cluster.metadata.uid, until, current)

    async def _report(self, snapshot: ClusterState, listed: _ImageList) -> None:
        trust = snapshot.trust
        if trust is None:
            return
        registries, now = self._view.registries.items(), datetime.now(UTC)
        images, more = assess_sources(listed.sources, registries, snapshot.nodes, snapshot.sets, now)
        if (images, more) == (trust.status.images, trust.status.more_images):
            return
        body = {
            "metadata": {"name": trust.metadata.name, "namespace": trust.metadata.namespace},
            "status": fitted(KIND, {"images": msgspec.to_builtins(images), "moreImages": more}),
        }
        try:
            await self._client.apply(CLUSTER_TRUSTS, body, manager=IMAGES_FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return  # deleted in between; the watch wakes the controller


def _images(item: msgspec.Raw) -> list[str]:
    try:
        pod = WORKLOAD_PODS.decode(item)
    except UnreadableError:
        return []
    return [] if pod.metadata.namespace == probe.PROBE_NAMESPACE else pod.spec.images
