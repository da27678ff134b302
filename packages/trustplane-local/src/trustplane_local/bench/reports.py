"""Trustplane's own reports about one cluster, followed by watches."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.keys import Key
from trustplane.errors import TransientError
from trustplane.kube.backoff import Backoff
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, MACHINES
from trustplane.kube.tasks import beside
from trustplane_local.bench.progress import Snapshot, Stopwatch, describe_progress

_CLOCK: Final = time.monotonic


class Reports:
    """Follows a cluster's Cluster, Machines and ClusterTrust.

    Args:
        client: To the management cluster.
        key: The cluster's namespace and name.
    """

    def __init__(self, client: Client, key: Key) -> None:
        self._key = key
        labels, soon = f"{CLUSTER_NAME_LABEL}={key.name}", Backoff(most=1.0)
        self._clusters = Informer(client, CLUSTERS, namespace=key.namespace, backoff=soon)
        self._trusts = Informer(client, CLUSTER_TRUSTS, namespace=key.namespace, backoff=soon)
        self._machines = Informer(client, MACHINES, namespace=key.namespace, labels=labels, backoff=soon)
        self._informers: tuple[Informer[Any], ...] = (self._clusters, self._trusts, self._machines)
        self._changed = asyncio.Event()
        for informer in self._informers:
            informer.subscribe(lambda _: self._changed.set())

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Reports"]:
        """Keep the reports current within the block."""
        async with beside(*(informer.run() for informer in self._informers)):
            for informer in self._informers:
                await informer.synced.wait()
            yield self

    @property
    def snapshot(self) -> Snapshot:
        """The cluster as last reported."""
        machines = [machine for machine in self._machines.items() if machine.metadata.deletion_timestamp is None]
        return Snapshot(self._clusters.get(self._key), self._trusts.get(self._key), tuple(machines))

    async def until(self, what: str, holds: Callable[[Snapshot], bool], *, seconds: float) -> Snapshot:
        """Wait until something holds, and return the first snapshot in which it does.

        Args:
            what: The claim, for the error.
            holds: Judges a snapshot; called after every change.
            seconds: Limit.

        Raises:
            TransientError: It does not hold in that time.
        """
        try:
            async with asyncio.timeout(seconds):
                while not holds(snapshot := self.snapshot):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TransientError(f"After {seconds:.0f} s it does not hold that {what}") from None
        return snapshot

    async def time(self, watch: Stopwatch, *, seconds: float) -> dict[str, float]:
        """Wait until every group of machines has reached the stopwatch's goal; return the seconds of each group.

        Raises:
            TransientError: They do not reach it in that time; the message says which are missing.
        """
        what = f"every machine of {self._key} is {watch.goal}"
        try:
            await self.until(what, lambda snapshot: watch.take(snapshot, _CLOCK()), seconds=seconds)
        except TransientError as error:
            why = describe_progress(self.snapshot, watch.requested_at, watch.goal)
            raise TransientError(str(error), why=why) from None
        return dict(watch.seconds)
