"""`trustplane diagnose` as a process: real objects in a real API server, real TLS servers on loopback."""

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from oracle import drafts
from oracle.encoding import dns, ip, time
from oracle.pem import pem
from oracle.server import Reply, serving
from tests.apiserver.controllers.conftest import Supervisor, _definitions, entry  # noqa: F401  fixture

from laboratory.material import PKI, UNKNOWN
from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.fleet.inspection import describe_drift
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, MACHINES, NAMESPACES, PLAIN_SECRETS, PODS, SERVICE_ACCOUNTS, TANZU_CLUSTERS
from trustplane.kube.resource import Resource
from trustplane.nodes.plan import Drift
from trustplane.trust import entries

EVENTS: Resource[Json] = Resource("", "v1", "Event", "events", dict)
CONFIG = "kubernetes.io/dockerconfigjson"
PASSWORD = "never-to-be-shown"


class Registry(PKI):
    """A registry on loopback, with its own CA."""

    def __init__(self, first: int = 0) -> None:
        super().__init__(first)
        self.server = drafts.server(self.server.key, self.issuing, dns("localhost"), ip("127.0.0.1"))

    @contextlib.contextmanager
    def serve(self, *chain: bytes, replies: dict[str, Reply] | None = None) -> Iterator[str]:
        answers = replies or {"/v2/": Reply(401, {"WWW-Authenticate": 'Basic realm="corp"'})}
        with serving(chain or self.ders(), self.key, answers) as port:
            yield f"localhost:{port}"

    @property
    def ca(self) -> bytes:
        return self.ders(self.root)[0]


@pytest.fixture
def kubeconfig(apiserver: Any, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(apiserver.kubeconfig))
    return path


def head(address: str, words: str) -> str:
    image = f"{address}/team/app:1"
    return (
        f'Failed to pull image "{image}": failed to pull and unpack image "{image}": failed to resolve reference '
        f'"{image}": failed to do request: Head "https://{address}/v2/team/app/manifests/1": {words}'
    )


def untrusted(address: str) -> str:
    return head(address, f"tls: failed to verify certificate: {UNKNOWN}")


def unauthorized(address: str) -> str:
    image = f"{address}/team/app:1"
    return (
        f'Failed to pull image "{image}": failed to pull and unpack image "{image}": failed to resolve reference '
        f'"{image}": unexpected status from HEAD request to https://{address}/v2/team/app/manifests/1: 401 Unauthorized'
    )


class World:
    """A namespace with one pod whose pull fails."""

    def __init__(self, client: Client, namespace: str, kubeconfig: Path) -> None:
        self.client, self.namespace, self.kubeconfig = client, namespace, kubeconfig

    async def pod(self, address: str, *secrets: str, name: str = "web", node: str = "") -> None:
        await self.client.create(
            PODS,
            {
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "containers": [{"name": "app", "image": f"{address}/team/app:1"}],
                    "imagePullSecrets": [{"name": one} for one in secrets],
                    **({"nodeName": node} if node else {}),
                },
            },
        )

    async def said(self, message: str, name: str = "web", reason: str = "Failed") -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        await self.client.create(
            EVENTS,
            {
                "metadata": {
                    "name": f"{name}.{hashlib.sha256(message.encode()).hexdigest()[:10]}",
                    "namespace": self.namespace,
                },
                "involvedObject": {"kind": "Pod", "name": name, "namespace": self.namespace},
                "type": "Warning",
                "reason": reason,
                "message": message[:1024],
                "lastTimestamp": now,
            },
        )

    async def waits(self, message: str, name: str = "web") -> None:
        state = {"waiting": {"reason": "ErrImagePull", "message": message}}
        pod = await self.client.get(PODS, name, self.namespace)
        image = pod["spec"]["containers"][0]["image"]
        status = {"name": "app", "image": image, "imageID": "", "ready": False, "restartCount": 0, "state": state}
        body = {"status": {"phase": "Pending", "containerStatuses": [status]}}
        await self.client.patch(PODS, name, self.namespace, body, subresource="status")

    async def secret(self, name: str, kind: str, value: object, namespace: str = "") -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        body = {
            "metadata": {"name": name, "namespace": namespace or self.namespace},
            "type": kind,
            "data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()},
        }
        await self.client.create(PLAIN_SECRETS, body)

    async def ask(self, *arguments: str) -> tuple[int, Json]:
        code, output, errors = await self.run(*(arguments or ("pod", "web", "-n", self.namespace)), "-o", "json")
        assert output, errors
        return code, json.loads(output)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "trustplane", "diagnose", *arguments, "--kubeconfig", str(self.kubeconfig)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
        )
        output, errors = await process.communicate()
        assert PASSWORD not in output.decode() + errors.decode()
        return process.returncode or 0, output.decode(), errors.decode()

    async def cause(self) -> tuple[int, str, Json]:
        """Return exit code, the first cause's code, and its answer."""
        code, document = await self.ask()
        [answer] = document["answers"]
        return code, answer["causes"][0]["code"], answer


