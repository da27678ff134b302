"""`make bench-controllers`: what a large fleet costs the manager: blocks of its loop, CPU of one change, memory.

The API server is a real one, the controllers and the lease are those of `trustplane manager`, in this process. Nothing
is due on any node, so that no workload cluster is asked.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from tests.apiserver.conftest import ApiServer, prepared
from tests.apiserver.controllers.conftest import SYSTEM, cluster_api_crds, install, until
from tests.bench.fleet import MACHINES_OF_CLUSTER, Fleet
from tests.bench.loop import Blocks, watched

from trustplane.api.crds import crds
from trustplane.api.registry import Registry
from trustplane.cli.console import console
from trustplane.cli.manager import LEASE
from trustplane.cli.options import table
from trustplane.controllers.manager import add_controllers
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS, MACHINES, REGISTRIES
from trustplane.kube.lease import Lease
from trustplane.kube.manager import Manager
from trustplane_local import toolchain, versions

MOST_BLOCK = 0.2  # seconds
_QUIET = 3.0  # seconds without work after which everything is held to be done
_IDLE = 10.0  # seconds in which the CPU of doing nothing is measured
_PATIENCE = 1200.0


@dataclass
class Phase:
    """What one part of the run has cost."""

    name: str
    seconds: float
    cpu: float  # seconds of this process, what it needs when idle taken off
    block: float  # the longest of the loop
    callback: float
    callback_cpu: float
    what: str  # the callback that used most CPU at a time
    collection: float  # the longest of the garbage collector


@dataclass
class Measured:
    """What is printed."""

    clusters: int
    machines: int
    registries: int
    filled_in: float
    phases: list[Phase] = field(default_factory=list)
    memory: int = 0  # MiB
    lease_kept: bool = False
    idle_cpu: float = 0.0  # of a second

    @property
    def block(self) -> float:
        """The longest of all."""
        return max(one.block for one in self.phases)


class Run:
    """The controllers, while they run.

    Args:
        manager: With the controllers.
        blocks: Of its loop.
    """

    def __init__(self, manager: Manager, blocks: Blocks, measured: Measured) -> None:
        self._manager, self._blocks, self._measured = manager, blocks, measured
        self.task: asyncio.Task[None] | None = None

    @property
    def _is_quiet(self) -> bool:
        synced = all(one.synced.is_set() for one in self._manager._informers.values())
        return synced and not any(len(one._queue) or one._queue._processing for one in self._manager._controllers)

    async def settle(self) -> None:
        """Wait until nothing is to be done."""
        since = end = time.monotonic()
        while time.monotonic() - since < _QUIET:
            await asyncio.sleep(0.1)
            if self.task and self.task.done():
                raise click.ClickException("The controllers ended: the lease was lost")
            if not self._is_quiet:
                since = time.monotonic()
            if time.monotonic() - end > _PATIENCE:
                raise TimeoutError

    @asynccontextmanager
    async def phase(self, name: str, *, settle: bool = True) -> AsyncIterator[None]:
        """Measure what the block costs, and what comes of it."""
        self._blocks.forget()
        began, used = time.monotonic(), time.process_time()
        yield
        if settle:
            await self.settle()
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        found = self._blocks
        phase = Phase(
            name,
            seconds,
            max(0.0, cpu - seconds * self._measured.idle_cpu),
            found.gap,
            found.callback,
            found.cpu,
            found.what,
            found.collection,
        )
        self._measured.phases.append(phase)


async def measure(kubeconfig: object, fleet: Fleet, measured: Measured) -> None:
    """Run the controllers over a fleet that is there."""
    async with Client.open(kubeconfig, timeout=120) as client:  # type: ignore[arg-type]
        manager, stop = Manager(client, lease=Lease(client, LEASE, SYSTEM)), asyncio.Event()
        add_controllers(manager, client, namespace=SYSTEM)
        with watched() as blocks:
            run = Run(manager, blocks, measured)
            try:
                async with run.phase("start"):
                    run.task = asyncio.create_task(manager.run(stop))
                await _changes(client, run, fleet, measured)
                measured.lease_kept = not run.task.done()
                measured.memory = memory()
            finally:
                stop.set()
                if run.task:
                    await run.task


async def _changes(client: Client, run: Run, fleet: Fleet, measured: Measured) -> None:
    async with run.phase("idle", settle=False):
        await asyncio.sleep(_IDLE)
    measured.idle_cpu = measured.phases[-1].cpu / _IDLE
    place = fleet.place(fleet.clusters // 2)
    failure = {"host": fleet.hosts[0], "cause": "issuer-not-trusted", "pods": 1, "example": "web/web-0"}
    body = {"metadata": place, "status": {"failures": [failure]}}
    async with run.phase("one ClusterTrust reports a failing pull"):
        await client.apply(CLUSTER_TRUSTS, body, manager="bench", subresource="status")
        await _registry(client, lambda one: bool(one.status.failures))
    async with run.phase("one Machine does not trust a registry any more"):
        changed = {"metadata": {"annotations": fleet.facts(verdict="NotTrusted")}}
        await client.patch(MACHINES, f"{place['name']}-0", place["namespace"], changed)
        await _registry(client, lambda one: one.status.nodes.trusting == one.status.nodes.total - 1)
    async with run.phase("one Registry selects fewer clusters"):
        selector = {"clusterSelector": {"matchLabels": {"tier": "none"}}}
        await client.patch(REGISTRIES, f"registry-{fleet.registries - 1}", "", {"spec": selector})


async def _registry(client: Client, done: Callable[[Registry], bool]) -> None:
    await until(client, REGISTRIES, "registry-0", "", done, seconds=120)


def memory() -> int:
    """Return the resident memory of this process in MiB; proc(5)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def fill(apiserver: ApiServer, binaries: Path, fleet: Fleet) -> float:
    """Make the fleet; return in how many seconds."""
    began = time.monotonic()
    asyncio.run(install(apiserver.kubeconfig, [*crds(), *cluster_api_crds(binaries.parent / "manifests")]))

    async def make() -> None:
        async with Client.open(apiserver.kubeconfig, timeout=120) as client:
            await fleet.make(client)

    asyncio.run(make())
    return time.monotonic() - began


