"""Whatever is killed at whatever moment of an update, it ends proven, with whole files, and nothing left behind.

Repeat a run, or make a longer one: `make kills N=40 SEED=7`.
"""

import os
import random
import statistics
import time
from dataclasses import dataclass

import pytest

from e2e import aftermath
from e2e.clusters import authorities
from e2e.histories import Configuration, history, victims
from e2e.kills import KINDS, forgive
from e2e.storms import Storm, storm
from trustplane.errors import TrustplaneError
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

KILLS = int(os.environ.get("N", "5"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SECONDS = 240.0  # for one update with a kill; the manager's lease alone lasts 15
TOO_MANY = 3  # failures, after which going on says nothing new


@dataclass(frozen=True)
class Run:
    """One update with one kill.

    Attributes:
        kind: What was killed.
        moment: When, in seconds after the change was applied.
        seconds: From the change until every node had proven it.
        failure: Why it was not proven, or what nodes had instead; empty: it was.
    """

    kind: str
    moment: float
    seconds: float
    failure: str = ""

    def __str__(self) -> str:
        end = f"FAILED: {self.failure}" if self.failure else f"proven after {self.seconds:.1f} s"
        return f"{self.kind} at {self.moment:.1f} s: {end}"


# Cluster API's CAs have serial number 0.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.timeout(240 + 60 * KILLS + TOO_MANY * int(SECONDS))
async def test_an_update_survives_kills_at_random_moments(stack: Stack, fleet: DemoClusters, deep: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    say(f"\n{KILLS} kills: make kills N={KILLS} SEED={SEED}")
    fleet.supervisor.apply(manifests.registry_manifest(registry.registries_of(stack)[0].host), file="registry.yaml")
    fleet.supervisor.run("delete", "registries.trustplane.dev", "apps", "--ignore-not-found")
    runs: list[Run] = []
    async with storm(stack, deep) as one:
        machines = one.reports.snapshot.uids
        changes = history(Configuration(authorities(stack)), registry.registries_of(stack)[0].host, chance)
        typical = await undisturbed(one, next(changes)[1])
        for kind in victims(list(KINDS), KILLS, chance):
            runs.append(await run(one, kind, next(changes)[1], chance, within=typical))
            say(f"{len(runs)} of {KILLS}: {runs[-1]}")
            if runs[-1].failure:
                say(aftermath.described(stack))
            if sum(bool(each.failure) for each in runs) == TOO_MANY:
                say(f"{TOO_MANY} failures: stopped")
                break
        say(summary(runs))
        assert not [str(each) for each in runs if each.failure]
        assert one.reports.snapshot.uids == machines
    # Those of a process that was killed go when their time is over.
    fleet.story.until("no probe pod is left", lambda: no_probe_pods(fleet, deep), seconds=240)


async def undisturbed(one: Storm, wanted: Configuration) -> float:
    """Return how long an update takes in which nothing is killed."""
    began = time.monotonic()
    await one.proven(await one.change(wanted), seconds=SECONDS)
    seconds = time.monotonic() - began
    say(f"undisturbed: proven after {seconds:.1f} s")
    return seconds


async def run(one: Storm, kind: str, wanted: Configuration, chance: random.Random, *, within: float) -> Run:
    """Change the configuration, kill at a random moment, and wait for the proof."""
    moment, began = chance.uniform(0, within), time.monotonic()
    failure = ""
    try:
        requested_at = await one.change(wanted)
        await one.rest(moment - (time.monotonic() - began))
        moment = time.monotonic() - began
        kind = f"{kind} ({await KINDS[kind](one, chance)})"
        await one.proven(requested_at, seconds=SECONDS)
        seconds = time.monotonic() - began
        failure = "; ".join(await one.differences(wanted))
        if kind.startswith("workload apiserver"):
            await forgive(one)
    except TrustplaneError as error:
        failure, seconds = str(error), time.monotonic() - began
    return Run(kind, moment, seconds, failure)


def summary(runs: list[Run]) -> str:
    """Return a line for each kind."""
    lines = [f"{'killed':24}{'runs':>6}{'proven':>8}{'median s':>10}{'longest s':>11}"]
    for kind in KINDS:
        of_kind = [each for each in runs if each.kind.startswith(kind)]
        proven = [each.seconds for each in of_kind if not each.failure]
        median, longest = (statistics.median(proven), max(proven)) if proven else (0.0, 0.0)
        lines.append(f"{kind:24}{len(of_kind):>6}{len(proven):>8}{median:>10.1f}{longest:>11.1f}")
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a run is for


def no_probe_pods(fleet: DemoClusters, cluster: str) -> tuple[bool, str]:
    pods = fleet.workload(cluster).get("pods", "-n", "trustplane-system")["items"]
    return not pods, str([pod["metadata"]["name"] for pod in pods])
