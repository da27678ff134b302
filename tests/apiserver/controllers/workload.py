"""A fake workload cluster in the test's API server: Machines, and a kubelet that answers for their Nodes."""

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import yaml
from tests.apiserver.conftest import inlined
from tests.apiserver.controllers.conftest import KUBERNETES, Supervisor, until

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.clusterapi import kubeconfig_secret
from trustplane.api.clustertrust import TRUST_APPLIED, VERIFIED, ClusterTrust, Inspection, RegistryAccess
from trustplane.api.meta import Json
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.fleet.inspection import DesiredTrust, InspectionResult
from trustplane.kube.client import Client
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.informer import Change, Informer
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, MACHINES, PODS, REGISTRIES, SECRETS
from trustplane.proof import probe

NOT_FOUND = "{image}: not found"
UNTRUSTED = (
    'failed to resolve reference "{image}": failed to do request: Head "https://{host}/v2/x/manifests/y": '
    "tls: failed to verify certificate: x509: certificate signed by unknown authority"
)


class Kubelet:
    """Answers every probe like a kubelet, in the pod's status.

    Attributes:
        messages: The message of a failed pull, by registry, with placeholders `{image}` and `{host}`.
        pulls: The requested probes: node, host, names of the pull secrets.
        silent: Nodes that do not answer.
        refuses: Whether a node does not trust a registry.
        may_answer: The kubelet answers only while this is set.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.messages: dict[str, str] = {}
        self.pulls: list[tuple[str, str, list[str]]] = []
        self.silent: set[str] = set()
        self.refuses: Callable[[str, str], bool] = lambda _node, _host: False
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._queue: asyncio.Queue[Json] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Kubelet"]:
        """Answer during the block."""
        informer: Informer[Json] = Informer(
            self._client, PODS, namespace=probe.PROBE_NAMESPACE, labels=probe.PROBE_SELECTOR
        )
        informer.subscribe(self._notice)
        tasks = [asyncio.create_task(informer.run()), asyncio.create_task(self._work())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _notice(self, change: Change[Json]) -> None:
        if change.old is None and change.new is not None:
            self._queue.put_nowait(change.new)

    async def _work(self) -> None:
        while True:
            pod = await self._queue.get()
            image = pod["spec"]["containers"][0]["image"]
            host, node = image.partition("/")[0], pod["spec"]["nodeName"]
            secrets = [secret["name"] for secret in pod["spec"].get("imagePullSecrets", [])]
            self.pulls.append((node, host, secrets))
            if node in self.silent or host not in self.messages:
                continue
            await self.may_answer.wait()
            message = UNTRUSTED if self.refuses(node, host) else self.messages[host]
            waiting = {"reason": "ErrImagePull", "message": message.format(image=image, host=host)}
            state = {"name": probe.PROBE_CONTAINER, "image": image, "imageID": "", "ready": False, "restartCount": 0}
            status = {"containerStatuses": [{**state, "state": {"waiting": waiting}}]}
            with contextlib.suppress(NotFoundError, ConflictError):
                await self._client.patch(
                    PODS, pod["metadata"]["name"], probe.PROBE_NAMESPACE, {"status": status}, subresource="status"
                )


class Inspector:
    """Inspects nodes in place of SSH: no drift, and verified TLS to every registry.

    Attributes:
        reach: The access to registries without verified TLS, by host.
        error: Why nodes cannot be inspected; empty: they can.
        repairs: Nodes whose repair was requested.
    """

    def __init__(self) -> None:
        self.reach: dict[str, RegistryAccess] = {}
        self.error = ""
        self.repairs: set[str] = set()

    async def inspect(
        self, _client: Client, _machine: Any, key: str, facts: NodeFacts, wanted: DesiredTrust
    ) -> InspectionResult:
        assert "PRIVATE KEY" in key
        hosts = wanted.registries
        if wanted.repair:
            self.repairs.add(facts.node)
        now = datetime.now(UTC)
        if self.error:
            return InspectionResult(Inspection(digest=facts.digest, at=now, error=self.error))
        known = [self.reach.get(host) or RegistryAccess(registry=host, verification=VERIFIED) for host in hosts]
        return InspectionResult(Inspection(digest=facts.digest, at=now, registries=known, registries_at=now))


async def make_nodes(supervisor: Supervisor, cluster: str, *names: str, kubeconfig: Json, endpoint: str = "") -> None:
    """Create Machines and Nodes with their boot set, endpoint and kubeconfig, in place of Cluster API."""
    text = await supervisor.boot_set(cluster)
    for name in names:
        await make_machine(supervisor, cluster, name, text)
    await set_endpoint(supervisor, cluster, endpoint or kubeconfig["clusters"][0]["cluster"]["server"])
    await keep_kubeconfig(supervisor, cluster, inlined(kubeconfig))


async def set_endpoint(supervisor: Supervisor, name: str, server: str) -> None:
    """Report the address of a cluster's API server, as Cluster API does."""
    parts = urlsplit(server)
    metadata = {"name": name, "namespace": supervisor.namespace}
    body = {"metadata": metadata, "spec": {"controlPlaneEndpoint": {"host": parts.hostname, "port": parts.port}}}
    cluster = await supervisor.client.apply(CLUSTERS, body, manager="capi")
    if cluster.status.conditions:
        await supervisor._report(cluster)  # for its new generation


