"""Whoever reaches the webhook's port, without any right: it writes nothing, says nothing and goes on."""

import datetime as dt
import io
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.apiserver.conftest import Process, answers, free_port
from tests.apiserver.controllers import deployment
from tests.apiserver.tenants.stage import ATTACKER, CAS, VICTIM, Stage

from trustplane.api.meta import Json
from trustplane_local import pki

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOOKS = "/hooks.runtime.cluster.x-k8s.io/v1alpha1"
FORMER = {  # hooks of Cluster API that were answered once, with the handlers of that time
    "Discovery": "",
    "DiscoverVariables": "discover-variables",
    "GeneratePatches": "generate-patches",
    "ValidateTopology": "validate-topology",
    "CanUpdateMachine": "can-update-machine",
    "CanUpdateMachineSet": "can-update-machine-set",
    "UpdateMachine": "update-machine",
}
MEMORY = 450 << 20  # bytes; the limit of its pod is 512 MiB


class Webhook(Process):
    """`trustplane webhook`, as its ServiceAccount."""

    def __init__(self, folder: Path, kubeconfig: Json) -> None:
        super().__init__(folder / "webhook.log")
        pki.keep_certificates(
            folder, "tenants", [pki.Leaf("tls", "webhook", hosts=("127.0.0.1",))], dt.datetime.now(dt.UTC)
        )
        self.url, self._health = f"https://127.0.0.1:{free_port()}", free_port()
        self.context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        file = folder / "webhook.kubeconfig"
        file.write_text(yaml.safe_dump(kubeconfig))
        self._arguments = [
            *(sys.executable, "-m", "trustplane", "webhook", f"--kubeconfig={file}"),
            *(f"--port={self.url.rpartition(':')[2]}", f"--tls-cert={folder / 'tls.crt'}"),
            *(f"--tls-key={folder / 'tls.key'}", f"--health-port={self._health}"),
        ]

    def start(self) -> None:
        """Start, unless it runs, and wait until it answers."""
        if not self.running:
            self.run(self._arguments)
        self.wait(lambda: answers(f"http://127.0.0.1:{self._health}/readyz"))

    @property
    def memory(self) -> int:
        """The most bytes that it ever had."""
        assert self.popen
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return 1024 * int(next(one.split()[1] for one in lines if one.startswith("VmHWM:")))

    async def post(self, path: str, content: bytes) -> tuple[int, str]:
        """Send what anybody can send."""
        async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
            try:
                async with session.post(f"{self.url}{path}", data=io.BytesIO(content), ssl=self.context) as answer:
                    return answer.status, await answer.text()
            except (aiohttp.ClientConnectionError, ConnectionError):
                return 0, "refused while it was sent"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def running(shared_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Webhook]:
    kubeconfig = await deployment.kubeconfig_of("trustplane-webhook", shared_stage.api.kubeconfig)
    found = Webhook(tmp_path_factory.mktemp("webhook"), kubeconfig)
    try:
        yield found
    finally:
        found.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def webhook(running: Webhook) -> AsyncIterator[Webhook]:
    running.start()
    yield running
    assert running.running, running.log.read_text(errors="replace")[-2000:]
    assert running.memory < MEMORY, f"{running.memory >> 20} MiB"
    running.start()  # it still answers


BODIES: dict[str, bytes] = {
    "20-mib-of-objects": b'{"request":[' + b"{}," * 6_900_000 + b"{}]}",
    "100000-deep": b"[" * 100_000,
    "2000-deep-object": b'{"request":{"object":' + b'{"a":' * 2000 + b"1" + b"}" * 2002,
    "no-json": b"\xff\x00" * 1000,
    "not-an-object": b"5",
    "a-kind-of-4-mb": json.dumps({"request": {"uid": "u", "kind": {"kind": "k" * (4 << 20)}, "object": {}}}).encode(),
    "a-number-without-end": b'{"request":{"uid":' + b"9" * 1_000_000 + b"}}",
}


@pytest.mark.parametrize("attack", BODIES)
async def test_a_body(webhook: Webhook, attack: str) -> None:
    status, answer = await webhook.post("/admission", BODIES[attack])
    assert status < 500, answer
    assert "Traceback" not in answer


async def test_many_kinds_of_4_mb(webhook: Webhook) -> None:
    for n in range(30):
        kind = f"{n}" + "k" * (3 << 20)
        await webhook.post("/admission", json.dumps({"request": {"uid": "u", "kind": {"kind": kind}}}).encode())
    assert webhook.memory < MEMORY


def _update(namespace: str, name: str, config: str, files: list[Json], **spec: Any) -> bytes:
    machine = {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Machine",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterName": "shop", "bootstrap": {"dataSecretName": "x"}, **spec},
    }
    bootstrap = {
        "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2",
        "kind": "KubeadmConfig",
        "metadata": {"name": config, "namespace": namespace},
        "spec": {"files": files},
    }
    return json.dumps({"desired": {"machine": machine, "bootstrapConfig": bootstrap}}).encode()


def _file(secret: str, key: str = "value") -> Json:
    return {"path": "/etc/ssl/certs/tkg-evil.pem", "contentFrom": {"secret": {"name": secret, "key": key}}}


HOSTS = {"path": "/etc/containerd/certs.d/registry.k8s.io/hosts.toml", "content": "# trustplane\nskip_verify = true\n"}
UPDATES: dict[str, bytes] = {
    "a-configuration-that-is-not-there": _update(VICTIM, "shop-0", "none", [_file("shop-ssh", "ssh-privatekey")]),
    "another-registry": _update(VICTIM, "shop-0", "none", [HOSTS]),
    "a-secret-of-others": _update(VICTIM, "shop-0", "shop-0", [_file("shop-kubeconfig")]),
    "own-content": _update(VICTIM, "shop-0", "shop-0", [{"path": "/etc/ssl/certs/tkg-evil.pem", "content": CAS[1]}]),
    "a-path-in-the-name": _update(f"{VICTIM}/machines/shop-0?x=", "shop-0", "x", []),
    "another-cluster": _update(VICTIM, "shop-0", "shop-0", [], clusterName="../../tenant-a/clusters/x"),
    "no-configuration": _update(VICTIM, "shop-0", "shop-0", []).replace(b"KubeadmConfig", b"X"),
    "the-attackers-machine": _update(ATTACKER, "none", "none", [HOSTS]),
}


def _replace() -> bytes:
    metadata = {"name": "x", "namespace": VICTIM, "annotations": {"trustplane.dev/rollout": "InPlace"}}
    template = {"spec": {"clusterName": "shop", "version": "v1.0.0"}}
    old = {"metadata": metadata, "spec": {"clusterName": "shop", "template": template}}
    new = {"metadata": metadata, "spec": {"clusterName": "shop", "template": {"spec": {"version": "v2.0.0"}}}}
    return json.dumps({"current": {"machineSet": old}, "desired": {"machineSet": new}}).encode()


REPLACE = _replace()


@pytest.mark.parametrize("hook", FORMER)
async def test_a_former_hook_is_gone(webhook: Webhook, hook: str) -> None:
    path = "/".join(part for part in (HOOKS, hook.lower(), FORMER[hook]) if part)
    for body in (b"{}", *UPDATES.values(), REPLACE):
        status, answer = await webhook.post(path, body)
        assert (status, answer) == (404, "Not Found")
    status, _ = await webhook.post(path, BODIES["20-mib-of-objects"])
    assert status in {404, 0}  # 0: the connection ended before all of it was sent
