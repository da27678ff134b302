"""A cluster under kills and changes, driven from one event loop: a process for each step would cost a second each."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from structlog.testing import capture_logs

from e2e.histories import Configuration
from trustplane.api.annotations import ALLOW_REMOVAL, TRUST_DIGEST
from trustplane.api.clusterapi import Machine
from trustplane.clusterapi.machine_facts import ssh_address
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.kinds import PODS
from trustplane.kube.tasks import beside, together
from trustplane.nodes import ssh
from trustplane.proof import probe
from trustplane_local.bench.fleet import MeasuredCluster
from trustplane_local.bench.progress import Snapshot, describe_progress
from trustplane_local.bench.reports import Reports
from trustplane_local.podman import Podman
from trustplane_local.process import Processes, stat
from trustplane_local.stack import Stack
from trustplane_local.supervisor import parts

T = TypeVar("T")
PATIENCE = 60.0  # seconds until a request that fails is given up
_PAUSE = 0.3
# Files of ours, whole or half written; `theirs` are other tests'.
_FILES = """
set -- $(ls -d /etc/ssl/certs/tkg-*.pem /etc/containerd/certs.d/*/* 2>/dev/null | grep -v theirs)
[ $# -eq 0 ] || sha256sum "$@"
ls -d /etc/ssl/certs/.trustplane /etc/containerd/certs.d/*/.trustplane 2>/dev/null | sed 's/^/half /'
"""


@dataclass(frozen=True)
class Storm:
    """One cluster, and everything that is needed to disturb it."""

    stack: Stack
    client: Client
    cluster: MeasuredCluster
    reports: Reports
    podman: Podman
    private_key: str

    async def change(self, wanted: Configuration) -> datetime:
        """Apply a configuration and request an update; return the time of the request."""

        async def ask() -> datetime:
            # What another test left may be more than half of the list.
            await self.cluster.configure(wanted.authorities, wanted.annotations | {ALLOW_REMOVAL: "true"})
            return await self.cluster.request()

        return await patiently(ask)

    async def proven(self, requested_at: datetime, *, seconds: float) -> Snapshot:
        """Wait until every node has proven the requested set.

        Raises:
            TransientError: It takes longer; the message says which nodes have not.
        """

        def holds(snapshot: Snapshot) -> bool:
            return bool(snapshot.machines) and snapshot.pending(requested_at) == frozenset()

        try:
            return await self.reports.until("every node has proven it", holds, seconds=seconds)
        except TransientError as error:
            raise TransientError(str(error), why=describe_progress(self.reports.snapshot, requested_at)) from None

    async def on(self, machine: Machine, command: str) -> str:
        """Return what a command prints on a node, as root."""
        async with ssh.connect(ssh_address(machine), self.private_key) as node:
            done = await node.run("sudo -n sh -s", stdin=command, timeout=60)
        return done.stdout

    async def differences(self, wanted: Configuration) -> list[str]:
        """Return what nodes have that is not the wanted set, whole and nothing else; wait for a node that starts."""
        return await patiently(lambda: self._differences(wanted))

    async def _differences(self, wanted: Configuration) -> list[str]:
        snapshot, expected = self.reports.snapshot, wanted.digests
        digest = snapshot.cluster.metadata.annotations.get(TRUST_DIGEST) if snapshot.cluster else None
        wrong = [] if digest == wanted.trust.digest else [f"the cluster has taken {digest}, not the last set"]
        outputs = await together(*(self.on(machine, _FILES) for machine in snapshot.machines))
        for machine, output in zip(snapshot.machines, outputs, strict=True):
            lines = [line.split() for line in output.splitlines()]
            actual = {path: digest for digest, path in lines}
            changed = {path for path in actual.keys() | expected.keys() if actual.get(path) != expected.get(path)}
            wrong += [f"{machine.metadata.name}: {path}" for path in sorted(changed)]
        return wrong

    async def pods(self) -> dict[str, int]:
        """Return the restarts of each pod of the cluster, by uid and name; probes are left out."""
        async with self.cluster.workload() as workload:
            found = await workload.list(PODS)
        return {
            f"{pod['metadata']['uid']} {pod['metadata']['name']}": sum(
                status["restartCount"] for status in pod.get("status", {}).get("containerStatuses", [])
            )
            for pod in found
            if pod["metadata"]["namespace"] != probe.PROBE_NAMESPACE
        }

    async def probes(self) -> list[str]:
        """Return the names of the probe pods that are there."""
        async with self.cluster.workload() as workload:
            return [pod["metadata"]["name"] for pod in await workload.list(PODS, probe.PROBE_NAMESPACE)]

    async def keep_running(self) -> None:
        """Start every process of the stack that does not run, as a Deployment does, until cancelled."""
        processes = Processes(self.stack.folder / "processes", self.stack.id)
        wanted = parts(self.stack)
        while True:
            for name, part in wanted.items():
                if processes.find(name) is None:
                    await processes.stop(name, grace=1)
                    await _begun(processes, name, processes.start(part.program))
            await asyncio.sleep(_PAUSE)

    async def rest(self, seconds: float) -> None:
        """Let so much time pass: the random moment itself."""
        await asyncio.sleep(max(0.0, seconds))

    def kill_process(self, name: str) -> None:
        """Kill a process of the stack."""
        running = Processes(self.stack.folder / "processes", self.stack.id).find(name)
        if running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)


async def _begun(processes: Processes, name: str, pid: int) -> None:
    """Wait until a process has written its pid file, by which it is found, or has ended."""
    while processes.find(name) is None:
        seen = stat(pid)
        if seen is None or seen.has_ended:  # as one whose port the one before it has not left yet
            return
        await asyncio.sleep(_PAUSE)


@contextlib.asynccontextmanager
async def storm(stack: Stack, name: str) -> AsyncIterator[Storm]:
    """Open everything, and keep the stack's processes running within the block."""
    # As kubectl: who applies the same list under another name leaves entries behind that the first one still owns.
    # What our own watches log of an API server that is away would hide the report.
    async with Client.open(Path(stack.kubeconfig)) as client:
        cluster = MeasuredCluster(client, name, manager="kubectl")
        reports = Reports(client, cluster.key)
        with capture_logs():
            async with reports.following():
                made = Storm(stack, client, cluster, reports, Podman(stack), await cluster.private_key())
                async with beside(made.keep_running()):
                    yield made


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Call until it succeeds: the API server may be away.

    Raises:
        TransientError: It fails for too long.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await ask()
        except TransientError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_PAUSE)
