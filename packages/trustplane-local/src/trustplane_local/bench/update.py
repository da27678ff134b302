"""`make bench-update`: the duration of a trust change in place and by replacement, and its effects on users."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from trustplane.api.clustertrust import NOT_TRUSTED, PROVEN
from trustplane.kube.client import Client
from trustplane.trust.policy import IN_PLACE_STRATEGY, REPLACE_STRATEGY
from trustplane_local import pki, registry
from trustplane_local.bench.fleet import MeasuredCluster
from trustplane_local.bench.load import Effects, apply_load
from trustplane_local.bench.progress import CONTROL_PLANE, WORKERS
from trustplane_local.bench.reports import Reports
from trustplane_local.bench.result import GOAL_ONE, GOAL_THREE, GOAL_WORKERS, BenchmarkResult, CrossCheck, Timing
from trustplane_local.bench.trial import APP, SECONDS, Trial
from trustplane_local.stack import Stack

RUNS: Final = 5
_RUNS_OF_THREE: Final = 3  # at most: changes take longer there, and vary less
_ADDED, _RENEWED, _REMOVED = "CA added", "CA replaced", "CA removed"


@dataclass(frozen=True)
class _Scenario:
    """The measurements on one cluster."""

    name: str
    sizes: Mapping[str, int]  # number of machines in each group
    runs: int  # repetitions
    replaces: bool = True  # whether the last change is by replacement
    renews: bool = True  # whether the changes include the replacement of a CA


@dataclass
class _Measured:
    """The results of one cluster. `runs` has, by title, the seconds of each run by group of machines."""

    runs: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    replaced: Mapping[str, float] = field(default_factory=dict)

    def timing(self, title: str, group: str, description: str, goal: float | None = None) -> Timing:
        """Return the timing of one change for one group of machines."""
        replaced = self.replaced.get(group) if title == _ADDED else None
        return Timing(f"{title}, {description}", tuple(run[group] for run in self.runs[title]), goal, replaced)


class Benchmark:
    """A run of the benchmark.

    Args:
        stack: A running local stack.
        supervisor: Client of its management cluster.
        console: Where progress is shown.
        runs: Repetitions of each change.
        replace_three: Whether to also replace the control plane of three, which takes minutes.
    """

    def __init__(
        self, stack: Stack, supervisor: Client, console: Console, *, runs: int = RUNS, replace_three: bool = True
    ) -> None:
        self._steady, self._added = registry.registries_of(stack)
        self._supervisor = supervisor
        self._console = console
        self._runs = runs
        self._replace_three = replace_three
        self._in_place: list[Effects] = []
        self._replacement: list[Effects] = []
        self._checks: list[CrossCheck] = []

    async def run(self) -> BenchmarkResult:
        """Measure a cluster of one control plane node and three workers, then a control plane of three."""
        for target in (self._steady, self._added):
            await MeasuredCluster(self._supervisor, "").register(target.host)
        small = await self._measure(_Scenario("bench", {CONTROL_PLANE: 1, WORKERS: 3}, self._runs))
        await MeasuredCluster(self._supervisor, "bench").delete()
        few, replaces = min(self._runs, _RUNS_OF_THREE), self._replace_three
        sizes = {CONTROL_PLANE: 3, WORKERS: 1}
        large = await self._measure(_Scenario("bench-three", sizes, few, replaces=replaces, renews=False))
        timings = (
            small.timing(_ADDED, WORKERS, "3 workers", GOAL_WORKERS),
            small.timing(_ADDED, CONTROL_PLANE, "control plane of one", GOAL_ONE),
            large.timing(_ADDED, CONTROL_PLANE, "control plane of three", GOAL_THREE),
            *(small.timing(title, WORKERS, "3 workers") for title in (_RENEWED, _REMOVED)),
            *(small.timing(title, CONTROL_PLANE, "control plane of one") for title in (_RENEWED, _REMOVED)),
            large.timing(_REMOVED, CONTROL_PLANE, "control plane of three"),
        )
        replacement = self._replacement[0] if self._replacement else None
        return BenchmarkResult(timings, tuple(self._in_place), replacement, tuple(self._checks))

    async def _measure(self, scenario: _Scenario) -> _Measured:
        """Create a cluster, change its trust in place, then by replacement."""
        measured = _Measured()
        async with self._cluster(scenario) as trial:
            async with self._loaded(trial) as load:
                self._in_place.append(load)
                for _ in range(scenario.runs):
                    await self._cycle(trial, measured, renews=scenario.renews)
            if scenario.replaces:
                measured.replaced = await self._replaced(trial)
            self._checks += trial.checks
        return measured

    async def _replaced(self, trial: Trial) -> dict[str, float]:
        await trial.fleet.wait_until("Cluster API is done", trial.fleet.is_rolled_out, seconds=SECONDS)
        await trial.fleet.set_strategy(REPLACE_STRATEGY)
        async with self._loaded(trial) as load:
            self._replacement.append(load)
            return await trial.change(f"{_ADDED} by replacement", self._authorities(self._added.ca.read_bytes()))

    async def _cycle(self, trial: Trial, measured: _Measured, *, renews: bool) -> None:
        renewed = pki.renew_authority(self._added.ca.parent, datetime.now(UTC))
        cycle = [
            (_ADDED, self._authorities(self._added.ca.read_bytes()), PROVEN),
            (_RENEWED, self._authorities(renewed), PROVEN),
            (_REMOVED, self._authorities(), NOT_TRUSTED),
        ]
        for title, authorities, goal in cycle:
            if title != _RENEWED or renews:
                measured.runs.setdefault(title, []).append(await trial.change(title, authorities, goal))

    def _authorities(self, added: bytes | None = None) -> dict[str, bytes]:
        authorities = {self._steady.ca_name: self._steady.ca.read_bytes()}
        return authorities if added is None else authorities | {self._added.ca_name: added}

    @contextlib.asynccontextmanager
    async def _cluster(self, scenario: _Scenario) -> AsyncIterator[Trial]:
        fleet, sizes = MeasuredCluster(self._supervisor, scenario.name), scenario.sizes
        self._say(f"A cluster of {sizes[CONTROL_PLANE]} control plane node(s) and {sizes[WORKERS]} worker(s)")
        await fleet.configure(self._authorities())
        await fleet.create(control_planes=sizes[CONTROL_PLANE], workers=sizes[WORKERS])
        await fleet.set_strategy(IN_PLACE_STRATEGY)
        reports = Reports(self._supervisor, fleet.key)
        async with fleet.workload() as workload, reports.follow():
            trial = Trial(fleet, workload, reports, self._added, sizes, self._say)
            await trial.start_pod(self._steady)
            await trial.change("Before the first change", self._authorities(), NOT_TRUSTED)
            yield trial

    @contextlib.asynccontextmanager
    async def _loaded(self, trial: Trial) -> AsyncIterator[Effects]:
        async with apply_load(trial.workload, trial.fleet, trial.reports, self._steady, APP) as load:

            async def is_pulling() -> bool:
                return load.pulls.attempted > 0

            await trial.fleet.wait_until("the loop pulls", is_pulling, seconds=60)
            yield load

    def _say(self, text: str) -> None:
        self._console.print(f"==> {text}", highlight=False)


async def run_benchmark(
    stack: Stack, console: Console, *, runs: int = RUNS, replace_three: bool = True
) -> BenchmarkResult:
    """Run the benchmark on a running stack; see `Benchmark`."""
    async with Client.open(Path(stack.kubeconfig)) as supervisor:
        return await Benchmark(stack, supervisor, console, runs=runs, replace_three=replace_three).run()
