"""`deploy/` on a real API server: it accepts every object, and the roles suffice for the life of a cluster's trust."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes.aio.config import incluster_config
from tests.apiserver.conftest import free_port
from tests.apiserver.controllers import deployment
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, until, until_gone
from tests.apiserver.controllers.test_processes import Trustplane

from trustplane.api.annotations import BOOT_COMPONENT, CLUSTER_NAME_LABEL, COMPONENT_LABEL, CONTROL_PLANE_LABEL
from trustplane.api.clustertrust import BOOTSTRAP, TRUST_APPLIED, TRUST_UPDATE_ERROR
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.clusterapi.secret import parse_boot_secret
from trustplane.kube.client import Client
from trustplane.kube.errors import ForbiddenError, NotFoundError
from trustplane.kube.kinds import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONFIG_MAPS,
    CONTROL_PLANES,
    EVENTS,
    MACHINE_DEPLOYMENTS,
    MACHINE_HEALTH_CHECKS,
    MACHINES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.kube.kinds import PLAIN_SECRETS as RAW_SECRETS
from trustplane.kube.resource import Resource
from trustplane_local import pki

# cert-manager is not available: tests/unit/test_deploy.py checks its objects.
FOREIGN = {"Certificate", "Issuer"}
ROLLED = {"rollout": {"after": "2026-01-01T00:00:00Z"}}


@pytest.fixture
async def account(apiserver: Any, supervisor: Supervisor) -> Callable[[str], Awaitable[Json]]:
    """`await account("manager")` is the kubeconfig of that ServiceAccount; the roles are installed."""
    del supervisor
    return lambda name: deployment.kubeconfig_of(f"trustplane-{name}", apiserver.kubeconfig)


async def test_the_api_server_accepts_every_object(supervisor: Supervisor) -> None:
    unknown = set()
    for document in deployment.documents():
        resource = await deployment.resource_of(supervisor.client, document)
        if resource is None:
            unknown.add(document["kind"])
            continue
        metadata = document["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        params = {"fieldManager": "kubectl", "dryRun": "All", "fieldValidation": "Strict", "force": "true"}
        await supervisor.client.raw(
            "PATCH", path, body=document, content_type="application/apply-patch+yaml", params=params
        )
    assert unknown == FOREIGN


async def test_pods_meet_the_restricted_standard_of_their_namespace(supervisor: Supervisor) -> None:
    path = PODS.path(deployment.NAMESPACE)
    for document in deployment.documents("manager.yaml", "webhook.yaml"):
        if document["kind"] == "Deployment":
            pod = {**document["spec"]["template"], "apiVersion": "v1", "kind": "Pod"}
            pod["metadata"]["name"] = document["metadata"]["name"]
            await supervisor.client.raw("POST", path, body=pod, params={"dryRun": "All", "fieldValidation": "Strict"})
            pod["spec"]["containers"][0]["securityContext"].pop("capabilities")
            with pytest.raises(ForbiddenError, match="PodSecurity"):
                await supervisor.client.raw("POST", path, body=pod, params={"dryRun": "All"})


class Running:
    """A container's command as a process, and its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self._process = process
        self._news = asyncio.Condition()

    async def collect(self) -> None:
        assert self._process.stderr
        async for line in self._process.stderr:
            async with self._news:
                self.lines.append(line.decode())
                self._news.notify_all()

    async def said(self, event: str) -> Json:
        """Wait for a line of the log."""
        async with asyncio.timeout(60), self._news:
            while not (found := [one for one in self.lines if f'"{event}"' in one]):
                await self._news.wait()
        line: Json = json.loads(found[0])
        return line

    @property
    def refusals(self) -> list[str]:
        """Return the requests that the API server refused."""
        return [line for line in self.lines if "forbidden" in line.lower()]


@contextlib.asynccontextmanager
async def running(name: str, kubeconfig: Json, folder: Path, replaced: dict[str, str]) -> AsyncIterator[Running]:
    """Run the command of a Deployment during the block, with other values of some arguments."""
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig))
    [spec] = [document["spec"] for document in deployment.documents(f"{name}.yaml") if document["kind"] == "Deployment"]
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    assert replaced.keys() <= {argument.partition("=")[0] for argument in arguments}
    values = [
        f"{one}={replaced[one]}" if one in replaced else f"{one}{sign}{value}"
        for one, sign, value in (argument.partition("=") for argument in arguments)
    ]
    async with Trustplane(file).started("--verbose", *values) as process:
        run = Running(process)
        task = asyncio.create_task(run.collect())
        try:
            yield run
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)
            await task


