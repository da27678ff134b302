"""`deploy/` on a real API server: it is accepted as it is, and its roles are enough for a life of a cluster's trust."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes.aio.config import incluster_config
from tests.apiserver.conftest import free_port
from tests.apiserver.controllers import deployment
from tests.apiserver.controllers.conftest import (
    Supervisor,
    cluster_api_crds,
    entry,
    install,
    make_ca,
    secret_name,
    until,
    until_gone,
)
from tests.apiserver.controllers.test_processes import BASE, Trustplane

from trustplane.api.annotations import IN_PLACE_REFUSED, ROLLOUT
from trustplane.api.clustertrust import IN_PLACE
from trustplane.api.meta import Json
from trustplane.clusterapi.hooks import CAN_UPDATE_MACHINE, CAN_UPDATE_MACHINE_SET, UPDATE_MACHINE
from trustplane.controllers.resources import CLUSTER_TRUSTS, CLUSTERS, MACHINES, SECRETS, TANZU_CLUSTERS
from trustplane.kube.client import Client
from trustplane.kube.errors import ForbiddenError, NotFoundError
from trustplane.kube.kinds import CONFIG_MAPS, EVENTS, NAMESPACES, NODES, PODS
from trustplane.kube.kinds import SECRETS as RAW_SECRETS
from trustplane.local import pki

# cert-manager is not at hand: its objects are looked at in tests/unit/test_deploy.py.
FOREIGN = {"Certificate", "Issuer"}
EXTENSION_CONFIGS = {"extensionconfigs.runtime.cluster.x-k8s.io"}


@pytest.fixture
async def account(apiserver: Any, supervisor: Supervisor) -> Callable[[str], Awaitable[Json]]:
    """`await account("manager")` is the kubeconfig of that ServiceAccount; the roles are installed."""
    del supervisor
    return lambda name: deployment.kubeconfig_of(f"trustplane-{name}", apiserver.kubeconfig)


async def test_the_api_server_takes_every_object_as_it_is(
    supervisor: Supervisor, apiserver: Any, binaries: Path
) -> None:
    await install(apiserver.kubeconfig, [*cluster_api_crds(binaries.parent / "manifests", EXTENSION_CONFIGS)])
    unknown = set()
    for one in deployment.documents():
        resource = await deployment.resource_of(supervisor.client, one)
        if resource is None:
            unknown.add(one["kind"])
            continue
        metadata = one["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        params = {"fieldManager": "kubectl", "dryRun": "All", "fieldValidation": "Strict", "force": "true"}
        await supervisor.client.raw("PATCH", path, body=one, content_type="application/apply-patch+yaml", params=params)
    assert unknown == FOREIGN


async def test_pods_meet_the_restricted_standard_that_their_namespace_asks_for(supervisor: Supervisor) -> None:
    path = PODS.path(deployment.NAMESPACE)
    for one in deployment.documents("manager.yaml", "extension.yaml"):
        if one["kind"] == "Deployment":
            pod = {**one["spec"]["template"], "apiVersion": "v1", "kind": "Pod"}
            pod["metadata"]["name"] = one["metadata"]["name"]
            await supervisor.client.raw("POST", path, body=pod, params={"dryRun": "All", "fieldValidation": "Strict"})
            pod["spec"]["containers"][0]["securityContext"].pop("capabilities")
            with pytest.raises(ForbiddenError, match="PodSecurity"):
                await supervisor.client.raw("POST", path, body=pod, params={"dryRun": "All"})


class Running:
    """A container's command as a process, and what it has logged."""

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
        """What the API server did not let it do."""
        return [one for one in self.lines if "forbidden" in one.lower()]


@contextlib.asynccontextmanager
async def running(name: str, kubeconfig: Json, folder: Path, replaced: dict[str, str]) -> AsyncIterator[Running]:
    """Run the command of a Deployment for the block, with other values of some arguments."""
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig))
    [spec] = [one["spec"] for one in deployment.documents(f"{name}.yaml") if one["kind"] == "Deployment"]
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    assert replaced.keys() <= {one.partition("=")[0] for one in arguments}
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