@pytest.fixture
def world(client: Client, namespace: str, kubeconfig: Path) -> World:
    return World(client, namespace, kubeconfig)


def login(address: str) -> Json:
    return {"auths": {address: {"auth": base64.b64encode(f"robot:{PASSWORD}".encode()).decode()}}}


async def test_untrusted_ca_is_named_with_its_fingerprint(world: World) -> None:
    registry = Registry()
    with registry.serve(*registry.ders(), registry.ca) as address:
        await world.pod(address)
        await world.said(untrusted(address))
        code, cause, answer = await world.cause()
    assert (code, cause) == (1, "issuer-not-trusted")  # the nodes' trust is unknown
    assert answer["authority"]["sha256"] == hashlib.sha256(registry.ca).hexdigest()
    assert answer["hosts"][0]["sha256"][-1] == answer["authority"]["sha256"]
    assert f"trustplane fetch-ca {address}" in answer["causes"][0]["nextStep"]
    unseen = {one["source"] for one in answer["looks"] if not one["seen"]}
    assert "trust sets" in unseen


async def test_a_pod_that_waits_without_events(world: World) -> None:
    registry = Registry()
    registry.server.not_after = time("260101000000Z")
    with registry.serve() as address:
        await world.pod(address)
        words = "x509: certificate has expired or is not yet valid: current time 2026-11-23T12:00:00Z is after"
        await world.waits(head(address, f"tls: failed to verify certificate: {words} 2026-01-01T00:00:00Z"))
        code, cause, answer = await world.cause()
    assert (code, cause) == (0, "certificate-expired")
    assert "server" in answer["causes"][0]["reason"]


async def test_a_deleted_pod(world: World) -> None:
    registry = Registry()
    with registry.serve() as address:
        await world.said(
            head(address, "tls: failed to verify certificate: x509: certificate is valid for other.corp, not localhost")
        )
        code, cause, answer = await world.cause()
    assert (code, cause) == (1, "name-mismatch")  # the certificate has the name by now
    assert f"pod {world.namespace}/web" in {one["source"] for one in answer["looks"] if not one["seen"]}


