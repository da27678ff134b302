"""`make bench-watch`: CPU seconds a minute of `trustplane manager` beside a cluster in which thousands of pods fail.

A real API server plays the management cluster and the workload cluster. This process plays the kubelets: every pod goes
from ImagePullBackOff to ErrImagePull and back once in five minutes, as it does after the first few attempts: a kubelet
doubles the pause between two from 10 s up to 300 s (`imageBackOffPeriod` and `MaxImageBackOff` of `pkg/kubelet`), and
writes nothing in between, since the status it would write is the one that is there.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml
from tests.apiserver.conftest import ApiServer, free_port, prepared
from tests.apiserver.controllers.conftest import (
    KUBERNETES,
    SYSTEM,
    Supervisor,
    cluster_api_crds,
    entry,
    install,
    make_ca,
)
from tests.apiserver.controllers.workload import make_nodes

from trustplane.api.crds import crds
from trustplane.api.meta import Json
from trustplane.cli.console import console
from trustplane.cli.options import table
from trustplane.clusterapi import release
from trustplane.controllers.manager import ensure_manager_namespace
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS, EVENTS, NAMESPACES, PODS, RELEASES
from trustplane_local import toolchain, versions

HOSTS = 20
BACK_OFF = 300.0  # seconds between two attempts of a kubelet, after the first few
NAMESPACE = "shop"
REASONS = (
    "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "x509: certificate has expired or is not yet valid: current time {now} is after 2026-01-01T00:00:00Z",
    "dial tcp 10.0.0.9:443: connect: connection refused",
    "dial tcp: lookup {name} on 10.96.0.10:53: read udp 10.0.0.1:{port}->10.96.0.10:53: i/o timeout",
)


def pod(number: int) -> Json:
    """Return a pod as a controller makes it, of some kilobytes."""
    environment = [{"name": f"SETTING_{n}", "value": "x" * 40} for n in range(20)]
    container = {"name": "main", "image": image(number), "env": environment}
    labels = {f"app.kubernetes.io/label-{n}": f"value-{number}" for n in range(8)}
    metadata = {"name": f"web-{number}", "namespace": NAMESPACE, "labels": labels}
    spec = {"nodeName": f"worker-{number % 100}", "containers": [container], "automountServiceAccountToken": False}
    return {"metadata": metadata, "spec": spec}


def image(number: int) -> str:
    """Return the image of a pod: of one of a few hundred applications, on one of the registries."""
    return f"registry-{number % HOSTS}.corp.test/team/app-{number % 400}:1.{number % 7}"


def status(number: int, *, backs_off: bool) -> Json:
    """Return the status that a kubelet writes."""
    name, host = image(number), f"registry-{number % HOSTS}.corp.test"
    words = REASONS[number % HOSTS % len(REASONS)].format(
        now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), name=host, port=30000 + int(time.time()) % 10000
    )
    path, _, tag = name.removeprefix(f"{host}/").rpartition(":")
    said = (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": failed to do request: '
        f'Head "https://{host}/v2/{path}/manifests/{tag}": {words}'
    )
    waiting = (
        {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{name}": ErrImagePull: {said}'}
        if backs_off
        else {"reason": "ErrImagePull", "message": said}
    )
    state = {"name": "main", "image": name, "imageID": "", "ready": False, "restartCount": 0}
    return {"status": {"phase": "Pending", "containerStatuses": [{**state, "state": {"waiting": waiting}}]}}


async def fill(client: Client, count: int) -> None:
    """Make the pods, all of which fail."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await client.create(PODS, pod(number))
            await write(client, number, backs_off=True)

    await asyncio.gather(*(work() for _ in range(16)))


async def write(client: Client, number: int, *, backs_off: bool) -> None:
    """Report about a pod."""
    body = status(number, backs_off=backs_off)
    await client.patch(PODS, f"web-{number}", NAMESPACE, body, subresource="status")


async def play(client: Client, turns: Iterator[tuple[bool, int]], count: int, seconds: float) -> int:
    """Have kubelets report for some time; return how often they did."""
    end, pause, written = time.monotonic() + seconds, BACK_OFF / (2 * count), 0
    due = time.monotonic()
    while time.monotonic() < end:
        backs_off, number = next(turns)
        await write(client, number, backs_off=backs_off)
        written += 1
        due += pause
        await asyncio.sleep(max(0.0, min(due, end) - time.monotonic()))
    return written


@asynccontextmanager
async def manager(kubeconfig: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `trustplane manager` for the block."""
    arguments = ("manager", "--kubeconfig", str(kubeconfig), "--health-port", str(free_port()))
    with (kubeconfig.parent / "manager.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trustplane", *arguments, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()


def cpu_seconds(process: asyncio.subprocess.Process) -> float:
    """Return the CPU time of a process so far; proc(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: asyncio.subprocess.Process) -> int:
    """Return the resident memory of a process in MiB; proc(5)."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


async def make_cluster(client: Client, apiserver: ApiServer) -> None:
    """Make a cluster with a node, and wait until its trust is known."""
    supervisor = Supervisor(client, NAMESPACE)
    await supervisor.configure(entry("corp", make_ca("corp")))
    await supervisor.make("shop")
    await supervisor.trusting("shop", "corp")
    await supervisor.play("shop")
    await make_nodes(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)


async def measure(apiserver: ApiServer, folder: Path, count: int, minutes: int) -> None:
    """Print a line a minute."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(apiserver.kubeconfig))
    drawn = table("MINUTE", "CPU SECONDS", "REPORTS OF KUBELETS", "EVENTS MADE", "FAILING PODS COUNTED", "RSS MIB")
    async with Client.open(apiserver.kubeconfig, timeout=120) as client:
        await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        await ensure_manager_namespace(client, SYSTEM)
        await client.apply(RELEASES, release.release_body(KUBERNETES), manager="bench")
        async with manager(kubeconfig):
            await make_cluster(client, apiserver)
        sys.stderr.write(f"making {count} pods\n")
        await fill(client, count)
        sys.stderr.write("measuring\n")
        turns = itertools.cycle((backs_off, number) for backs_off in (False, True) for number in range(count))
        async with manager(kubeconfig) as process:
            before = 0.0
            for minute in range(1, minutes + 1):
                written = await play(client, turns, count, 60.0)
                used = cpu_seconds(process)
                drawn.add_row(str(minute), f"{used - before:.2f}", str(written), *await counts(client, process))
                before = used
    console().print(drawn)


async def counts(client: Client, process: asyncio.subprocess.Process) -> tuple[str, str, str]:
    """Return how many Events of ours there are, how many pods are counted, and the memory of the manager."""
    events = await client.list(EVENTS, NAMESPACE, fields="reason=ImagePullExplained")
    trust = await client.find(CLUSTER_TRUSTS, "shop", NAMESPACE)
    pods = sum(one.pods for one in trust.status.failures) if trust else 0
    return str(len(events)), str(pods), str(memory(process))


def main() -> None:
    """Measure, with as many pods and for as many minutes as the arguments say."""
    count, minutes = int(sys.argv[1]), int(sys.argv[2])
    named = os.environ.get("TRUSTPLANE_BIN")
    binaries = (
        Path(named)
        if named
        else toolchain.build_toolchain(toolchain.default_cache(), print, versions.choose_versions()).bin
    )
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as scratch:
        folder = Path(scratch)
        with prepared(binaries, folder) as apiserver:
            apiserver.start()
            asyncio.run(install(apiserver.kubeconfig, [*crds(), *cluster_api_crds(binaries.parent / "manifests")]))
            asyncio.run(measure(apiserver, folder, count, minutes))


if __name__ == "__main__":
    main()
