"""Whatever is killed at whatever moment of an update, it ends proven, with whole files, and nothing left behind.

Repeat a run, or make a longer one: `make kills N=20 SEED=7`.
"""

import contextlib
import datetime as dt
import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from e2e.clusters import (
    PATIENTLY,
    authorities,
    condition,
    configure,
    name_of,
    on_node,
    request_update,
    running_parts,
    trust_status,
    trustplane,
    up,
)
from trustplane.local import registry
from trustplane.local.demo import manifests
from trustplane.local.demo.fleet import Fleet
from trustplane.local.stack import Stack

KILLS = int(os.environ.get("N", "5"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
AT_ONCE = 5  # kills in one update
LONGEST = 15.0  # seconds from one to the next: an update in place is over in about that time
PARTS = ("manager", "webhook", "apiserver")
# The unit comes back by itself, as on any node of systemd.
UNITS = ("ssh", "containerd")


@pytest.mark.timeout(120 + 240 * KILLS)
def test_an_update_survives_kills_at_random_moments(stack: Stack, fleet: Fleet, deep: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    print(f"\n{KILLS} kills: make kills N={KILLS} SEED={SEED}")  # noqa: T201 - to repeat the run
    apps = registry.registries(stack)[1]
    fleet.supervisor.apply(manifests.registry(registry.registries(stack)[0].host), file="registry.yaml")
    fleet.supervisor.run("delete", "registries.trustplane.dev", "apps", "--ignore-not-found")
    fleet.wait_proven(deep)
    machines, is_trusted = fleet.names(deep), apps.ca_name in str(trust_status(fleet, deep)["desired"])
    kills = victims(chance)
    for done in range(0, KILLS, AT_ONCE):
        is_trusted = not is_trusted
        wanted = authorities(stack)
        if not is_trusted:
            del wanted[apps.ca_name]
        configure(fleet, wanted)
        request_update(fleet, deep, dt.datetime.now(dt.UTC).isoformat())
        for kill in kills[done : done + AT_ONCE]:
            time.sleep(chance.uniform(0, LONGEST))  # the random moment itself
            kill(stack, fleet, deep, chance)
        ended = trustplane(stack, "update", deep, *PATIENTLY)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert condition(trust_status(fleet, deep), "Proven")["status"] == "True"
        assert fleet.names(deep) == machines
        assert_whole(fleet, deep, wanted)


Killer = Callable[[Stack, Fleet, str, random.Random], None]


def victims(chance: random.Random) -> list[Killer]:
    """Return what is killed, in random order; each as often as the others."""
    killers = [*(part_killer(part) for part in PARTS), *(unit_killer(unit) for unit in UNITS)]
    found = [*killers * (KILLS // len(killers)), *chance.sample(killers, KILLS % len(killers))]
    chance.shuffle(found)
    return found


def part_killer(name: str) -> Killer:
    def kill(stack: Stack, _fleet: Fleet, _cluster: str, _chance: random.Random) -> None:
        print(f"kill -9 {name}")  # noqa: T201
        part = next(one for one in running_parts(stack) if one["name"] == name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(part["pid"]), signal.SIGKILL)
        up(stack)  # what a Deployment does

    return kill


def unit_killer(unit: str) -> Killer:
    def kill(_stack: Stack, fleet: Fleet, cluster: str, chance: random.Random) -> None:
        machine = chance.choice(fleet.machines(cluster))
        print(f"kill -9 {unit} on {name_of(machine)}")  # noqa: T201
        # Detached, since the first of them ends the connection that it came by.
        on_node(fleet, cluster, machine, f"systemd-run --quiet --no-block systemctl kill --signal=KILL {unit}")

    return kill


def assert_whole(fleet: Fleet, cluster: str, wanted: dict[str, bytes]) -> None:
    """Every node has exactly the files of the list, whole, and no probe pod is left."""
    for machine in fleet.machines(cluster):
        listing = on_node(
            fleet,
            cluster,
            machine,
            "cd /etc/ssl/certs; ls tkg-*.pem | grep -v theirs; ls -A .trustplane 2>/dev/null || :",
        )
        assert listing.split() == sorted(f"tkg-{name}.pem" for name in wanted), name_of(machine)
        content = on_node(fleet, cluster, machine, "cat $(ls /etc/ssl/certs/tkg-*.pem | grep -v theirs)")
        assert content.count("-----END CERTIFICATE-----") == len(wanted)
    # Those of a process that was killed go when their time is over.
    fleet.story.until("no probe pod is left", lambda: no_probe_pods(fleet, cluster), seconds=240)


def no_probe_pods(fleet: Fleet, cluster: str) -> tuple[bool, str]:
    pods = fleet.workload(cluster).get("pods", "-n", "trustplane-system")["items"]
    return not pods, str([one["metadata"]["name"] for one in pods])
