"""The measured cluster: its configuration, its updates, and pulls that cross-check Trustplane's reports."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime

from trustplane.api.annotations import CLUSTER_NAME_LABEL, CONTROL_PLANE_LABEL, UPDATE_REQUESTED_AT, UPDATE_STRATEGY
from trustplane.api.keys import Key
from trustplane.api.meta import Json, condition
from trustplane.clusterapi import ssh_secret
from trustplane.clusterapi.readiness import is_rolled_out
from trustplane.errors import TransientError
from trustplane.fleet.reading import read_capi_objects
from trustplane.fleet.workload import open_workload
from trustplane.kube.client import Client
from trustplane.kube.kinds import CONFIGURATIONS, MACHINES, PLAIN_SECRETS, REGISTRIES, RELEASES, SECRETS, TANZU_CLUSTERS
from trustplane.proof import probe
from trustplane.proof.prover import ProbeTarget, ensure_probe_namespace, prove_nodes
from trustplane.proof.verdict import ProofVerdict
from trustplane_local.demo import manifests
from trustplane_local.registry import PrivateRegistry

MANAGER = "trustplane-bench"
NAMESPACE = "default"
_POLL_SECONDS = 1.0
_PULL_SECRET = "bench"  # noqa: S105  the Secret's name
_PULL_SECONDS = 30.0


class MeasuredCluster:
    """A workload cluster.

    Args:
        supervisor: Client of the management cluster.
        name: Name of the workload cluster.
        manager: Field manager for the service configuration. Another manager's entries stay.
    """

    def __init__(self, supervisor: Client, name: str, *, manager: str = MANAGER) -> None:
        self._supervisor = supervisor
        self._manager = manager
        self.name = name

    @property
    def key(self) -> Key:
        """Namespace and name of the cluster."""
        return Key(NAMESPACE, self.name)

    async def configure(self, authorities: Mapping[str, bytes], annotations: Mapping[str, str] | None = None) -> None:
        """Apply the service configuration: PEM certificates by name, and annotations."""
        body = manifests.configuration_manifest(authorities) | {"apiVersion": CONFIGURATIONS.api_version}
        body["metadata"]["annotations"] = dict(annotations or {})
        await self._supervisor.apply(CONFIGURATIONS, body, manager=self._manager)

    async def register(self, host: str) -> None:
        """Create a Registry, which makes every node prove its trust in the host."""
        await self._supervisor.apply(REGISTRIES, manifests.registry_manifest(host), manager=MANAGER)

    async def create(self, *, control_planes: int = 1, workers: int) -> None:
        """Create the cluster and wait until it is ready."""
        release = (await self._supervisor.list(RELEASES))[-1].metadata.name
        body = manifests.cluster_manifest(self.name, release, control_planes=control_planes, workers=workers)
        await self._supervisor.apply(TANZU_CLUSTERS, body, manager=MANAGER)
        await self.wait_until("the cluster is ready", self._is_ready, seconds=1200)

    async def delete(self) -> None:
        """Delete the cluster and wait until it is gone."""
        await self._supervisor.delete(TANZU_CLUSTERS, self.name, NAMESPACE)

        async def is_gone() -> bool:
            return await self._supervisor.find(TANZU_CLUSTERS, self.name, NAMESPACE) is None

        await self.wait_until("the cluster is gone", is_gone, seconds=300)

    async def _is_ready(self) -> bool:
        cluster = await self._supervisor.get(TANZU_CLUSTERS, self.name, NAMESPACE)
        ready = condition(list(cluster.status.conditions), "Ready")
        return ready is not None and ready.status == "True" and await self.is_rolled_out()

    async def is_rolled_out(self) -> bool:
        """Return whether Cluster API has nothing left to do."""
        return is_rolled_out(await read_capi_objects(self._supervisor, self.key))

    async def set_strategy(self, value: str) -> None:
        """Set the cluster's update strategy: `InPlace` or `Replace`."""
        await self._annotate({UPDATE_STRATEGY: value})

    async def request_update(self) -> datetime:
        """Request an update as `trustplane update` does; return the time of the request."""
        at = datetime.now(UTC)
        await self._annotate({UPDATE_REQUESTED_AT: at.isoformat(timespec="microseconds")})
        return at

    async def _annotate(self, values: Mapping[str, str]) -> None:
        body: Json = {"metadata": {"annotations": dict(values)}}
        await self._supervisor.patch(TANZU_CLUSTERS, self.name, NAMESPACE, body)

    async def workers(self) -> dict[str, str]:
        """Return the workers' addresses by Node name."""
        machines = await self._supervisor.list(MACHINES, NAMESPACE, labels=f"{CLUSTER_NAME_LABEL}={self.name}")
        return {
            machine.status.node_ref.name: address.address
            for machine in machines
            if CONTROL_PLANE_LABEL not in machine.metadata.labels
            if machine.status.node_ref.name and not machine.metadata.deletion_timestamp
            for address in machine.status.addresses
            if address.type == "InternalIP"
        }

    async def address(self) -> str:
        """Return the address of a worker that is not being deleted: the last by name.

        Raises:
            TransientError: The cluster currently has no such worker.
        """
        workers = await self.workers()
        if not workers:
            raise TransientError(f"Cluster {self.name} currently has no worker")
        return workers[max(workers)]

    async def private_key(self) -> str:
        """Return the private SSH key of the nodes."""
        secret = await self._supervisor.get(SECRETS, ssh_secret.ssh_secret_name(self.name), NAMESPACE)
        return base64.b64decode(secret.data[ssh_secret.PRIVATE_KEY_FIELD]).decode()

    @contextlib.asynccontextmanager
    async def workload(self) -> AsyncIterator[Client]:
        """Open a client of the cluster."""
        async with open_workload(self._supervisor, self.key) as client:
            yield client

    async def pull(self, workload: Client, registry: PrivateRegistry) -> dict[str, ProofVerdict]:
        """Make the kubelet of every worker pull an image with credentials; return the verdicts by Node.

        This is independent of Trustplane's manager, because the benchmark creates the pods.
        """
        await ensure_probe_namespace(workload)
        secret = manifests.pull_secret(_PULL_SECRET, registry.host, registry.username, registry.password())
        secret["metadata"]["namespace"] = probe.PROBE_NAMESPACE
        await workload.apply(PLAIN_SECRETS, secret, manager=MANAGER)
        target = ProbeTarget(registry.host, image=registry.image, pull_secret=_PULL_SECRET)
        nodes = await self.workers()
        return {
            proof.node: proof.verdict async for proof in prove_nodes(workload, nodes, [target], timeout=_PULL_SECONDS)
        }

    async def wait_until(self, what: str, probe: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Poll until a claim holds.

        Args:
            what: The claim, for the error.
            probe: Returns whether it holds.
            seconds: Limit.

        Raises:
            TransientError: It does not hold in that time.
        """
        deadline = time.monotonic() + seconds
        while not await probe():
            if time.monotonic() > deadline:
                raise TransientError(f"After {seconds:.0f} s, this does not hold: {what}")
            await asyncio.sleep(_POLL_SECONDS)
