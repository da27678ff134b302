"""Follow the updates of clusters, driven by what changes in the management cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from trustplane.clusterapi.readiness import Observed
from trustplane.controllers.progress import CURRENT, DONE, NOT_PROVEN, REFUSED, STOPPED, Progress, progress, proved
from trustplane.controllers.reading import ByCluster, machinery
from trustplane.controllers.resources import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONTROL_PLANES,
    MACHINE_DEPLOYMENTS,
    TANZU_CLUSTERS,
)
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.resource import Key
from trustplane.kube.tasks import beside

# A list that was corrected just now may still be reported as wrong.
_REFUSAL_SECONDS = 5.0
# An update that only removes goes on although a node does not trust a registry, and then there is nothing to wait for.
# In that time a machine is replaced, which is the longest that an update takes without another machine done.
_STOPPED_SECONDS = 90.0


class Follower:
    """Watches clusters until their updates are done.

    Args:
        client: To the management cluster.
        namespace: Of the clusters; empty for all.
        show: Called with each progress that differs from the one before.
        prove: Wait until nodes have proven it, too.
    """

    def __init__(
        self, client: Client, namespace: str, show: Callable[[Progress], None], *, prove: bool = False
    ) -> None:
        self._client = client
        self._show = show
        self._prove = prove
        self._stopped: dict[Key, tuple[int, float]] = {}  # machines up to date, and since when no more
        self._tkcs = Informer(client, TANZU_CLUSTERS, namespace=namespace)
        self._clusters = Informer(client, CLUSTERS, namespace=namespace)
        control_planes = Informer(client, CONTROL_PLANES, namespace=namespace)
        pools = Informer(client, MACHINE_DEPLOYMENTS, namespace=namespace)
        self._control_planes_of, self._pools_of = ByCluster(control_planes), ByCluster(pools)
        self._trusts = Informer(client, CLUSTER_TRUSTS, namespace=namespace)
        self._informers: tuple[Informer[Any], ...] = (
            self._tkcs,
            self._clusters,
            control_planes,
            pools,
            *([self._trusts] if prove else []),
        )
        self._last: dict[Key, Progress] = {}

    async def follow(self, requests: Mapping[Key, datetime], *, timeout: float) -> list[Progress]:
        """Wait until each cluster is current (and proven), refused or stopped, or the time is up; return where each is.

        Args:
            requests: When the update of each cluster was requested.
            timeout: Seconds.

        Raises:
            UserError: A cluster was deleted meanwhile.
        """
        started = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changes() as changed:
                while not await self._all_done(requests, started):
                    # Not wait_for: before Python 3.12 it can swallow a cancellation, and with it Ctrl-C.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_REFUSAL_SECONDS):
                            await changed.wait()
                    changed.clear()
        return [self._last[key] for key in requests if key in self._last]

    @contextlib.asynccontextmanager
    async def _changes(self) -> AsyncIterator[asyncio.Event]:
        changed = asyncio.Event()
        for informer in self._informers:
            informer.subscribe(lambda _: changed.set())
        async with beside(*(informer.run() for informer in self._informers)):
            for informer in self._informers:
                await informer.synced.wait()
            yield changed

    async def _all_done(self, requests: Mapping[Key, datetime], started: float) -> bool:
        patient = asyncio.get_running_loop().time() - started < _REFUSAL_SECONDS
        done = True
        for key, requested_at in requests.items():
            last = self._last.get(key)
            if last is None or last.state not in DONE:
                last = await self._look(key, requested_at)
            refused = last.state == REFUSED and not patient
            done = done and (last.state in DONE or refused or self._is_stopped(last))
        return done

    def _is_stopped(self, last: Progress) -> bool:
        if last.state == STOPPED:
            return True
        if last.state != NOT_PROVEN:
            self._stopped.pop(last.key, None)
            return False
        now = asyncio.get_running_loop().time()
        count, since = self._stopped.setdefault(last.key, (last.up_to_date, now))
        if count != last.up_to_date:
            self._stopped[last.key] = (last.up_to_date, now)
        return count == last.up_to_date and now - since > _STOPPED_SECONDS

    async def _look(self, key: Key, requested_at: datetime) -> Progress:
        tkc = self._tkcs.get(key)
        if tkc is None:
            raise UserError(f"TanzuKubernetesCluster {key} is gone", why="it was deleted during its update")
        control_planes, pools = self._control_planes_of.of(key), self._pools_of.of(key)
        seen = Observed(
            cluster=self._clusters.get(key),
            control_plane=next(iter(control_planes), None),
            machine_deployments=pools,
        )
        now = progress(tkc, seen, requested_at)
        if now.state == CURRENT:
            # Each kind's watch has its own delay: only a look at all of them as they are now is proof.
            seen = await machinery(self._client, key)
            now = progress(tkc, seen, requested_at)
        if self._prove and seen.cluster:
            now = proved(now, seen.cluster.metadata.annotations, self._trusts.get(key))
        last = self._last.get(key)
        self._last[key] = now
        if last is None or now.text != last.text:
            self._show(now)
        return now
