"""Controller of TanzuKubernetesRelease: report in conditions whether a release is usable."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from trustplane.api.keys import Key
from trustplane.api.release import TanzuKubernetesRelease, TanzuKubernetesReleaseStatus
from trustplane.clusterapi.release import release_status
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import FIELD_MANAGER, RELEASES
from trustplane.kube.reconciler import Reconciler


class ReleaseReconciler(Reconciler):
    """Keep the status of releases current.

    Args:
        client: To the management cluster.
        releases: All releases.
    """

    name = "release"
    workers = 1

    def __init__(self, client: Client, releases: Informer[TanzuKubernetesRelease]) -> None:
        self._client = client
        self._releases = releases

    def _watches(self) -> list[Watch[Any]]:
        return [Watch(self._releases)]

    async def reconcile(self, key: Key) -> Result:
        """Update the status of one release."""
        release = self._releases.get(key)
        if release is None:
            return Result()
        body = release_status(release, now=datetime.now(UTC))
        if msgspec.convert(body["status"], TanzuKubernetesReleaseStatus) == release.status:
            return Result()
        body["metadata"]["resourceVersion"] = release.metadata.resource_version
        # Changed or deleted in between; the watch wakes the controller.
        with contextlib.suppress(ConflictError, NotFoundError):
            await self._client.apply(RELEASES, body, manager=FIELD_MANAGER, subresource="status")
        return Result()