async def test_no_server_listens(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"localhost:{listener.getsockname()[1]}"
    await world.pod(address)
    await world.said(head(address, "dial tcp 127.0.0.1:5000: connect: connection refused"))
    assert (await world.cause())[:2] == (0, "connection-refused")


async def test_a_dead_host_does_not_delay_the_answer(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts connections, and never responds
        address = f"localhost:{listener.getsockname()[1]}"
        await world.pod(address)
        await world.said(head(address, "net/http: TLS handshake timeout"))
        code, cause, _ = await world.cause()
    assert (code, cause) == (0, "tls-timeout")


async def test_token_service_with_another_ca(world: World) -> None:
    registry, other = Registry(), Registry(6)
    with other.serve(*other.ders(), other.ca, replies={"/token": Reply(body=b'{"token": "everybody"}')}) as token:
        realm = f'Bearer realm="https://{token}/token",service="registry"'
        with registry.serve(replies={"/v2/": Reply(401, {"WWW-Authenticate": realm})}) as address:
            image = f"{address}/team/app:1"
            await world.pod(address)
            await world.said(
                f'Failed to pull image "{image}": failed to pull and unpack image "{image}": failed to resolve '
                f'reference "{image}": failed to authorize: failed to fetch anonymous token: Get '
                f'"https://{token}/token?scope=repository%3Ateam%2Fapp%3Apull&service=registry": tls: failed to '
                f"verify certificate: {UNKNOWN}"
            )
            _, cause, answer = await world.cause()
    assert cause == "token-service-untrusted"
    assert answer["authority"]["sha256"] == hashlib.sha256(other.ca).hexdigest()


@pytest.fixture
def address() -> Iterator[str]:
    registry = Registry()
    with registry.serve() as found:
        yield found


async def test_no_pull_secret(world: World, address: str) -> None:
    await world.pod(address)
    await world.said(unauthorized(address))
    assert (await world.cause())[:2] == (0, "auth-missing")


async def test_pull_secret_is_missing(world: World, address: str) -> None:
    name = f"pull-{world.namespace}"  # unique among all tests, in any namespace
    await world.pod(address, name)
    await world.said(unauthorized(address))
    code, cause, answer = await world.cause()
    assert (code, cause) == (0, "auth-missing")
    assert f"pull secret {name} does not exist" in answer["causes"][0]["reason"]
    assert f"kubectl create secret generic {name} -n {world.namespace}" in answer["causes"][0]["nextStep"]


async def test_pull_secret_is_in_another_namespace(world: World, address: str) -> None:
    elsewhere, name = f"{world.namespace}-x", f"pull-{world.namespace}"
    await world.client.create(NAMESPACES, {"metadata": {"name": elsewhere}})
    await world.secret(name, CONFIG, login(address), elsewhere)
    await world.pod(address, name)
    await world.said(unauthorized(address))
    code, cause, answer = await world.cause()
    assert (code, cause) == (0, "auth-missing")
    assert f"exists only in another namespace: {elsewhere}" in answer["causes"][0]["reason"]


async def test_pull_secret_for_another_host(world: World, address: str) -> None:
    await world.secret("pull", CONFIG, login("other.corp"))
    await world.pod(address, "pull")
    await world.said(unauthorized(address))
    code, cause, answer = await world.cause()
    assert (code, cause) == (0, "auth-missing")
    assert "it has logins for other.corp" in answer["causes"][0]["reason"]


async def test_pull_secret_of_the_wrong_type(world: World, address: str) -> None:
    await world.secret("pull", "Opaque", login(address))
    await world.pod(address, "pull")
    await world.said(unauthorized(address))
    code, cause, answer = await world.cause()
    assert (code, cause) == (0, "pull-secret-malformed")
    assert "its type is Opaque" in answer["causes"][0]["reason"]


async def test_pull_secret_without_auths(world: World, address: str) -> None:
    await world.secret("pull", CONFIG, {"auth": login(address)})
    await world.pod(address, "pull")
    await world.said(unauthorized(address))
    assert (await world.cause())[:2] == (0, "pull-secret-malformed")


async def test_password_is_refused(world: World, address: str) -> None:
    await world.secret("pull", CONFIG, login(address))
    await world.pod(address, "pull")
    await world.said(unauthorized(address))
    assert (await world.cause())[:2] == (0, "auth-rejected")


async def test_a_secret_that_only_the_account_names(world: World, address: str) -> None:
    await world.secret("pull", CONFIG, login(address))
    await world.pod(address)
    account = {"metadata": {"name": "default", "namespace": world.namespace}, "imagePullSecrets": [{"name": "pull"}]}
    await world.client.apply(SERVICE_ACCOUNTS, account, manager="test")
    await world.said(unauthorized(address))
    code, cause, answer = await world.cause()
    assert (code, cause) == (0, "auth-missing")
    assert answer["causes"][0]["nextStep"].startswith("delete the pod")


async def test_text_output(world: World, address: str) -> None:
    await world.pod(address)
    await world.said(unauthorized(address))
    code, output, _ = await world.run("pod", "web", "-n", world.namespace)
    assert code == 0
    assert "auth-missing: the registry requires a login, and the pull used none" in output
    assert "who acts:    application owner" in output
    assert "Evidence:" in output
    assert "Unavailable evidence:" in output


async def test_a_pod_without_failures(world: World) -> None:
    await world.pod("localhost:5000")
    code, output, errors = await world.run("pod", "web", "-n", world.namespace)
    assert (code, output) == (2, "")
    assert "No evidence of a failed pull" in errors


async def test_ctrl_c_leaves_nothing_behind(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"localhost:{listener.getsockname()[1]}"
        await world.pod(address)
        await world.said(head(address, "net/http: TLS handshake timeout"))
        command = [sys.executable, "-m", "trustplane", "diagnose", "pod", "web", "-n", world.namespace]
        process = await asyncio.create_subprocess_exec(
            *command, "--kubeconfig", str(world.kubeconfig), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        connection, _ = await asyncio.to_thread(listener.accept)
        with connection:
            process.send_signal(signal.SIGINT)
            output, errors = await process.communicate()
    assert process.returncode == 130
    assert output == b""
    assert errors.decode().strip() == "Interrupted."


class Fleet:
    """A management cluster with Cluster `shop`; its workload cluster is the same API server."""

    def __init__(self, world: World, kubeconfig: Json) -> None:
        self.world, self.supervisor, self._kubeconfig = world, Supervisor(world.client, world.namespace), kubeconfig

    async def make(self, *in_force: Json, listed: Sequence[Json] | None = None) -> str:
        """Create the cluster with its own list and the set that it has taken; return that set's digest."""
        client, namespace = self.world.client, self.world.namespace
        await self.supervisor.make("shop", trust=list(listed) if listed is not None else None)
        tkc = await client.get(TANZU_CLUSTERS, "shop", namespace)
        trust = entries.parse_list([TrustedCA(**one) for one in in_force]).trust
        await client.create(PLAIN_SECRETS, secret.set_secret(tkc, trust))
        await client.apply(CLUSTERS, _cluster(namespace, trust.digest, self._kubeconfig), manager="test")
        config = base64.b64encode(yaml.safe_dump(self._kubeconfig).encode()).decode()
        metadata = {"name": "shop-kubeconfig", "namespace": namespace}
        await client.create(PLAIN_SECRETS, {"metadata": metadata, "data": {"value": config}})
        return trust.digest

    async def machine(self, node: str, **annotations: Json) -> None:
        """Create the Machine of a node, with its records."""
        client, namespace = self.world.client, self.world.namespace
        values = {f"trustplane.dev/{name.replace('_', '-')}": json.dumps(value) for name, value in annotations.items()}
        labels = {"cluster.x-k8s.io/cluster-name": "shop"}
        metadata = {"name": node, "namespace": namespace, "labels": labels, "annotations": values}
        reference = {"apiGroup": "bootstrap.cluster.x-k8s.io", "kind": "KubeadmConfig", "name": node}
        infrastructure = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "LocalMachine", "name": node}
        spec = {"clusterName": "shop", "bootstrap": {"configRef": reference}, "infrastructureRef": infrastructure}
        await client.apply(MACHINES, {"metadata": metadata, "spec": spec}, manager="test")
        await client.patch(MACHINES, node, namespace, {"status": {"nodeRef": {"name": node}}}, subresource="status")

    async def ask(self, *arguments: str) -> tuple[int, Json]:
        return await self.world.ask(*arguments)

    async def pod(self, *options: str) -> tuple[int, Json]:
        namespace = self.world.namespace
        managed = ("--cluster", "shop", "--cluster-namespace", namespace)
        code, document = await self.ask("pod", "web", "-n", namespace, *managed, *options)
        [answer] = document["answers"]
        return code, answer


def _cluster(namespace: str, digest: str, kubeconfig: Json) -> Json:
    metadata = {"name": "shop", "namespace": namespace, "annotations": {"trustplane.dev/trust-digest": digest}}
    server = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"])
    endpoint = {"host": server.hostname, "port": server.port}
    topology = {"classRef": {"name": "any"}, "version": "v1.36.3"}
    return {"metadata": metadata, "spec": {"controlPlaneEndpoint": endpoint, "topology": topology}}


@pytest.fixture
def fleet(world: World, apiserver: Any, request: pytest.FixtureRequest) -> Fleet:
    request.getfixturevalue("_definitions")
    return Fleet(world, apiserver.inline)


def listed(name: str, der: bytes) -> Json:
    return entry(name, pem(der))


async def test_ca_of_the_service_that_the_cluster_replaced(fleet: Fleet) -> None:
    registry, other = Registry(), Registry(6)
    await fleet.supervisor.configure(listed("corp", registry.ca))
    await fleet.make(listed("own", other.ca), listed=[listed("own", other.ca)])
    with registry.serve() as address:
        await fleet.world.pod(address)
        await fleet.world.said(untrusted(address))
        code, answer = await fleet.pod()
    assert (code, answer["causes"][0]["code"]) == (0, "issuer-not-trusted")
    expected = {"sha256": hashlib.sha256(registry.ca).hexdigest(), "subject": "CN=Root 0,O=Lab"}
    assert answer["authority"] == {**expected, "foundIn": "the service's list", "entry": "corp"}
    assert "trust-merge=Append" in answer["causes"][0]["nextStep"]


async def test_list_that_the_cluster_has_not_taken(fleet: Fleet) -> None:
    registry, other = Registry(), Registry(6)
    await fleet.make(listed("own", other.ca), listed=[listed("own", registry.ca)])
    with registry.serve() as address:
        await fleet.world.pod(address)
        await fleet.world.said(untrusted(address))
        code, answer = await fleet.pod()
    assert (code, answer["causes"][0]["code"]) == (0, "trust-not-applied")
    assert answer["causes"][0]["nextStep"].startswith(f"trustplane update shop -n {fleet.world.namespace}")


async def test_containerd_that_has_not_loaded_the_files(fleet: Fleet) -> None:
    registry, node = Registry(), f"worker-{fleet.world.namespace}"
    digest = await fleet.make(listed("own", registry.ca), listed=[listed("own", registry.ca)])
    stale = describe_drift(Drift(is_stale=True))
    at = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)).isoformat()  # later than the Machine's creation
    await fleet.machine(node, trust_inspection={"digest": digest, "at": at, "message": stale})
    with registry.serve() as address:
        await fleet.world.pod(address, node=node)
        await fleet.world.said(untrusted(address))
        code, answer = await fleet.pod("--no-ssh")
    assert (code, answer["causes"][0]["code"]) == (0, "runtime-stale")
    assert f"on node {node}: systemctl restart containerd" in answer["causes"][0]["nextStep"]
    assert f"node {node} over SSH" in {one["source"] for one in answer["looks"] if not one["seen"]}


async def test_a_node_without_an_inspection_leaves_two_causes(fleet: Fleet) -> None:
    registry, node = Registry(), f"worker-{fleet.world.namespace}"
    await fleet.make(listed("own", registry.ca), listed=[listed("own", registry.ca)])
    await fleet.machine(node)
    with registry.serve() as address:
        await fleet.world.pod(address, node=node)
        await fleet.world.said(untrusted(address))
        code, answer = await fleet.pod()
    assert code == 1
    assert [cause["code"] for cause in answer["causes"]] == ["trust-not-applied", "runtime-stale"]
    assert any("no Secret shop-ssh" in one["words"] for one in answer["looks"])


async def test_pods_with_the_same_failure_form_a_group(fleet: Fleet) -> None:
    registry, other = Registry(), Registry(6)
    await fleet.make(listed("own", other.ca), listed=[listed("own", other.ca)])
    with registry.serve(*registry.ders(), registry.ca) as address:
        for name in ("web-0", "web-1"):
            await fleet.world.pod(address, name=name)
            await fleet.world.waits(untrusted(address), name)
        code, document = await fleet.ask("cluster", "shop", "-n", fleet.world.namespace, "--limit", "100")
        await fleet.world.pod("localhost:9", name="web-2")
        await fleet.world.waits(head("localhost:9", "dial tcp 127.0.0.1:9: connect: connection refused"), "web-2")
        _, _, errors = await fleet.world.run("cluster", "shop", "-n", fleet.world.namespace, "--limit", "1")
    assert "more groups of failures were not diagnosed: --limit" in errors
    pods = {f"{fleet.world.namespace}/{name}" for name in ("web-0", "web-1")}
    [answer] = [one for one in document["answers"] if pods & set(one["pods"])]
    assert set(answer["pods"]) == pods
    assert answer["causes"][0]["code"] == "issuer-not-trusted"
    assert code in {0, 1, 2}  # other tests' pods may fail in the same API server


async def test_a_registry_is_checked_with_every_set_of_the_fleet(fleet: Fleet) -> None:
    registry, other = Registry(), Registry(6)
    await fleet.supervisor.configure(listed("corp", other.ca))
    await fleet.make(listed("corp", registry.ca))
    with registry.serve() as address:
        code, document = await fleet.ask("registry", address)
    by_clusters = {tuple(answer["clusters"]): answer for answer in document["answers"]}
    services = by_clusters.pop(())
    assert [cause["code"] for cause in services["causes"]] == ["issuer-not-trusted"]
    assert services["authority"]["subject"] == "CN=Root 0,O=Lab"
    assert services["authority"]["foundIn"].startswith("the set of cluster ")
    mine = next(one for names, one in by_clusters.items() if f"{fleet.world.namespace}/shop" in names)
    assert mine["causes"] == []
    assert code == 0


async def test_nothing_in_a_kubeconfig_of_a_secret_is_executed(fleet: Fleet, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(ran)]}
    fleet._kubeconfig["users"][0]["user"] = {"exec": command}
    await fleet.make()
    arguments = ("pod", "web", "-n", fleet.world.namespace, "--cluster", "shop")
    code, _, errors = await fleet.world.run(*arguments, "--cluster-namespace", fleet.world.namespace)
    assert code == 2
    assert "users[0].user.exec" in "".join(errors.split("\n"))
    assert not ran.exists()