def benchmark(apiserver: ApiServer, binaries: Path, fleet: Fleet) -> Measured:
    """Fill, run and measure."""
    machines = fleet.clusters * MACHINES_OF_CLUSTER
    filled_in = fill(apiserver, binaries, fleet)
    _tell(f"made in {filled_in:.0f} s")
    measured = Measured(fleet.clusters, machines, fleet.registries, filled_in)
    asyncio.run(measure(apiserver.kubeconfig, fleet, measured))
    return measured


def show(measured: Measured) -> None:
    """Print a table."""
    click.echo(
        f"{measured.clusters} clusters, {measured.machines} machines, {measured.registries} registries, "
        f"made in {measured.filled_in:.0f} s"
    )
    drawn = table("PHASE", "SECONDS", "CPU", "LONGEST BLOCK", "CALLBACK", "OF IT CPU", "WHICH", "GARBAGE COLLECTOR")
    for one in measured.phases:
        times = (one.block, one.callback, one.callback_cpu)
        drawn.add_row(
            one.name,
            f"{one.seconds:.1f}",
            f"{one.cpu:.3f} s",
            *(f"{each * 1000:.0f} ms" for each in times),
            one.what,
            f"{one.collection * 1000:.0f} ms",
        )
    console().print(drawn)
    click.echo(
        f"longest block {measured.block * 1000:.0f} ms (at most {MOST_BLOCK * 1000:.0f} ms); "
        f"memory {measured.memory} MiB; "
        f"lease {'kept' if measured.lease_kept else 'LOST'}"
    )


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _tell_step(step: str, done: int, total: int) -> None:
    if done < total:
        _tell(f"building {step} ({done + 1} of {total})")


@click.command(help=__doc__)
@click.option("--clusters", default=2000, show_default=True)
@click.option("--registries", default=20, show_default=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def main(*, clusters: int, registries: int, output: str) -> None:
    """Measure, as the options say."""
    named = os.environ.get("TRUSTPLANE_BIN")
    binaries = (
        Path(named)
        if named
        else toolchain.build_toolchain(toolchain.default_cache(), _tell_step, versions.choose_versions()).bin
    )
    with (
        tempfile.TemporaryDirectory(prefix="bench-controllers-") as scratch,
        prepared(binaries, Path(scratch)) as apiserver,
    ):
        apiserver.start()
        measured = benchmark(apiserver, binaries, Fleet(clusters, registries))
    if output == "json":
        click.echo(json.dumps({**asdict(measured), "block": measured.block}))
    else:
        show(measured)
    sys.exit(0 if measured.lease_kept and measured.block <= MOST_BLOCK else 1)


if __name__ == "__main__":
    main()
