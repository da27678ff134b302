"""TanzuKubernetesRelease: whether a release can be used, in its conditions."""

import contextlib
from datetime import UTC, datetime

import msgspec

from trustplane.api.keys import Key
from trustplane.api.release import TanzuKubernetesRelease, TanzuKubernetesReleaseStatus
from trustplane.clusterapi.release import release_status
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import FIELD_MANAGER, RELEASES


class ReleaseReconciler:
    """Keeps the status of releases true.

    Args:
        client: To the management cluster.
        releases: All releases.
    """

    def __init__(self, client: Client, releases: Informer[TanzuKubernetesRelease]) -> None:
        self._client = client
        self._releases = releases

    def controller(self) -> Controller:
        """Return the controller."""
        return Controller("release", self.reconcile, [Watch(self._releases)], workers=1)

    async def reconcile(self, key: Key) -> Result:
        """Judge one release."""
        release = self._releases.get(key)
        if release is None:
            return Result()
        body = release_status(release, now=datetime.now(UTC))
        if msgspec.convert(body["status"], TanzuKubernetesReleaseStatus) == release.status:
            return Result()
        body["metadata"]["resourceVersion"] = release.metadata.resource_version
        # It may have changed or gone meanwhile, which wakes us.
        with contextlib.suppress(ConflictError, NotFoundError):
            await self._client.apply(RELEASES, body, manager=FIELD_MANAGER, subresource="status")
        return Result()
