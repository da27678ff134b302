"""The measured cluster: its configuration, its updates, and pulls that cross-check what Trustplane reports."""

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
_LOOK_SECONDS = 1.0
_PULL_SECRET = "bench"  # noqa: S105  the Secret's name
_PULL_SECONDS = 30.0


class MeasuredCluster:
    """One cluster of a management cluster.

    Args:
        supervisor: Client of the management cluster.
        name: Of the cluster.
        manager: Field manager of the service's configuration. Entries that another one applied before stay its own.
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
        """Apply the service's configuration: PEM certificates by name, and what the annotations say of them."""
        body = manifests.configuration_manifest(authorities) | {"apiVersion": CONFIGURATIONS.api_version}
        body["metadata"]["annotations"] = dict(annotations or {})
        await self._supervisor.apply(CONFIGURATIONS, body, manager=self._manager)

    async def register(self, host: str) -> None:
        """Make a Registry, so that every node must prove that it trusts the host."""
        await self._supervisor.apply(REGISTRIES, manifests.registry_manifest(host), manager=MANAGER)

    async def make(self, *, control_planes: int = 1, workers: int) -> None:
        """Make the cluster and wait until it is ready."""
        release = (await self._supervisor.list(RELEASES))[-1].metadata.name
        body = manifests.cluster_manifest(self.name, release, control_planes=control_planes, workers=workers)
        await self._supervisor.apply(TANZU_CLUSTERS, body, manager=MANAGER)
        await self.until("the cluster is ready", self._is_ready, seconds=1200)

    async def delete(self) -> None:
        """Delete the cluster and wait until nothing of it is left."""
        await self._supervisor.delete(TANZU_CLUSTERS, self.name, NAMESPACE)

        async def is_gone() -> bool:
            return await self._supervisor.find(TANZU_CLUSTERS, self.name, NAMESPACE) is None

        await self.until("the cluster is gone", is_gone, seconds=300)

    async def _is_ready(self) -> bool:
        cluster = await self._supervisor.get(TANZU_CLUSTERS, self.name, NAMESPACE)
        ready = condition(list(cluster.status.conditions), "Ready")
        return ready is not None and ready.status == "True" and await self.is_rolled_out()

    async def is_rolled_out(self) -> bool:
        """Return whether Cluster API has nothing left to do."""
        return is_rolled_out(await read_capi_objects(self._supervisor, self.key))

    async def strategy(self, value: str) -> None:
        """Set the cluster's policy: `InPlace` or `Replace`."""
        await self._annotate({UPDATE_STRATEGY: value})

    async def request(self) -> datetime:
        """Request an update as `trustplane update` does; return the time of the request."""
        at = datetime.now(UTC)
        await self._annotate({UPDATE_REQUESTED_AT: at.isoformat(timespec="microseconds")})
        return at

    async def _annotate(self, values: Mapping[str, str]) -> None:
        body: Json = {"metadata": {"annotations": dict(values)}}
        await self._supervisor.patch(TANZU_CLUSTERS, self.name, NAMESPACE, body)

    async def workers(self) -> dict[str, str]:
        """Return the workers' addresses by the names of their Nodes."""
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
        """Return the address of a worker that stays, the last by name.

        Raises:
            TransientError: The cluster has no worker at the moment.
        """
        workers = await self.workers()
        if not workers:
            raise TransientError(f"Cluster {self.name} has no worker at the moment")
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
        """Have the kubelet of every worker pull an image with credentials; return the verdicts by Node.

        This is independent of Trustplane's manager: the pods are made from here.
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

    async def until(self, what: str, probe: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Poll until something holds.

        Raises:
            TransientError: It does not hold in that time.
        """
        deadline = time.monotonic() + seconds
        while not await probe():
            if time.monotonic() > deadline:
                raise TransientError(f"After {seconds:.0f} s it does not hold that {what}")
            await asyncio.sleep(_LOOK_SECONDS)
