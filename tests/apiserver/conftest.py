"""A real etcd and kube-apiserver for the tests of this folder, started once, on free ports.

Fixtures to use: `apiserver` (running, `.kubeconfig`, `.kill()`, `.start()`, `.etcd.compact()`, `.sibling()`), `client`,
`namespace` (a fresh one), `widgets` (a custom kind with status), `informing` (runs an informer), `settled`.
"""

import asyncio
import base64
import contextlib
import functools
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trustplane.api.meta import Json, Object, Struct
from trustplane.kube import reach
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from trustplane.kube.resource import Resource
from trustplane_local import pki

START_SECONDS = 60.0
VISITOR_TOKEN = "visitor-token"
LAUNCHER = ThreadPoolExecutor(max_workers=1)  # one thread that lives as long as this process


class Process:
    """A program in a session of its own, with a log; stopped by its pid, or with this process."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def run(self, arguments: list[str]) -> None:
        # The kernel ends the program with the thread that started it, also when the tests are killed.
        arguments = ["setpriv", "--pdeathsig", "KILL", *arguments]
        with self.log.open("ab") as log:
            start = functools.partial(subprocess.Popen, arguments, stdout=log, stderr=log, start_new_session=True)
            self.popen = LAUNCHER.submit(start).result()

    def wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running or time.monotonic() > deadline:
                pytest.fail(f"{self.log.stem} did not start: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        if self.popen:
            self.popen.send_signal(number)
            if number == signal.SIGSTOP:  # all its threads
                os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED)

    def kill(self) -> None:
        if self.popen:
            self.popen.kill()
            self.popen.wait()


class Etcd(Process):
    def __init__(self, program: Path, folder: Path) -> None:
        super().__init__(folder / "etcd.log")
        self.url, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        self._arguments = [
            str(program),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def start(self) -> None:
        self.run(self._arguments)
        self.wait(lambda: answers(f"{self.url}/health"))

    def compact(self) -> int:
        """Forget all history before now; return the revision."""
        revision = int(self._call("maintenance/status", {})["header"]["revision"])
        self._call("kv/compaction", {"revision": revision, "physical": True})
        return revision

    def _call(self, path: str, body: Json) -> Json:
        content: Json = json.loads(fetch(f"{self.url}/v3/{path}", json.dumps(body).encode()))
        return content


class ApiServer(Process):
    """A kube-apiserver; several can share one etcd and one folder of keys."""

    def __init__(self, program: Path, folder: Path, etcd: Etcd) -> None:
        self.port = free_port()
        super().__init__(folder / f"kube-apiserver-{self.port}.log")
        self.etcd = etcd
        self._program = program
        self._folder = folder

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Json:
        """The kubeconfig of an administrator, with a client certificate."""
        files = {"client-certificate": str(self._folder / "admin.crt"), "client-key": str(self._folder / "admin.key")}
        return self._kubeconfig(files)

    @property
    def inline(self) -> Json:
        """The same, with nothing in files, as Cluster API makes it."""
        return inlined(self.kubeconfig)

    @property
    def visitor(self) -> Json:
        """The kubeconfig of a user with a token and no rights."""
        return self._kubeconfig({"token": VISITOR_TOKEN})

    def start(self) -> None:
        """Start, if it does not run, and wait until it is ready. A stopped (hanging) one goes on."""
        if self.running:
            self.signal(signal.SIGCONT)
        else:
            self.run(self._arguments())
        context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
        self.wait(lambda: answers(f"{self.url}/readyz", context, VISITOR_TOKEN))

    @staticmethod
    def free_port() -> int:
        """A port that nobody listens on now."""
        return free_port()

    @contextlib.contextmanager
    def sibling(self) -> "Iterator[ApiServer]":
        """Run another API server of the same etcd, for what happens while this one is down."""
        other = ApiServer(self._program, self._folder, self.etcd)
        try:
            other.start()
            yield other
        finally:
            other.kill()

    def _kubeconfig(self, user: Json) -> Json:
        cluster = {"server": self.url, "certificate-authority": str(self._folder / "ca.crt")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }

    def _arguments(self) -> list[str]:
        return [
            str(self._program),
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--etcd-servers={self.etcd.url}",
            "--etcd-compaction-interval=0",
            f"--client-ca-file={self._folder / 'ca.crt'}",
            f"--tls-cert-file={self._folder / 'server.crt'}",
            f"--tls-private-key-file={self._folder / 'server.key'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._folder / 'sa.pub'}",
            f"--service-account-signing-key-file={self._folder / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            # Not everywhere on: what it asks for is a part of the rights that an installation needs.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        ]


def inlined(kubeconfig: Json) -> Json:
    """Return a kubeconfig with the content of the files that it names."""
    copied: Json = json.loads(json.dumps(kubeconfig))
    for holder in (copied["clusters"][0]["cluster"], copied["users"][0]["user"]):
        for name in {"certificate-authority", "client-certificate", "client-key"} & holder.keys():
            holder[f"{name}-data"] = base64.b64encode(Path(holder.pop(name)).read_bytes()).decode()
    return copied


async def post(client: Client, resource: Resource[Any], namespace: str, text: str) -> None:
    """Create an object from JSON that no encoder of Python's would write."""
    url, headers = client.server + resource.path(namespace), {"Content-Type": "application/json"}
    async with client._connections.session.post(url, data=text, headers=headers) as answer:
        assert answer.status == 201, await answer.text()


