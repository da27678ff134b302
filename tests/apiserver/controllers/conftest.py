"""A Supervisor without Cluster API's managers: the tests write the objects of those.

The controllers have exactly the rights that `deploy/` gives to the manager.
"""

import asyncio
import base64
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Container, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.apiserver.controllers import deployment

from trustplane.api.annotations import CLUSTER_NAME_LABEL, CONTROL_PLANE_LABEL, DEPLOYMENT_NAME_LABEL, TRUST_DIGEST
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.configuration import NAME
from trustplane.api.crds import crds
from trustplane.api.meta import Json
from trustplane.clusterapi import release, secret
from trustplane.controllers.manager import add_controllers, ensure_manager_namespace
from trustplane.fleet.last_good import LAST_GOOD_SECRET
from trustplane.kube.client import Client
from trustplane.kube.errors import UnavailableError
from trustplane.kube.kinds import (
    CLUSTERS,
    CONFIGURATIONS,
    CONTROL_PLANES,
    CUSTOM_RESOURCE_DEFINITIONS,
    MACHINE_DEPLOYMENTS,
    MACHINE_HEALTH_CHECKS,
    MACHINES,
    RELEASES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.kube.manager import Manager
from trustplane.kube.resource import Resource
from trustplane.trust import bundle
from trustplane.trust.entries import EMPTY_SET, TrustSet

T = TypeVar("T")

SYSTEM = "trustplane-system"
KUBERNETES = "v1.36.3"
_KINDS = (CLUSTERS, CONTROL_PLANES, MACHINE_DEPLOYMENTS, MACHINE_HEALTH_CHECKS, MACHINES)
_TEMPLATE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachineTemplate", "name": "local"}
_INFRASTRUCTURE = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "local"}
PLAYED = {f"{one.plural}.{one.group}" for one in _KINDS}


def make_ca(name: str) -> str:
    """Create a CA; return its PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def entry(name: str, pem: str) -> Json:
    """Return an entry of a list of trusted CAs."""
    return {"name": name, "data": base64.b64encode(pem.encode()).decode()}


def cluster_api_crds(manifests: Path, names: Container[str] = PLAYED) -> Iterator[Json]:
    """Yield the definitions of the played kinds, or of these, from Cluster API's release."""
    for file in sorted(manifests.glob("*.yaml")):
        for one in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader):
            if one and one["kind"] == "CustomResourceDefinition" and one["metadata"]["name"] in names:
                # No manager runs to convert versions.
                one["spec"]["versions"] = [version for version in one["spec"]["versions"] if version["storage"]]
                one["spec"].pop("conversion", None)
                yield one


async def install(kubeconfig: Json, definitions: list[Json]) -> None:
    """Define kinds, and wait until they are served."""
    async with Client.open(kubeconfig) as client:
        for one in definitions:
            await client.apply(CUSTOM_RESOURCE_DEFINITIONS, one, manager="test")
        for one in definitions:
            await until(client, CUSTOM_RESOURCE_DEFINITIONS, one["metadata"]["name"], "", _is_established)


def _is_established(definition: Json) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


async def until(
    client: Client, resource: Resource[T], name: str, namespace: str, done: Callable[[T], bool], seconds: float = 30
) -> T:
    """Wait until an object meets a condition; return it. On failure, show its last state."""
    last: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    async for event in client.watch(resource, namespace, version="", fields=f"metadata.name={name}"):
                        last = None if event.type == "DELETED" else resource.decode(event.object)
                        if event.type in {"ADDED", "MODIFIED"} and last is not None and done(last):
                            return last
                except UnavailableError:
                    await asyncio.sleep(0.1)  # a kind defined a moment ago
    except TimeoutError:
        pytest.fail(f"{resource} {namespace}/{name} did not come to be as asked for: {last}")


async def until_gone(client: Client, resource: Resource[Any], name: str, namespace: str) -> None:
    """Wait until an object is absent."""
    async with asyncio.timeout(30):
        if await client.find(resource, name, namespace) is None:
            return
        async for event in client.watch(resource, namespace, version="", fields=f"metadata.name={name}"):
            if event.type == "DELETED" or await client.find(resource, name, namespace) is None:
                return


@pytest.fixture(scope="session")
def _definitions(shared_apiserver: Any, binaries: Path) -> None:
    shared_apiserver.start()
    definitions = [*crds(), *cluster_api_crds(binaries.parent / "manifests")]
    asyncio.run(install(shared_apiserver.kubeconfig, definitions))
    asyncio.run(deployment.install_roles(shared_apiserver.kubeconfig))