async def test_the_roles_suffice_for_the_life_of_a_clusters_trust(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]], tmp_path: Path
) -> None:
    pki.keep_certificates(tmp_path, "test", [pki.Leaf("tls", "webhook", hosts=("127.0.0.1",))], dt.datetime.now(dt.UTC))
    health = free_port()
    files = {f"--tls-{one}": str(tmp_path / f"tls.{end}") for one, end in (("cert", "crt"), ("key", "key"))}
    async with (
        running("manager", await account("manager"), tmp_path, {"--health-port": str(health)}) as manager,
        running("webhook", await account("webhook"), tmp_path, {"--port": "0", **files}) as webhook,
    ):
        port = (await webhook.said("serving the webhook"))["port"]
        await manager.said("leading")
        a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
        await supervisor.configure(a)
        await supervisor.make("c")
        await _boot(supervisor, _has("a"))
        await _play_cluster_api(supervisor)
        await _machine(supervisor, lambda one: f'"{BOOTSTRAP}"' in one.get(TRUST_APPLIED, ""))
        await supervisor.configure(a, b)
        await supervisor.annotate("c", update_requested_at=dt.datetime.now(dt.UTC).isoformat())
        await _boot(supervisor, _has("a", "b"))
        await _machine(supervisor, lambda one: "has no address" in one.get(TRUST_UPDATE_ERROR, ""))  # it tried to write
        await _edit_and_wait(supervisor)
        await supervisor.annotate("c", update_strategy="Replace")
        await until(
            supervisor.client, CONTROL_PLANES, "c-cp", supervisor.namespace, lambda one: bool(one.spec.rollout.after)
        )
        await until(supervisor.client, CLUSTER_TRUSTS, "c", supervisor.namespace, lambda one: bool(one.status.nodes))
        await _is_ready(health)
        assert (await _judged(supervisor, port, tmp_path))["allowed"]
        await supervisor.client.delete(TANZU_CLUSTERS, "c", supervisor.namespace)
        await until_gone(supervisor.client, TANZU_CLUSTERS, "c", supervisor.namespace)
        await until_gone(supervisor.client, SECRETS, "c-ssh", supervisor.namespace)
    assert (manager.refusals, webhook.refusals) == ([], [])


def _has(*names: str) -> Callable[[str], bool]:
    """Return a predicate: whether a boot set's text has exactly the entries with these names."""
    return lambda text: sorted(_NAMES.findall(text)) == sorted(names)


_NAMES = re.compile(r"^trustplane-file /etc/ssl/certs/tkg-(.+)\.pem$", re.MULTILINE)


async def _boot(supervisor: Supervisor, done: Callable[[str], bool]) -> Secret:
    """Wait until the boot set of the cluster meets a condition."""
    return await until(
        supervisor.client, SECRETS, "c-trust", supervisor.namespace, lambda one: done(parse_boot_secret(one).text)
    )


async def _machine(supervisor: Supervisor, done: Callable[[Mapping[str, str]], bool]) -> None:
    """Wait until the annotations of a Machine meet a condition."""
    await until(supervisor.client, MACHINES, "c-cp-0", supervisor.namespace, lambda one: done(one.metadata.annotations))