@pytest.fixture(autouse=True)
def _local_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one API server plays the workload clusters, too, on loopback."""
    monkeypatch.setenv(reach.ALLOWANCE, "1")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def fetch(url: str, body: bytes | None = None, *, context: ssl.SSLContext | None = None, token: str = "") -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, body, headers)  # noqa: S310  the URL is one of ours
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def answers(url: str, context: ssl.SSLContext | None = None, token: str = "") -> bool:
    try:
        fetch(url, context=context, token=token)
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder of kube-apiserver and etcd: $TRUSTPLANE_BIN, or built here into the toolchain cache."""
    if named := os.environ.get("TRUSTPLANE_BIN"):
        folder = Path(named)
    else:
        from trustplane_local import toolchain, versions  # noqa: PLC0415  not needed where the programs are named

        folder = toolchain.build_toolchain(toolchain.default_cache(), print, versions.choose_versions()).bin
    missing = [name for name in ("etcd", "kube-apiserver") if not (folder / name).exists()]
    if missing:
        pytest.fail(
            f"No {' and no '.join(missing)} in {folder}. Run `make build`, or name their folder: TRUSTPLANE_BIN"
        )
    return folder


@pytest.fixture(scope="session")
def shared_apiserver(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with prepared(binaries, tmp_path_factory.mktemp("apiserver")) as apiserver:
        yield apiserver


@contextlib.contextmanager
def prepared(binaries: Path, folder: Path) -> Iterator[ApiServer]:
    """Run an etcd, and have an API server ready to be started; at the end both are gone."""
    leaves = [
        pki.Leaf("server", "kube-apiserver", hosts=("127.0.0.1", "localhost")),
        pki.Leaf("admin", "admin", organization="system:masters", client=True),
    ]
    pki.keep_certificates(folder, "apiserver tests", leaves, datetime.now(UTC))
    pki.keep_service_account_key(folder)
    (folder / "tokens.csv").write_text(f"{VISITOR_TOKEN},visitor,visitor\n")
    etcd = Etcd(binaries / "etcd", folder)
    apiserver = ApiServer(binaries / "kube-apiserver", folder, etcd)
    try:
        etcd.start()
        yield apiserver
    finally:
        apiserver.kill()
        etcd.kill()


@pytest.fixture
def apiserver(shared_apiserver: ApiServer) -> ApiServer:
    """The API server, running whatever the test before did to it."""
    shared_apiserver.start()
    return shared_apiserver


@pytest.fixture
async def client(apiserver: ApiServer) -> AsyncIterator[Client]:
    """An administrator's client."""
    async with Client.open(apiserver.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(client: Client) -> str:
    """A namespace of this test alone."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    return name


class WidgetSpec(Struct):
    size: int = 0


class Widget(Object):
    spec: WidgetSpec = msgspec.field(default_factory=WidgetSpec)
    status: Json = msgspec.field(default_factory=dict)


WIDGETS: Resource[Widget] = Resource("test.trustplane.dev", "v1", "Widget", "widgets", Widget)
WIDGET_CRD: Json = {
    "metadata": {"name": "widgets.test.trustplane.dev"},
    "spec": {
        "group": "test.trustplane.dev",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            # Looser than the struct, so that the server takes objects that the struct cannot hold.
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"x-kubernetes-int-or-string": True, "maximum": 1000}},
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
async def widgets(client: Client) -> Resource[Widget]:
    """A custom kind whose API is served."""
    await client.apply(CUSTOM_RESOURCE_DEFINITIONS, WIDGET_CRD, manager="test")
    async for event in client.watch(
        CUSTOM_RESOURCE_DEFINITIONS, version="", fields=f"metadata.name={WIDGET_CRD['metadata']['name']}"
    ):
        conditions = json.loads(bytes(event.object)).get("status", {}).get("conditions") or []
        if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
            break
    return WIDGETS


@pytest.fixture
async def informing() -> AsyncIterator[Callable[[Informer[Any]], Any]]:
    """Run informers for the duration of a test: `await informing(informer)` returns when it has its first list."""
    async with asyncio.TaskGroup() as group:
        tasks = []

        async def start(informer: Informer[Any]) -> None:
            tasks.append(group.create_task(informer.run()))
            async with asyncio.timeout(20):
                await informer.synced.wait()

        yield start
        for task in tasks:
            task.cancel()


@pytest.fixture
def settled() -> Callable[[Informer[Any], Callable[[], bool]], Any]:
    """`await settled(informer, condition)` waits until the informer's changes have made a condition true."""

    async def wait(informer: Informer[Any], condition: Callable[[], bool], seconds: float = 30) -> None:
        changed = asyncio.Event()
        informer.subscribe(lambda _: changed.set())
        async with asyncio.timeout(seconds):
            while not condition():
                await changed.wait()
                changed.clear()

    return wait