class Supervisor:
    """The actions of a user and of Cluster API in one namespace.

    Args:
        client: Client of an administrator.
        namespace: Namespace of the clusters.
        manager: Of our controllers; the administrator's without it.
    """

    def __init__(self, client: Client, namespace: str, manager: Client | None = None) -> None:
        self.client = client
        self.namespace = namespace
        self._manager = manager or client
        self._remade: dict[str, int] = {}  # number of replacements, by the first name of a machine

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the controllers until the end of the block or the task."""
        await ensure_manager_namespace(self._manager, SYSTEM)
        manager, stop = Manager(self._manager), asyncio.Event()
        add_controllers(manager, self._manager, namespace=SYSTEM)
        task = asyncio.create_task(manager.run(stop))
        try:
            yield task
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def configure(self, *entries: Json, **annotations: str) -> None:
        """Apply the service's configuration as a user does, with these entries in its list."""
        spec: Json = {"defaultCNI": "antrea", "trust": {"additionalTrustedCAs": list(entries)}}
        body = {"metadata": {"name": NAME, "annotations": annotations}, "spec": spec}
        await self.client.apply(CONFIGURATIONS, body, manager="user")

    async def make(
        self,
        name: str,
        *,
        release: str = KUBERNETES,
        trust: list[Json] | None = None,
        control_plane: Json | None = None,
        pool: Json | None = None,
    ) -> None:
        """Create or change a cluster as a user does; `control_plane` and `pool` take precedence."""
        nodes = {"vmClass": "best-effort-small", "storageClass": "local", "tkr": {"reference": {"name": release}}}
        spec: Json = {
            "topology": {
                "controlPlane": {"replicas": 1, **nodes, **(control_plane or {})},
                "nodePools": [{"name": "np", "replicas": 2, **nodes, **(pool or {})}],
            }
        }
        if trust is not None:
            spec["settings"] = {"network": {"trust": {"additionalTrustedCAs": trust}}}
        body = {"metadata": {"name": name, "namespace": self.namespace}, "spec": spec}
        await self.client.apply(TANZU_CLUSTERS, body, manager="user")

    async def annotate(self, name: str, **annotations: str) -> None:
        """Set annotations `trustplane.dev/<name with dashes>` of a cluster."""
        values = {f"trustplane.dev/{one.replace('_', '-')}": value for one, value in annotations.items()}
        await self.client.patch(TANZU_CLUSTERS, name, self.namespace, {"metadata": {"annotations": values}})

    async def label(self, name: str, key: str, value: str) -> None:
        """Set a label of a TanzuKubernetesCluster."""
        await self.client.patch(TANZU_CLUSTERS, name, self.namespace, {"metadata": {"labels": {key: value}}})

    async def tkc(self, name: str, done: Callable[[TanzuKubernetesCluster], bool]) -> TanzuKubernetesCluster:
        """Wait until a TanzuKubernetesCluster meets a condition."""
        return await until(self.client, TANZU_CLUSTERS, name, self.namespace, done)

    async def cluster(self, name: str, done: Callable[[Cluster], bool] = lambda _: True) -> Cluster:
        """Wait until the Cluster of Cluster API meets a condition."""
        return await until(self.client, CLUSTERS, name, self.namespace, done)

    async def trusting(self, name: str, *names: str, seconds: float = 30) -> Cluster:
        """Wait until the set in force of a cluster has entries with these names, in alphabetical order."""
        last: list[str] = []
        until_ = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until_:
            found = await self.client.find(CLUSTERS, name, self.namespace)
            # A Cluster may name a set whose Secret a killed manager has not created: the next one takes another set.
            wanted = secret_name(found) if found else ""
            kept = await self.client.find(SECRETS, wanted, self.namespace) if wanted else None
            trust = secret.parse_set_secret(kept) if kept else EMPTY_SET
            last = sorted(trust.names) if trust is not None else []
            is_taken = found is not None and TRUST_DIGEST in found.metadata.annotations
            if is_taken and last == [*names]:
                return found
            await asyncio.sleep(0.05)
        pytest.fail(f"Cluster {self.namespace}/{name} trusts {last} and not {names}")

    async def in_force(self, cluster: Cluster) -> TrustSet:
        """Return the set that a cluster has taken, once its Secret exists."""
        name = secret_name(cluster)
        if not name:
            return EMPTY_SET
        found = await until(self.client, SECRETS, name, self.namespace, lambda _: True)
        trust = secret.parse_set_secret(found)
        assert trust is not None
        return trust

    async def trusted(self, cluster: Cluster) -> list[str]:
        """Return the names of the entries of the set that a cluster has taken."""
        return sorted((await self.in_force(cluster)).names)

    async def boot_set(self, name: str, digest: str | None = None) -> str:
        """Wait until the boot set of a cluster exists, or is the given one; return its text."""
        found = await until(
            self.client,
            SECRETS,
            secret.boot_secret_name(name),
            self.namespace,
            lambda one: digest in (None, secret.parse_boot_secret(one).digest),
        )
        return secret.parse_boot_secret(found).text

    @contextlib.asynccontextmanager
    async def following(self, *names: str) -> AsyncIterator[None]:
        """Do the work of Cluster API for these Clusters during the block, machines included.

        A machine boots with the content of Secret `<cluster>-trust` at its creation, and keeps it; `rollout.after`
        replaces it by a new machine.
        """
        tasks = [asyncio.create_task(self._follow(name)) for name in names]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def populate(self, name: str) -> None:
        """Create the missing objects and machines of a Cluster."""
        await self.boot_set(name)
        await self.play(name)
        for machine in self._machines(name):
            if await self.client.find(MACHINES, machine, self.namespace) is None:
                await self._make_machine(machine, name, self._labels(machine, name))

    async def _follow(self, name: str) -> None:
        await self.populate(name)
        group = f"{CLUSTER_NAME_LABEL}={name}"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_changes(name))
            for resource in (CONTROL_PLANES, MACHINE_DEPLOYMENTS):
                tasks.create_task(self._replace(name, resource, group))

    async def _follow_changes(self, name: str) -> None:
        seen = 0
        async for event in self._changes(CLUSTERS, fields=f"metadata.name={name}"):
            cluster = CLUSTERS.decode(event.object)
            if cluster.metadata.generation != seen:
                seen = cluster.metadata.generation
                await self.play(name)

    async def _changes(self, resource: Resource[Any], **selectors: str) -> AsyncIterator[Any]:
        while True:
            async for event in self.client.watch(resource, self.namespace, version="", **selectors):  # type: ignore[arg-type]
                if event.type in {"ADDED", "MODIFIED"}:
                    yield event

    async def _replace(self, name: str, resource: Resource[Any], labels: str) -> None:
        """Replace the machines of a group whenever `rollout.after` changes."""
        done: dict[str, Any] = {}
        async for event in self._changes(resource, labels=labels):
            group = resource.decode(event.object)
            after = group.spec.rollout.after
            if after in (None, done.get(group.metadata.name)):
                continue
            done[group.metadata.name] = after
            for machine in self._machines(name):
                if machine.startswith(f"{group.metadata.name}-"):
                    await self.remake(machine, name)

    @staticmethod
    def _machines(name: str) -> list[str]:
        return [f"{name}-cp-0", f"{name}-np-0", f"{name}-np-1"]

    @staticmethod
    def _labels(machine: str, cluster: str) -> dict[str, str]:
        group = {CONTROL_PLANE_LABEL: ""} if machine.startswith(f"{cluster}-cp-") else {DEPLOYMENT_NAME_LABEL: "np"}
        return {CLUSTER_NAME_LABEL: cluster, **group}

    async def remake(self, machine: str, cluster: str) -> None:
        """Replace a machine, given by its first name; the new one boots with the current boot set."""
        count = self._remade.get(machine, 0)
        self._remade[machine] = count + 1
        await self._make_machine(f"{machine}-{count + 1}", cluster, self._labels(machine, cluster))
        await self.client.delete(MACHINES, f"{machine}-{count}" if count else machine, self.namespace)

    async def _make_machine(self, name: str, cluster: str, labels: Json) -> None:
        await self.bootstrap(name, await self.boot_set(cluster))
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        spec = {
            "clusterName": cluster,
            "version": KUBERNETES,
            "bootstrap": {"dataSecretName": name},
            "infrastructureRef": _INFRASTRUCTURE,
        }
        await self.client.apply(MACHINES, {"metadata": metadata, "spec": spec}, manager="capi")
        status = {"nodeRef": {"name": name}}
        await self.client.patch(MACHINES, name, self.namespace, {"status": status}, subresource="status")

    async def bootstrap(self, name: str, text: str) -> None:
        """Store bootstrap data with the text of a boot set, as Cluster API does; without a text it has no set."""
        indented = "".join(f"      {line}\n" for line in text.splitlines())
        file = f"-   path: /etc/trustplane/trust.pem\n    content: |\n{indented}" if text else ""
        value = base64.b64encode(f"#cloud-config\nwrite_files:\n{file}".encode()).decode()
        metadata = {"name": name, "namespace": self.namespace}
        body = {"metadata": metadata, "type": "cluster.x-k8s.io/secret", "data": {"value": value, "format": ""}}
        await self.client.apply(SECRETS, body, manager="capi", force=True)

    async def play(self, name: str, *, up_to_date: bool = True) -> None:
        """Do the work of Cluster API for a Cluster once: create its objects, and report them (up to date or not)."""
        cluster = await self.client.get(CLUSTERS, name, self.namespace)
        await self._make_objects(cluster)
        for resource, object_name, replicas in (
            (CONTROL_PLANES, f"{name}-cp", 1),
            (MACHINE_DEPLOYMENTS, f"{name}-np", 2),
        ):
            found = await self.client.get(resource, object_name, self.namespace)
            new = replicas if up_to_date else 0
            status: Json = {
                "observedGeneration": found.metadata.generation,
                "replicas": replicas,
                "readyReplicas": replicas,
                "availableReplicas": replicas,
                "upToDateReplicas": new,
            }
            await self.client.patch(resource, object_name, self.namespace, {"status": status}, subresource="status")
        await self._report(cluster)

    async def _make_objects(self, cluster: Cluster) -> None:
        name, labels = cluster.metadata.name, {CLUSTER_NAME_LABEL: cluster.metadata.name}
        control_plane = {
            "metadata": {"name": f"{name}-cp", "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": 1,
                "version": KUBERNETES,
                "kubeadmConfigSpec": {"preKubeadmCommands": ["true"]},
                "machineTemplate": {"spec": {"infrastructureRef": _TEMPLATE}},
            },
        }
        reference = {"apiGroup": "bootstrap.cluster.x-k8s.io", "kind": "KubeadmConfigTemplate", "name": "np"}
        pool_labels = {**labels, DEPLOYMENT_NAME_LABEL: "np"}
        pool = {
            "metadata": {"name": f"{name}-np", "namespace": self.namespace, "labels": pool_labels},
            "spec": {
                "clusterName": name,
                "replicas": 2,
                "selector": {"matchLabels": pool_labels},
                "template": {
                    "metadata": {"labels": pool_labels},
                    "spec": {
                        "clusterName": name,
                        "bootstrap": {"configRef": reference},
                        "infrastructureRef": _TEMPLATE,
                    },
                },
            },
        }
        await self.client.apply(CONTROL_PLANES, control_plane, manager="capi")
        await self.client.apply(MACHINE_DEPLOYMENTS, pool, manager="capi")

    async def _report(self, cluster: Cluster) -> None:
        types = [
            "Available",
            "ControlPlaneAvailable",
            "ControlPlaneInitialized",
            "ControlPlaneMachinesReady",
            "ControlPlaneMachinesUpToDate",
            "InfrastructureReady",
            "TopologyReconciled",
            "WorkerMachinesReady",
            "WorkerMachinesUpToDate",
            "WorkersAvailable",
        ]
        conditions = [
            {
                "type": one,
                "status": "True",
                "reason": one,
                "message": "",
                "observedGeneration": cluster.metadata.generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for one in types
        ]
        counts = {
            "desiredReplicas": 1,
            "replicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "upToDateReplicas": 1,
        }
        status = {"observedGeneration": cluster.metadata.generation, "conditions": conditions, "controlPlane": counts}
        await self.client.patch(
            CLUSTERS, cluster.metadata.name, self.namespace, {"status": status}, subresource="status"
        )

    async def forget(self, name: str, resource: Resource[Any] = TANZU_CLUSTERS) -> None:
        """Remove an object despite its finalizers."""
        if await self.client.find(resource, name, self.namespace):
            await self.client.patch(resource, name, self.namespace, {"metadata": {"finalizers": None}})
            await self.client.delete(resource, name, self.namespace)


def secret_name(cluster: Cluster) -> str:
    """Return the name of the Secret of the set that a cluster has taken; empty for an empty set."""
    digest = cluster.metadata.annotations.get(TRUST_DIGEST, EMPTY_SET.digest)
    return "" if digest == EMPTY_SET.digest else secret.set_secret_name(cluster.metadata.name, digest)


def born_with(text: str) -> str:
    """Return the digest of the set in the text of a boot set."""
    return bundle.find_bundle_digest(text) or ""


@pytest.fixture
async def supervisor(_definitions: None, apiserver: Any, client: Client, namespace: str) -> AsyncIterator[Supervisor]:
    """A Supervisor after its installation: no configuration, one release."""
    await client.delete(CONFIGURATIONS, NAME)
    await client.delete(SECRETS, LAST_GOOD_SECRET, SYSTEM)
    await client.apply(RELEASES, release.release_body(KUBERNETES), manager="test")
    async with Client.open(await deployment.kubeconfig_of("trustplane-manager", apiserver.kubeconfig)) as manager:
        supervisor = Supervisor(client, namespace, manager)
        yield supervisor
    for resource in (TANZU_CLUSTERS, CLUSTERS):
        for one in await client.list(resource, namespace):
            await supervisor.forget(one.metadata.name, resource)
