"""A Supervisor with the clusters, machines and registries of years; nothing needs work, and nothing is wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import msgspec
from tests.apiserver.controllers.conftest import KUBERNETES, SYSTEM, entry, make_ca

from trustplane.api.annotations import CLUSTER_NAME_LABEL, TRUST_PROVEN
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_INSPECTION, TRUST_PROOF, VERIFIED
from trustplane.api.configuration import NAME, TrustedCA
from trustplane.api.meta import Json
from trustplane.clusterapi import release, secret
from trustplane.clusterapi.cluster import desired_cluster
from trustplane.controllers.manager import ensure_manager_namespace
from trustplane.kube.client import Client
from trustplane.kube.kinds import (
    CLUSTERS,
    CONFIGURATIONS,
    MACHINES,
    NAMESPACES,
    REGISTRIES,
    RELEASES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.trust import bundle
from trustplane.trust.entries import TrustSet, parse_list
from trustplane.trust.propagation import PropagationRecord

CLUSTERS_IN_NAMESPACE = 20
MACHINES_OF_CLUSTER = 5
ENTRIES = 10
PARALLEL = 32  # requests


@dataclass(frozen=True)
class Fleet:
    """The size of a fleet.

    Args:
        clusters: Their number, each with `MACHINES_OF_CLUSTER` machines.
        registries: Their number; every cluster trusts all of them.
    """

    clusters: int
    registries: int

    @cached_property
    def listed(self) -> Sequence[Json]:
        """The service's list."""
        return [entry(f"ca-{number}", make_ca(f"ca-{number}")) for number in range(ENTRIES)]

    @cached_property
    def trust(self) -> TrustSet:
        """The trust set of the list."""
        return parse_list([msgspec.convert(one, TrustedCA) for one in self.listed]).trust

    @property
    def hosts(self) -> Sequence[str]:
        """Host names of the registries, which do not resolve."""
        return [f"registry-{number}.invalid" for number in range(self.registries)]

    @staticmethod
    def place(number: int) -> Json:
        """Return namespace and name of a cluster."""
        return {"namespace": f"team-{number // CLUSTERS_IN_NAMESPACE}", "name": f"cluster-{number}"}

    def facts(self, *, verdict: str = "Trusted") -> dict[str, str]:
        """Return the annotations of a machine that proved everything a moment ago."""
        now, digest = datetime.now(UTC), self.trust.digest
        results = [
            {"registry": host, "verdict": verdict if host == self.hosts[0] else "Trusted"} for host in self.hosts
        ]
        at, seen = now.isoformat(), [{"registry": host, "verification": VERIFIED} for host in self.hosts]
        values: dict[str, Json] = {
            TRUST_APPLIED: {"digest": digest, "at": (now - timedelta(seconds=30)).isoformat(), "method": "InPlace"},
            TRUST_PROOF: {"digest": digest, "at": at, "results": results},
            TRUST_INSPECTION: {"digest": digest, "at": at, "registries": seen, "registriesAt": at},
        }
        return {name: json.dumps(value) for name, value in values.items()}

    async def make(self, client: Client) -> None:
        """Create all objects."""
        await ensure_manager_namespace(client, SYSTEM)
        spec = {"defaultCNI": "antrea", "trust": {"additionalTrustedCAs": self.listed}}
        await client.apply(CONFIGURATIONS, {"metadata": {"name": NAME}, "spec": spec}, manager="user")
        await client.apply(RELEASES, release.release_body(KUBERNETES), manager="bench")
        for number, host in enumerate(self.hosts):
            await client.create(REGISTRIES, {"metadata": {"name": f"registry-{number}"}, "spec": {"host": host}})
        for number in range(0, self.clusters, CLUSTERS_IN_NAMESPACE):
            await client.create(NAMESPACES, {"metadata": {"name": self.place(number)["namespace"]}})
        await _all(range(self.clusters), lambda number: self._cluster(client, number))

    async def _cluster(self, client: Client, number: int) -> None:
        place = self.place(number)
        nodes = {"vmClass": "small", "storageClass": "local", "tkr": {"reference": {"name": KUBERNETES}}}
        pool = {"name": "np", "replicas": MACHINES_OF_CLUSTER - 1, **nodes}
        spec = {"topology": {"controlPlane": {"replicas": 1, **nodes}, "nodePools": [pool]}}
        tkc = await client.create(TANZU_CLUSTERS, {"metadata": place, "spec": spec})
        await self._capi(client, tkc)
        for machine in range(MACHINES_OF_CLUSTER):
            await self._machine(client, place, f"{place['name']}-{machine}")

    async def _capi(self, client: Client, tkc: TanzuKubernetesCluster) -> None:
        frozen = PropagationRecord(digest=self.trust.digest, first_customisation_handled=True).to_annotations()
        annotations = frozen | {TRUST_PROVEN: self.trust.digest}
        body = desired_cluster(
            tkc, kubernetes_version=KUBERNETES, annotations=annotations, ssh_public_key="ssh-ed25519 AAAA"
        )
        cluster = await client.create(CLUSTERS, body)
        await client.create(SECRETS, secret.set_secret(cluster, self.trust))
        text = bundle.render_bundle(self.trust, bundle.MAX_BUDGET_BYTES)
        await client.create(SECRETS, secret.boot_secret(cluster, text))

    async def _machine(self, client: Client, place: Json, name: str) -> None:
        cluster = place["name"]
        labels = {CLUSTER_NAME_LABEL: cluster}
        metadata = {"namespace": place["namespace"], "name": name, "labels": labels, "annotations": self.facts()}
        infrastructure = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": name}
        spec = {"clusterName": cluster, "bootstrap": {"dataSecretName": name}, "infrastructureRef": infrastructure}
        await client.create(MACHINES, {"metadata": metadata, "spec": spec})
        status = {"status": {"nodeRef": {"name": name}}}
        await client.patch(MACHINES, name, place["namespace"], status, subresource="status")


async def _all(numbers: Iterable[int], make: Callable[[int], Awaitable[None]]) -> None:
    rest = iter(numbers)

    async def work() -> None:
        for number in rest:
            await make(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(work())
