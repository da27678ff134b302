"""The benchmark's results: medians beside their goals and beside replacement, and what users noticed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.table import Table

from trustplane.api.meta import Json
from trustplane_local.bench import pulls
from trustplane_local.bench.load import Effects

GOAL_WORKERS: Final = 6.0  # seconds
GOAL_ONE: Final = 6.0
GOAL_THREE: Final = 15.0


@dataclass(frozen=True)
class Timing:
    """One kind of change, for one group of machines.

    Attributes:
        title: What was changed, and whose proof was awaited.
        runs: Seconds of each run in place, from the apply of the configuration.
        goal: For their median, in seconds; None: there is none.
        replaced: Seconds of the same change by replacement; None: not measured.
    """

    title: str
    runs: tuple[float, ...]
    goal: float | None = None
    replaced: float | None = None

    @property
    def median(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in words."""
        if self.goal is None:
            return ""
        return f"{self.goal:g} s: {'met' if self.median <= self.goal else 'missed'}"

    @property
    def ratio(self) -> float | None:
        """How many times as long replacement takes."""
        return None if self.replaced is None else self.replaced / self.median


@dataclass(frozen=True)
class CrossCheck:
    """An independent pull on every worker after a change.

    Attributes:
        title: The change.
        agrees: Whether every kubelet confirms what Trustplane reported.
        message: What the kubelets reported, if that differs.
    """

    title: str
    agrees: bool
    message: str = ""


@dataclass(frozen=True)
class BenchmarkResult:
    """Everything that was measured.

    Attributes:
        timings: By change and group.
        in_place: What users noticed during all changes in place together.
        replacement: The same during replacement; None: nothing was replaced.
        checks: Independent pulls.
    """

    timings: tuple[Timing, ...]
    in_place: tuple[Effects, ...]
    replacement: Effects | None
    checks: tuple[CrossCheck, ...]

    @property
    def disagreements(self) -> list[CrossCheck]:
        """The independent pulls that contradict Trustplane."""
        return [check for check in self.checks if not check.agrees]


def timing_table(timings: Sequence[Timing]) -> Table:
    """Return the seconds of every change."""
    table = Table(title="Seconds from apply until Trustplane reports the proof")
    table.add_column("")
    for title in ("median", "goal", "runs", "replaced", "times as fast"):
        table.add_column(title, justify="right")
    for timing in timings:
        replaced = "" if timing.replaced is None else f"{timing.replaced:.1f}"
        ratio = "" if timing.ratio is None else f"{timing.ratio:.1f}"
        runs = " ".join(f"{seconds:.1f}" for seconds in timing.runs)
        table.add_row(timing.title, f"{timing.median:.1f}", timing.verdict, runs, replaced, ratio)
    return table


def load_table(result: BenchmarkResult) -> Table:
    """Return what users noticed."""
    table = Table(title="Noticed meanwhile")
    table.add_column("")
    table.add_column("in place, all runs", justify="right")
    table.add_column("goal", justify="right")
    in_place = sum_effects(result.in_place)
    columns = [_noticed(in_place)]
    if result.replacement is not None:
        table.add_column("replacement", justify="right")
        columns.append(_noticed(result.replacement))
    goals = {"machines replaced": "0", "pods restarted or ended": "0", _LOOP: "0"}
    for title in columns[0]:
        first, *others = (column[title] for column in columns)
        table.add_row(title, first, goals.get(title, ""), *others)
    return table


_LOOP: Final = f"failed pulls of a loop, {pulls.PER_SECOND} a second"


def _noticed(load: Effects) -> dict[str, str]:
    return {
        "machines replaced": str(load.replaced),
        "pods restarted or ended": str(load.disturbed_pods),
        _LOOP: f"{load.pulls.failed} of {load.pulls.made}",
        "pods whose pull ever failed": f"{load.pods.failed_pulls} of {load.pods.pulls}",
        "seconds without the counting pod": f"{load.pods.down_seconds:.1f}",
    }


def sum_effects(loads: Sequence[Effects]) -> Effects:
    """Return the sum of the effects."""
    summed = Effects()
    for load in loads:
        summed.replaced += load.replaced
        summed.pulls.made += load.pulls.made
        summed.pulls.failed += load.pulls.failed
        summed.pulls.last_failure = load.pulls.last_failure or summed.pulls.last_failure
        for name in ("restarts", "ended", "down_seconds", "pulls", "failed_pulls"):
            setattr(summed.pods, name, getattr(summed.pods, name) + getattr(load.pods, name))
        summed.pods.last_failure = load.pods.last_failure or summed.pods.last_failure
    return summed


def result_to_json(result: BenchmarkResult) -> Json:
    """Return the results as `-o json` prints them; seconds have two decimals."""
    return {
        "timings": [_timing_json(timing) for timing in result.timings],
        "inPlace": _load_json(sum_effects(result.in_place)),
        "replacement": _load_json(result.replacement) if result.replacement is not None else None,
        "crossChecks": {
            "made": len(result.checks),
            "disagree": [{"title": check.title, "message": check.message} for check in result.disagreements],
        },
    }


def _timing_json(timing: Timing) -> Json:
    return {
        "title": timing.title,
        "runs": [round(seconds, 2) for seconds in timing.runs],
        "median": round(timing.median, 2),
        "goal": timing.goal,
        "met": None if timing.goal is None else timing.median <= timing.goal,
        "replaced": None if timing.replaced is None else round(timing.replaced, 2),
        "timesAsFast": None if timing.ratio is None else round(timing.ratio, 1),
    }


def _load_json(load: Effects) -> Json:
    return {
        "machinesReplaced": load.replaced,
        "podsDisturbed": load.disturbed_pods,
        "pulls": load.pulls.made,
        "failedPulls": load.pulls.failed,
        "lastFailedPull": load.pulls.last_failure,
        "podsPulled": load.pods.pulls,
        "podsPullFailed": load.pods.failed_pulls,
        "lastPodPullFailed": load.pods.last_failure,
        "downSeconds": round(load.pods.down_seconds, 2),
    }
