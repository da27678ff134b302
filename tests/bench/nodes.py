"""`make bench-nodes`: one CA written to nodes and verified, by Trustplane, by Ansible and by a loop of ssh."""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import light_nodes
from bench.light_nodes import Fleet, LightNode
from bench.ways import AT_A_TIME, Ansible, Change, Loop, Trustplane
from oracle import drafts
from oracle.keyring import Keyring
from oracle.pem import pem
from trustplane.cli import options
from trustplane.cli.console import console
from trustplane.errors import HostError, TransientError, TrustplaneError
from trustplane.kube.tasks import together
from trustplane.nodes import ssh

MINUTES = 25  # at the most, for everything
ANSIBLE = Path(__file__).parents[2] / ".tools/ansible/bin/ansible-playbook"

Way = Trustplane | Ansible | Loop


@dataclass(frozen=True)
class Row:
    """What one way took, in each run."""

    tool: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Benchmark:
    """The runs of all ways on one fleet.

    Args:
        fleet: The nodes.
        ways: What is compared.
        say: Gets a line for each run.
    """

    def __init__(self, fleet: Fleet, ways: Sequence[Way], say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._ways = ways
        self._say = say

    async def run(self, runs: int) -> list[Row]:
        """Measure each way so often; another one goes first each time."""
        seconds: dict[str, list[float]] = {way.name: [] for way in self._ways}
        for run in range(runs):
            first = run % len(self._ways)
            for way in (*self._ways[first:], *self._ways[:first]):
                took = await self._measure(way, run)
                self._say(f"Run {run + 1} of {runs}: {way.name} {took:.2f} s")
                seconds[way.name].append(took)
        return [Row(name, tuple(found)) for name, found in seconds.items()]

    async def _measure(self, way: Way, run: int) -> float:
        change = await self._change(f"{type(way).__name__.lower()}-{run}")
        way.prepare(change)
        before = await self._seen(change)
        began = time.perf_counter()
        await way.run()
        took = time.perf_counter() - began
        if isinstance(way, Ansible):
            await way.close()
        after = await self._seen(change)
        for address, (report, containerd) in after.items():
            if report != f"{change.digest} tkg-{change.name}.pem" or before[address][1] == containerd:
                raise HostError(f"{way.name} has not changed node {address} as it should", why=report)
        return took

    async def _change(self, name: str) -> Change:
        certificate = pem(drafts.ca(f"Bench {name}", Keyring().usual[0]).der)
        node = self._fleet.nodes[0]
        async with ssh.connect(node.address, self._fleet.private_key) as shell:
            link = (await shell.run("openssl x509 -noout -subject_hash", stdin=certificate)).stdout.strip()
        return Change(name, certificate, link)

    async def _seen(self, change: Change) -> Mapping[str, tuple[str, str]]:
        """Return by address: digest of the file and where OpenSSL's link leads, and which run of containerd it is."""
        turn = asyncio.Semaphore(AT_A_TIME)
        return dict(await together(*(self._look(node, change, turn) for node in self._fleet.nodes)))

    async def _look(self, node: LightNode, change: Change, turn: asyncio.Semaphore) -> tuple[str, tuple[str, str]]:
        # systemd refuses to start what was started five times in ten seconds: it is made to forget.
        command = (
            f"sha256sum <{change.path} | cut -c 1-64; readlink /etc/ssl/certs/{change.link}.0; echo; "
            "systemctl show -p InvocationID --value containerd; sudo -n systemctl reset-failed containerd"
        )
        async with turn, ssh.connect(node.address, self._fleet.private_key) as shell:
            report, _, containerd = (await shell.run(command)).stdout.strip().rpartition("\n")
        return node.address, (" ".join(report.split()), containerd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3, help="of each, with a fresh CA each time")
    parser.add_argument("--ansible", type=Path, default=ANSIBLE, help="ansible-playbook")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    if not 1 <= given.nodes <= light_nodes.MOST:
        parser.error(f"--nodes is 1 to {light_nodes.MOST}")
    try:
        rows = asyncio.run(_bounded(given.nodes, given.runs, given.ansible))
    except TrustplaneError as error:
        sys.exit(f"Error: {error}")
    except asyncio.CancelledError:
        print("Ended by a signal", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    if given.output == "json":
        print(json.dumps(document(given.nodes, rows), indent=2))  # noqa: T201
    else:
        show(given.nodes, rows)


async def _bounded(nodes: int, runs: int, ansible: Path) -> list[Row]:
    """Measure within a time; the first signal ends it, further ones do not keep the nodes from being removed."""
    work = asyncio.current_task()
    assert work is not None
    ends = [False]

    def end() -> None:
        if not ends[0]:
            ends[0] = True
            work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        async with asyncio.timeout(MINUTES * 60):
            return await measure(nodes, runs, ansible)
    except TimeoutError as error:
        raise TransientError(f"The benchmark has not ended after {MINUTES} minutes") from error


async def measure(nodes: int, runs: int, ansible: Path) -> list[Row]:
    """Start nodes, measure, and remove them."""
    if not os.access(ansible, os.X_OK):
        raise HostError(f"{ansible} is not there", next_step="Run `make bench-nodes`, which installs it")

    def say(text: str) -> None:
        print(f"==> {text}", file=sys.stderr, flush=True)  # noqa: T201

    async with light_nodes.running(nodes, say) as fleet:
        return await Benchmark(fleet, [Trustplane(fleet), Loop(fleet), Ansible(fleet, ansible)], say).run(runs)


def document(nodes: int, rows: Sequence[Row]) -> dict[str, object]:
    """Return what was measured; `ratio` is to Trustplane's median."""
    ours = rows[0].median
    tools = [
        {"tool": row.tool, "seconds": list(row.seconds), "median": row.median, "ratio": row.median / ours}
        for row in rows
    ]
    return {"nodes": nodes, "at_a_time": AT_A_TIME, "tools": tools}


def show(nodes: int, rows: Sequence[Row]) -> None:
    ours, loop, ansible = (row.median for row in rows)
    table = options.table("TOOL", "MEDIAN S", "RUNS S", "TRUSTPLANE = 1")
    for row in rows:
        runs = " ".join(f"{one:.2f}" for one in row.seconds)
        table.add_row(row.tool, f"{row.median:.2f}", runs, f"{row.median / ours:.2f}")
    out = console()
    out.print(table)
    out.print(
        f"\nOne CA added to {nodes} nodes, {AT_A_TIME} at a time: file, link for OpenSSL, restart of containerd, "
        f"read back.\nTrustplane is {ansible / ours:.1f} times as fast as Ansible (aim: 5), and takes "
        f"{ours / loop:.2f} times as long as the loop (aim: 1.5 at\nthe most). Connections are made anew in each run; "
        "Ansible's persist from task to task. The starts of ansible-playbook,\nxargs and ssh are in their times; "
        "Trustplane's manager runs already."
    )


if __name__ == "__main__":
    main()