async def _play_cluster_api(supervisor: Supervisor) -> None:
    """Create a control plane of one machine, which booted with the boot set and has no address."""
    client, namespace = supervisor.client, supervisor.namespace
    labels = {CLUSTER_NAME_LABEL: "c"}
    reference = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": "c-cp-0"}
    template = {"spec": {"infrastructureRef": {**reference, "kind": "LocalMachineTemplate"}}}
    boot = await client.get(SECRETS, "c-trust", namespace)
    spec: Json = {"replicas": 1, "version": "v1.36.3", "kubeadmConfigSpec": {"preKubeadmCommands": ["true"]}}
    spec["machineTemplate"] = template
    control_plane = {"metadata": {"name": "c-cp", "namespace": namespace, "labels": labels}, "spec": spec}
    await client.apply(CONTROL_PLANES, control_plane, manager="capi")
    born = {"metadata": {"name": "c-cp-0", "namespace": namespace}, "data": {"value": boot.data["bundle.pem"]}}
    await client.apply(SECRETS, born, manager="capi")
    metadata = {"name": "c-cp-0", "namespace": namespace, "labels": {**labels, CONTROL_PLANE_LABEL: ""}}
    machine = {"clusterName": "c", "bootstrap": {"dataSecretName": "c-cp-0"}, "infrastructureRef": reference}
    await client.apply(MACHINES, {"metadata": metadata, "spec": machine}, manager="capi")
    joined = {"status": {"nodeRef": {"name": "c-cp-0"}}}
    await client.patch(MACHINES, "c-cp-0", namespace, joined, subresource="status")


async def _edit_and_wait(supervisor: Supervisor) -> None:
    """Edit the boot set as a tenant can, including its label, and wait until it is restored."""
    edited = {"metadata": {"labels": {COMPONENT_LABEL: None}}, "data": {"bundle.pem": "", "more": ""}}
    await supervisor.client.patch(SECRETS, "c-trust", supervisor.namespace, edited)
    found = await _boot(supervisor, _has("a", "b"))
    assert found.metadata.labels[COMPONENT_LABEL] == BOOT_COMPONENT


async def _is_ready(port: int) -> None:
    """Send a request as the kubelet does."""
    async with aiohttp.ClientSession() as session:
        for path in ("healthz", "readyz"):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                assert response.status == 200, await response.text()


async def _judged(supervisor: Supervisor, port: int, folder: Path) -> Json:
    """Send the webhook a review of the Cluster, which names a Secret, as the API server does."""
    raw = json.loads(await supervisor.client.raw("GET", CLUSTERS.path(supervisor.namespace, "c")))
    value = {"secretName": "c-trust", "additionalTrustedCAs": [{"name": "a"}]}
    raw["spec"]["topology"]["variables"] = [{"name": "trust", "value": value}]
    request = {"uid": "1", "kind": {"kind": "Cluster"}, "operation": "CREATE", "object": raw}
    request["namespace"] = supervisor.namespace
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    url = f"https://127.0.0.1:{port}/admission"
    async with aiohttp.ClientSession() as session, session.post(url, json=review, ssl=context) as response:
        answer: Json = await response.json()
        assert response.status == 200, answer
        found: Json = answer["response"]
        return found


