"""`make bench-update`: the same change of trust in place and by replacement, on one cluster, in one run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trustplane.kube.client import Client
from trustplane.kube.kinds import DEPLOYMENTS, SECRETS
from trustplane.local import registry
from trustplane.local.bench import load
from trustplane.local.bench.fleet import MANAGER, Fleet
from trustplane.local.bench.load import Load
from trustplane.local.demo import manifests
from trustplane.local.stack import Stack
from trustplane.proof.verdict import NotTrusted
from trustplane.trust.policy import IN_PLACE, REPLACE

WORKERS = 3
SECONDS = 1200.0
_APP = "counter"


@dataclass(frozen=True)
class Measurement:
    """One way to bring a change to the nodes.

    Attributes:
        strategy: `InPlace` or `Replace`.
        seconds: From the configuration's apply until every worker is proven by a pull.
        kept: How many workers are the machines that they were.
        load: What was felt meanwhile.
    """

    strategy: str
    seconds: float
    kept: int
    load: Load


class Benchmark:
    """One run.

    Args:
        stack: A local stack that is up.
        supervisor: Client of its management cluster.
        console: To tell what is being done.
    """

    def __init__(self, stack: Stack, supervisor: Client, console: Console) -> None:
        self._steady, self._added = registry.registries(stack)
        self._fleet = Fleet(supervisor, "bench", WORKERS)
        self._console = console

    async def run(self) -> list[Measurement]:
        """Make the cluster, measure in place, take the CA away again, measure replacement."""
        before = {self._steady.ca_name: self._steady.ca.read_bytes()}
        after = before | {self._added.ca_name: self._added.ca.read_bytes()}
        await self._fleet.configure(before)
        self._say(f"A cluster of 1 control plane and {WORKERS} workers")
        await self._fleet.make()
        async with self._fleet.workload() as workload:
            await self._start_pod(workload)
            in_place = await self._measure(workload, IN_PLACE, after)
            await self._settle()
            await self._remove(workload, before)
            await self._settle()
            replaced = await self._measure(workload, REPLACE, after)
        return [in_place, replaced]

    async def _start_pod(self, workload: Client) -> None:
        mine = self._steady
        await workload.apply(
            SECRETS, manifests.pull_secret(_APP, mine.host, mine.username, mine.password()), manager=MANAGER
        )
        body = manifests.deployment(_APP, mine.image, credentials=_APP)
        body["spec"]["template"]["spec"]["containers"][0]["command"] = ["/bin/busybox", "sh", "-c", load.COUNT]
        await workload.apply(DEPLOYMENTS, body, manager=MANAGER)

        async def is_running() -> bool:
            found = await workload.get(DEPLOYMENTS, _APP, "default")
            return bool((found.get("status") or {}).get("readyReplicas"))

        await self._fleet.until("the counting pod runs", is_running, seconds=180)

    async def _measure(self, workload: Client, strategy: str, authorities: dict[str, bytes]) -> Measurement:
        self._say(f"{self._added.ca_name} is added: {strategy}")
        await self._fleet.strategy(strategy)
        before, host = await self._fleet.machines(), self._steady.host
        key = await self._fleet.key()
        async with load.watched(workload, self._fleet.address, key, host=host, app=_APP) as seen:
            began = time.monotonic()
            await self._fleet.configure(authorities)
            await self._fleet.request()
            await self._fleet.wait_proven(workload, self._added.host, trusted=True, seconds=SECONDS)
            seconds = time.monotonic() - began
        kept = len((await self._fleet.machines()).keys() & before.keys())
        self._say(f"proven on every worker after {seconds:.1f} s; {kept} of {WORKERS} machines kept")
        return Measurement(strategy, seconds, kept, seen)

    async def _remove(self, workload: Client, authorities: dict[str, bytes]) -> None:
        self._say(f"{self._added.ca_name} is removed, in place")
        began = time.monotonic()
        await self._fleet.configure(authorities)
        await self._fleet.request()
        said = await self._fleet.wait_proven(workload, self._added.host, trusted=False, seconds=SECONDS)
        words = next((one.detail for one in said if isinstance(one, NotTrusted)), str(said[0]))
        self._say(f"refused on every worker after {time.monotonic() - began:.1f} s: {words}")

    async def _settle(self) -> None:
        await self._fleet.until("Cluster API is done", self._fleet.is_rolled_out, seconds=SECONDS)

    def _say(self, text: str) -> None:
        self._console.print(f"==> {text}", highlight=False)


async def run(stack: Stack, console: Console) -> list[Measurement]:
    """Measure on a stack that is up, and print the table."""
    async with Client.open(Path(stack.kubeconfig)) as supervisor:
        found = await Benchmark(stack, supervisor, console).run()
    console.print(table(found))
    return found


def table(found: Sequence[Measurement]) -> Table:
    """Return the comparison."""
    made = Table(title=f"One CA added to 1 control plane and {WORKERS} workers")
    made.add_column("")
    for one in found:
        made.add_column(one.strategy, justify="right")
    rows = {
        "apply until every worker proven (s)": [f"{one.seconds:.1f}" for one in found],
        "machines kept": [f"{one.kept} of {WORKERS}" for one in found],
        "interruptions of a running pod": [str(one.load.interruptions) for one in found],
        "seconds without it": [f"{one.load.down_seconds:.1f}" for one in found],
        f"failed pulls, at {load.PULLS_PER_SECOND} a second": [
            f"{one.load.failed_pulls} of {one.load.pulls}" for one in found
        ],
    }
    for title, cells in rows.items():
        made.add_row(title, *cells)
    made.add_section()
    first, *others = found
    made.add_row("times as fast", "", *(f"{one.seconds / first.seconds:.1f}" for one in others))
    return made