@contextlib.asynccontextmanager
async def asking(port: int, folder: Path) -> AsyncIterator[Callable[[str, Json], Awaitable[Json]]]:
    """`await ask(path, body)` asks the extension."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    async with aiohttp.ClientSession() as session:

        async def ask(path: str, body: Json) -> Json:
            async with session.post(f"https://127.0.0.1:{port}/{path}", json=body, ssl=context) as response:
                found: Json = await response.json()
                assert response.status == 200, found
                return found

        yield ask


async def test_the_roles_are_enough_for_a_life_of_a_clusters_trust(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]], tmp_path: Path
) -> None:
    pki.keep(tmp_path, "test", [pki.Leaf("tls", "extension", hosts=("127.0.0.1",))], dt.datetime.now(dt.UTC))
    health = free_port()
    files = {f"--tls-{one}": str(tmp_path / f"tls.{end}") for one, end in (("cert", "crt"), ("key", "key"))}
    async with (
        running("manager", await account("manager"), tmp_path, {"--health-port": str(health)}) as manager,
        running("extension", await account("extension"), tmp_path, {"--port": "0", **files}) as extension,
    ):
        port = (await extension.said("serving runtime hooks"))["port"]
        await manager.said("leading")
        a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
        await supervisor.configure(a)
        await supervisor.make("c")
        await supervisor.trusting("c", "a")
        async with supervisor.following("c"):
            await supervisor.configure(a, b)
            await supervisor.annotate("c", update_requested_at=dt.datetime.now(dt.UTC).isoformat())
            await supervisor.trusting("c", "a", "b")
            await until(
                supervisor.client, CLUSTER_TRUSTS, "c", supervisor.namespace, lambda one: bool(one.status.nodes)
            )
            await _is_ready(health)
            async with asking(port, tmp_path) as ask:
                await _play_hooks(supervisor, ask)
        await supervisor.client.delete(TANZU_CLUSTERS, "c", supervisor.namespace)
        await until_gone(supervisor.client, TANZU_CLUSTERS, "c", supervisor.namespace)
        await until_gone(supervisor.client, SECRETS, "c-ssh", supervisor.namespace)
    assert (manager.refusals, extension.refusals) == ([], [])


async def _is_ready(port: int) -> None:
    """Ask as the kubelet does."""
    async with aiohttp.ClientSession() as session:
        for path in ("healthz", "readyz"):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                assert response.status == 200, await response.text()


async def _play_hooks(supervisor: Supervisor, ask: Callable[[str, Json], Awaitable[Json]]) -> None:
    """Ask what Cluster API and the API server ask, so that the extension does all that it does without a node."""
    client, namespace = supervisor.client, supervisor.namespace
    secret = secret_name(await client.get(CLUSTERS, "c", namespace))
    machine = {"metadata": {"name": "c-np-0", "namespace": namespace}, "spec": {"clusterName": "c"}}
    files = [_file(name, contentFrom={"secret": {"name": secret, "key": f"{name}.pem"}}) for name in ("a", "b")]
    desired = {"machine": machine, "bootstrapConfig": _config(*files)}
    await ask(_hook(CAN_UPDATE_MACHINE), {"current": desired, "desired": desired})
    answer = await ask(_hook(UPDATE_MACHINE), {"desired": desired})
    assert "Machine c-np-0 has no address" in answer["message"]
    useless = _config(_file("a", content="none"))
    for _ in range(2):  # the second time the event is counted
        answer = await ask(_hook(UPDATE_MACHINE), {"desired": {**desired, "bootstrapConfig": useless}})
        assert "no certificates" in answer["message"]
    events = await client.list(EVENTS, namespace, fields="reason=TrustRefused")
    assert [one["series"]["count"] for one in events] == [2]

    metadata = {"name": "c-np", "namespace": namespace, "annotations": {ROLLOUT: IN_PLACE}}
    machines = {"machineSet": {"metadata": metadata, "spec": {"clusterName": "c"}}}
    answer = await ask(_hook(CAN_UPDATE_MACHINE_SET), {"current": {}, "desired": machines})
    assert "cannot be updated in place" in answer["message"]
    await supervisor.cluster("c", lambda found: IN_PLACE_REFUSED in found.metadata.annotations)

    raw = json.loads(await client.raw("GET", CLUSTERS.path(namespace, "c")))
    request = {"uid": "1", "kind": {"kind": "Cluster"}, "operation": "CREATE", "namespace": namespace, "object": raw}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    assert (await ask("admission", review))["response"]["allowed"]


def _config(*files: Json) -> Json:
    return {"kind": "KubeadmConfig", "metadata": {"name": "none"}, "spec": {"files": [*files]}}


def _file(name: str, **content: Any) -> Json:
    return {"path": f"/etc/ssl/certs/tkg-{name}.pem", "owner": "root:root", "permissions": "0644", **content}


def _hook(name: str) -> str:
    return f"{BASE}/{name.lower()}"


async def test_the_manager_may_not_do_more(supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]) -> None:
    namespace = supervisor.namespace
    async with Client.open(await account("manager")) as client:
        for refused in (
            client.delete(NODES, "n"),
            client.list(NODES),
            client.list(PODS, namespace),
            client.list(CONFIG_MAPS, deployment.NAMESPACE),
            client.create(NAMESPACES, {"metadata": {"name": "x"}}),
            client.patch(RAW_SECRETS, "x", namespace, {"data": {}}),
            client.delete(MACHINES, "x", namespace),
            client.delete(TANZU_CLUSTERS, "x", namespace),
            client.list(EVENTS, namespace),
        ):
            with pytest.raises(ForbiddenError):
                await refused


async def test_the_extension_reads_the_secrets_that_it_can_name_and_lists_none(
    supervisor: Supervisor, account: Callable[[str], Awaitable[Json]]
) -> None:
    namespace, body = supervisor.namespace, {"x": base64.b64encode(b"x").decode()}
    await supervisor.client.create(RAW_SECRETS, {"metadata": {"name": "x", "namespace": namespace}, "data": body})
    async with Client.open(await account("extension")) as client:
        assert (await client.get(RAW_SECRETS, "x", namespace))["data"] == body
        for refused in (
            client.list(RAW_SECRETS, namespace),
            client.list(RAW_SECRETS),
            client.patch(RAW_SECRETS, "x", namespace, {"data": {}}),
            client.delete(RAW_SECRETS, "x", namespace),
            client.list(CLUSTERS, namespace),
            client.delete(CLUSTERS, "x", namespace),
            client.delete(MACHINES, "x", namespace),
            client.list(TANZU_CLUSTERS, namespace),
        ):
            with pytest.raises(ForbiddenError):
                await refused
        with pytest.raises(NotFoundError):  # what was written on a node is recorded there
            await client.patch(MACHINES, "x", namespace, {"metadata": {}})


async def test_a_pod_finds_the_api_server_by_its_account(
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
