"""Images of workload clusters' pods: which registries they come from, and whether nodes would trust those now.

The pods are listed now and then, page by page, and nothing but the names of images is kept of them.
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
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError, UnreadableError
from trustplane.kube.kinds import CLUSTER_TRUSTS, WORKLOAD_PODS
from trustplane.proof import probe
from trustplane.reporting.images import assessed, sources

IMAGES_FIELD_MANAGER: Final = "trustplane-images"
_WORKERS: Final = 8  # clusters at a time
_IMAGES: Final = 50_000  # of one cluster; its owner may name as many as it likes
_LENGTH: Final = 512  # characters of an image's name
_EVERY: Final = (540.0, 660.0)  # seconds between two lists of one cluster's pods
_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass(frozen=True)
class _Listed:
    uid: str  # of the Cluster
    until: float  # when the pods are to be listed anew, by the loop's clock
    sources: list[ImageSource]


class ImageReconciler:
    """Reports where the images of workload clusters come from.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
    """

    def __init__(self, client: Client, view: FleetView) -> None:
        self._client = client
        self._view = view
        self._listed: dict[Key, _Listed] = {}  # spares lists; after a restart everything is listed once more

    def controller(self) -> Controller:
        """Return the controller."""
        watches: list[Watch[Any]] = [Watch(self._view.clusters), Watch(self._view.trusts)]
        return Controller("images", self.reconcile, watches, workers=_WORKERS)

    async def reconcile(self, key: Key) -> Result:
        """Report of one cluster."""
        seen = await self._view.observe(key)
        if seen is None or not is_condition_true(seen.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            self._listed.pop(key, None)
            return Result()
        if seen.trust is None:
            return Result()  # when it is made, we are woken
        now = asyncio.get_running_loop().time()
        listed = self._listed.get(key)
        if listed is None or listed.uid != seen.cluster.metadata.uid or listed.until <= now:
            listed = await self._list(key, seen)
            self._listed[key] = listed
        await self._report(seen, listed)
        return Result(requeue_after=max(1.0, listed.until - now))

    async def _list(self, key: Key, seen: ClusterState) -> _Listed:
        images: set[str] = set()
        async with open_workload_and_report(self._client, key) as opened:
            async for page in opened.pages(WORKLOAD_PODS, fields=_RUNNING):
                names = (image for item in page.items for image in _images(item) if len(image) <= _LENGTH)
                images.update(islice(names, max(0, _IMAGES - len(images))))
        found = sources(images, seen.trust.status.images if seen.trust else ())
        until = asyncio.get_running_loop().time() + random.uniform(*_EVERY)  # noqa: S311  spreads the lists
        return _Listed(seen.cluster.metadata.uid, until, found)

    async def _report(self, seen: ClusterState, listed: _Listed) -> None:
        trust = seen.trust
        if trust is None:
            return
        registries, now = self._view.registries.items(), datetime.now(UTC)
        images, more = assessed(listed.sources, registries, seen.nodes, seen.sets, now)
        if (images, more) == (trust.status.images, trust.status.more_images):
            return
        body = {
            "metadata": {"name": trust.metadata.name, "namespace": trust.metadata.namespace},
            "status": fitted(KIND, {"images": msgspec.to_builtins(images), "moreImages": more}),
        }
        try:
            await self._client.apply(CLUSTER_TRUSTS, body, manager=IMAGES_FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return  # deleted just now, which wakes us


def _images(item: msgspec.Raw) -> list[str]:
    try:
        pod = WORKLOAD_PODS.decode(item)
    except UnreadableError:
        return []
    return [] if pod.metadata.namespace == probe.PROBE_NAMESPACE else pod.spec.images