async def test_the_manager_has_no_further_rights(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    namespace = supervisor.namespace
    async with Client.open(await account("manager")) as client:
        for refused in (
            client.delete(NODES, "n"),
            client.list(NODES),
            client.list(PODS, namespace),
            client.list(CONFIG_MAPS, deployment.NAMESPACE),
            client.create(NAMESPACES, {"metadata": {"name": "x"}}),
            client.delete(TANZU_CLUSTERS, "x", namespace),
            client.delete(CONTROL_PLANES, "x", namespace),
            client.delete(MACHINE_DEPLOYMENTS, "x", namespace),
            client.patch(CONTROL_PLANES, "x", namespace, {"status": {}}, subresource="status"),
            client.patch(MACHINE_DEPLOYMENTS, "x", namespace, {"status": {}}, subresource="status"),
            client.patch(MACHINE_HEALTH_CHECKS, "x", namespace, {"spec": {}}),
            client.list(EVENTS, namespace),
        ):
            with pytest.raises(ForbiddenError):
                await refused


async def test_the_manager_may_replace_machines(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    namespace = supervisor.namespace
    async with Client.open(await account("manager")) as client:
        await client.delete(MACHINES, "x", namespace)  # already absent: allowed
        kinds: tuple[Resource[Any], ...] = (CONTROL_PLANES, MACHINE_DEPLOYMENTS)
        for resource in kinds:
            with pytest.raises(NotFoundError):
                await client.patch(resource, "x", namespace, {"spec": ROLLED})
        assert await client.list(MACHINE_HEALTH_CHECKS, namespace) == []


async def test_the_manager_may_report_trust_on_cluster_apis_objects(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    kinds: tuple[Resource[Any], ...] = (CLUSTERS, MACHINES)
    async with Client.open(await account("manager")) as client:
        for resource in kinds:
            with pytest.raises(NotFoundError):
                await client.patch(resource, "x", supervisor.namespace, {"status": {}}, subresource="status")


async def test_the_manager_writes_no_foreign_secret(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    admin, namespace = supervisor.client, supervisor.namespace
    ours, data = {"labels": {COMPONENT_LABEL: "trust"}}, {"data": {"x": ""}}
    for name in ("kubeconfig", "c-trust"):
        await admin.create(RAW_SECRETS, {"metadata": {"name": name, "namespace": namespace}})
    async with Client.open(await account("manager")) as client:
        await _until_refused(client, namespace)
        for refused in (
            client.patch(RAW_SECRETS, "kubeconfig", namespace, data),
            client.patch(RAW_SECRETS, "kubeconfig", namespace, {"metadata": ours}),
            client.patch(RAW_SECRETS, "c-trust", namespace, data),
            client.delete(RAW_SECRETS, "kubeconfig", namespace),
        ):
            with pytest.raises(ForbiddenError, match="with label"):
                await refused
        await client.patch(RAW_SECRETS, "c-trust", namespace, {"metadata": ours, **data})
        await client.create(RAW_SECRETS, {"metadata": {"name": "new", "namespace": namespace, **ours}})
        await client.patch(RAW_SECRETS, "new", namespace, data)
        with pytest.raises(ForbiddenError):
            await client.patch(RAW_SECRETS, "new", namespace, {"metadata": {"labels": None}})
        await client.delete(RAW_SECRETS, "new", namespace)
    await admin.patch(RAW_SECRETS, "kubeconfig", namespace, data)  # other clients write as before


async def _until_refused(client: Client, namespace: str) -> None:
    """Wait until the policy is in force: the API server learns of it a moment after it is stored."""
    body = {"metadata": {"name": "probe", "namespace": namespace}}
    path = RAW_SECRETS.path(namespace)
    async with asyncio.timeout(30):
        while True:
            try:
                await client.raw("POST", path, body=body, params={"dryRun": "All"})
            except ForbiddenError:
                return


async def test_the_webhook_reads_secrets_by_name_and_nothing_else(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    namespace, body = supervisor.namespace, {"x": base64.b64encode(b"x").decode()}
    await supervisor.client.create(RAW_SECRETS, {"metadata": {"name": "x", "namespace": namespace}, "data": body})
    async with Client.open(await account("webhook")) as client:
        assert (await client.get(RAW_SECRETS, "x", namespace))["data"] == body
        for refused in (
            client.list(RAW_SECRETS, namespace),
            client.list(RAW_SECRETS),
            client.patch(RAW_SECRETS, "x", namespace, {"data": {}}),
            client.delete(RAW_SECRETS, "x", namespace),
            client.get(CLUSTERS, "x", namespace),
            client.patch(CLUSTERS, "x", namespace, {"metadata": {}}),
            client.get(MACHINES, "x", namespace),
            client.patch(MACHINES, "x", namespace, {"metadata": {}}),
            client.create(EVENTS, {"metadata": {"name": "x", "namespace": namespace}}),
            client.list(TANZU_CLUSTERS, namespace),
        ):
            with pytest.raises(ForbiddenError):
                await refused


async def test_a_pod_reaches_the_api_server_with_its_account(
    apiserver: Any, account: Callable[[str], Awaitable[Json]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = await account("manager")
    token, bundle = tmp_path / "token", kubeconfig["clusters"][0]["cluster"]["certificate-authority"]
    token.write_text(kubeconfig["users"][0]["user"]["token"])
    for name, value in (("SERVICE_TOKEN_FILENAME", str(token)), ("SERVICE_CERT_FILENAME", bundle)):
        monkeypatch.setattr(incluster_config, name, value)
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(apiserver.port))):
        monkeypatch.setenv(f"KUBERNETES_SERVICE_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    async with Client.open() as client:
        assert (await client.get(NAMESPACES, deployment.NAMESPACE))["metadata"]["name"] == deployment.NAMESPACE