async def keep_kubeconfig(supervisor: Supervisor, cluster: str, kubeconfig: Json) -> None:
    """Store a kubeconfig in a cluster's Secret."""
    value = base64.b64encode(yaml.safe_dump(kubeconfig).encode()).decode()
    metadata = {"name": kubeconfig_secret(cluster), "namespace": supervisor.namespace}
    await supervisor.client.apply(SECRETS, {"metadata": metadata, "data": {"value": value}}, manager="capi")


async def make_machine(supervisor: Supervisor, cluster: str, name: str, text: str) -> None:
    """Create a Machine, booted with the text of a boot set, and its Node."""
    await supervisor.bootstrap(name, text)
    metadata = {"name": name, "namespace": supervisor.namespace, "labels": {CLUSTER_NAME_LABEL: cluster}}
    reference = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": name}
    bootstrap = {"dataSecretName": name}
    spec = {
        "clusterName": cluster,
        "version": KUBERNETES,
        "bootstrap": bootstrap,
        "infrastructureRef": reference,
    }
    await supervisor.client.apply(MACHINES, {"metadata": metadata, "spec": spec}, manager="capi")
    await node_ready(supervisor, name, "True")


async def node_ready(supervisor: Supervisor, name: str, status: str, message: str = "") -> None:
    """Report the state of a Node on its Machine, as Cluster API does."""
    condition = {
        "type": "NodeReady",
        "status": status,
        "reason": "NodeReady",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {"status": {"nodeRef": {"name": name}, "conditions": [condition]}}
    await supervisor.client.patch(MACHINES, name, supervisor.namespace, body, subresource="status")


@contextlib.asynccontextmanager
async def registry(supervisor: Supervisor, **spec: Any) -> AsyncIterator[tuple[str, str]]:
    """Create a Registry for this test's clusters only; yield its name and host; delete it at the end."""
    name = f"r{uuid.uuid4().hex[:8]}"
    host = f"{name}.test.invalid"
    selector = {"matchLabels": {"test": supervisor.namespace}}
    body = {"metadata": {"name": name}, "spec": {"host": host, "clusterSelector": selector, **spec}}
    await supervisor.client.apply(REGISTRIES, body, manager="user")
    try:
        yield name, host
    finally:
        await supervisor.client.delete(REGISTRIES, name)


async def trust_of(supervisor: Supervisor, cluster: str, done: Callable[[ClusterTrust], bool]) -> ClusterTrust:
    """Wait until a ClusterTrust meets a condition."""
    return await until(supervisor.client, CLUSTER_TRUSTS, cluster, supervisor.namespace, done)


def condition_of(trust: ClusterTrust, type_: str) -> tuple[str, str]:
    """Return a condition's status and reason; empty without the condition."""
    return next(
        ((condition.status, condition.reason) for condition in trust.status.conditions if condition.type == type_),
        ("", ""),
    )


async def annotation(supervisor: Supervisor, machine: str, name: str) -> Json:
    """Read an annotation of a Machine as JSON."""
    metadata = (await supervisor.client.get(MACHINES, machine, supervisor.namespace)).metadata
    content: Json = json.loads(metadata.annotations.get(name, "{}"))
    return content


async def change(supervisor: Supervisor, machine: str, digest: str) -> datetime:
    """Record a change in place on a Machine, as the manager does; return the time."""
    now = datetime.now(UTC)
    applied = {"digest": digest, "at": now.isoformat(), "method": "InPlace", "restarted": True}
    annotations = {TRUST_APPLIED: json.dumps(applied)}
    await supervisor.client.patch(MACHINES, machine, supervisor.namespace, {"metadata": {"annotations": annotations}})
    return now
