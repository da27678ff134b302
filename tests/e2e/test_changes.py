"""A change of the trust configuration while the former is under way, many times: the last one ends proven, alone.

Repeat a run, or make a longer one: `make changes N=100 SEED=7`.
"""

import os
import random
import time

import pytest

from e2e.clusters import authorities
from e2e.histories import Configuration, history
from e2e.storms import storm
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

CHANGES = int(os.environ.get("N", "5"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SHORTEST, LONGEST = 0.1, 3.0  # seconds between two changes
SECONDS = 120.0  # for the last one


# Cluster API's CAs have serial number 0.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.timeout(300 + 10 * CHANGES)
async def test_the_last_of_many_changes_is_proven_and_nothing_else_is_left(
    stack: Stack, fleet: DemoClusters, deep: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    say(f"\n{CHANGES} changes in a row: make changes N={CHANGES} SEED={SEED}")
    hosts = [each.host for each in registry.registries_of(stack)]
    fleet.supervisor.apply(*(manifests.registry_manifest(host) for host in hosts), file="registries.yaml")
    async with storm(stack, deep) as one:
        wanted = Configuration(authorities(stack))
        await one.proven(await one.change(wanted), seconds=SECONDS)
        machines, pods = one.reports.snapshot.uids, await one.pods()
        changes, slowest = history(wanted, hosts[1], chance), 0.0
        for number in range(1, CHANGES + 1):
            await one.rest(chance.uniform(SHORTEST, LONGEST))
            action, wanted = next(changes)
            began = time.monotonic()
            requested_at = await one.change(wanted)
            slowest = max(slowest, time.monotonic() - began)
            say(f"{number} of {CHANGES}: {action}")
        await one.proven(requested_at, seconds=SECONDS)
        seconds = time.monotonic() - began
        say(f"the last one is proven after {seconds:.1f} s; the slowest request took {slowest:.1f} s")
        assert not await one.differences(wanted)
        assert one.reports.snapshot.uids == machines
        assert await one.pods() == pods


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a run is for
