"""The cluster that is measured, as the benchmark drives it: configuration, updates, proofs."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime

from trustplane.api.annotations import CLUSTER_NAME_LABEL, UPDATE_REQUESTED_AT, UPDATE_STRATEGY
from trustplane.api.meta import Json, condition
from trustplane.clusterapi import ssh_secret
from trustplane.clusterapi.readiness import is_rolled_out
from trustplane.controllers.clustertrust_workload import reading
from trustplane.controllers.reading import machinery
from trustplane.controllers.resources import CONFIGURATIONS, MACHINES, RELEASES, SECRETS, TANZU_CLUSTERS
from trustplane.errors import TransientError, TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.local.demo import manifests
from trustplane.proof.prover import Target, prove
from trustplane.proof.verdict import Trusted, Verdict

MANAGER = "trustplane-bench"
NAMESPACE = "default"
_CONTROL_PLANE = "cluster.x-k8s.io/control-plane"
_LOOK_SECONDS = 1.0


class Fleet:
    """One cluster of a management cluster.

    Args:
        supervisor: Client of the management cluster.
        name: Of the cluster.
        workers: Number of its workers.
    """

    def __init__(self, supervisor: Client, name: str, workers: int) -> None:
        self._supervisor = supervisor
        self.name = name
        self.workers = workers

    async def configure(self, authorities: Mapping[str, bytes]) -> None:
        """Apply the service's configuration."""
        body = manifests.service_configuration(authorities) | {"apiVersion": CONFIGURATIONS.api_version}
        await self._supervisor.apply(CONFIGURATIONS, body, manager=MANAGER)

    async def make(self) -> None:
        """Make the cluster and wait until it is ready."""
        release = (await self._supervisor.list(RELEASES))[-1].metadata.name
        body = manifests.cluster(self.name, release, workers=self.workers)
        await self._supervisor.apply(TANZU_CLUSTERS, body, manager=MANAGER)
        await self.until("the cluster is ready", self._is_ready, seconds=900)

    async def _is_ready(self) -> bool:
        tkc = await self._supervisor.get(TANZU_CLUSTERS, self.name, NAMESPACE)
        found = condition(list(tkc.status.conditions), "Ready")
        return found is not None and found.status == "True" and await self.is_rolled_out()

    async def is_rolled_out(self) -> bool:
        """Tell whether Cluster API has nothing left to do."""
        return is_rolled_out(await machinery(self._supervisor, Key(NAMESPACE, self.name)))

    async def strategy(self, value: str) -> None:
        """Set the cluster's policy: `InPlace` or `Replace`."""
        await self._annotate({UPDATE_STRATEGY: value})

    async def request(self) -> None:
        """Have the cluster take the current trust, as `trustplane update` does."""
        await self._annotate({UPDATE_REQUESTED_AT: datetime.now(UTC).isoformat(timespec="microseconds")})

    async def _annotate(self, values: Mapping[str, str]) -> None:
        body: Json = {"metadata": {"annotations": dict(values)}}
        await self._supervisor.patch(TANZU_CLUSTERS, self.name, NAMESPACE, body)

    async def machines(self) -> dict[str, str]:
        """Return the workers' addresses by the names of their Nodes."""
        found = await self._supervisor.list(MACHINES, NAMESPACE, labels=f"{CLUSTER_NAME_LABEL}={self.name}")
        workers = [one for one in found if _CONTROL_PLANE not in one.metadata.labels]
        return {
            one.status.node_ref.name: address.address
            for one in workers
            if not one.metadata.deletion_timestamp
            for address in one.status.addresses
            if address.type == "InternalIP" and one.status.node_ref.name
        }

    async def address(self) -> str:
        """Return the address of a worker that stays, the newest by name.

        Raises:
            TransientError: There is none just now.
        """
        found = await self.machines()
        if not found:
            raise TransientError(f"Cluster {self.name} has no worker just now")
        return found[max(found)]

    async def key(self) -> str:
        """Return the private SSH key of the nodes."""
        secret = await self._supervisor.get(SECRETS, ssh_secret.name_of(self.name), NAMESPACE)
        return base64.b64decode(secret.data[ssh_secret.PRIVATE_KEY]).decode()

    @contextlib.asynccontextmanager
    async def workload(self) -> AsyncIterator[Client]:
        """Open a client of the cluster."""
        async with reading(self._supervisor, Key(NAMESPACE, self.name)) as client:
            yield client

    async def wait_proven(self, workload: Client, host: str, *, trusted: bool, seconds: float) -> list[Verdict]:
        """Wait until the kubelet of every worker says so of a registry; return what they said."""
        last: list[Verdict] = []

        async def is_proven() -> bool:
            nodes = await self.machines()
            last[:] = await _verdicts(workload, nodes, host)
            return len(last) == self.workers and all(isinstance(one, Trusted) == trusted for one in last)

        await self.until(f"every worker says {'yes' if trusted else 'no'} to {host}", is_proven, seconds=seconds)
        return last

    async def until(self, what: str, probe: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Wait for something.

        Raises:
            TransientError: It does not come.
        """
        deadline = time.monotonic() + seconds
        while not await probe():
            if time.monotonic() > deadline:
                raise TransientError(f"After {seconds:.0f} s it is not so that {what}")
            await asyncio.sleep(_LOOK_SECONDS)


async def _verdicts(workload: Client, nodes: Mapping[str, str], host: str) -> list[Verdict]:
    try:
        return [one.verdict async for one in prove(workload, nodes, [Target(host)], timeout=20)]
    except TrustplaneError:  # the control plane is being replaced
        return []
