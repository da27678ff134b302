"""The loop of pulls, run by the shell that nodes have, with a client that is made up."""

import os
import subprocess
from pathlib import Path

import pytest

from trustplane_local.bench import pulls
from trustplane_local.bench.pulls import PullCounts

ANSWERED = "ctr: failed to resolve image: pull access denied, repository does not exist: authorization failed"
DOWN = "ctr: connection error:\ndial unix /run/containerd/containerd.sock: connect: connection refused"


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """Return where a client can be put, in front of the node's programs."""
    sleep = tmp_path / "sleep"
    sleep.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/slept\n")
    sleep.chmod(0o755)
    return tmp_path


def batch(folder: Path, name: str, script: str) -> str:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = f"host=registry.test\n{pulls._SCRIPT}"
    done = subprocess.run(["sh", "-s"], input=command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_registry_that_asks_for_credentials_has_answered(client: Path) -> None:
    counted = PullCounts()
    counted.count(batch(client, "ctr", f"echo '{ANSWERED}' >&2; exit 1"))
    assert (counted.made, counted.failed) == (pulls._BATCH, 0)


def test_a_runtime_that_is_away_is_a_failure_with_its_message_in_one_line(client: Path) -> None:
    counted = PullCounts()
    counted.count(batch(client, "ctr", f"echo '{DOWN}' >&2; exit 1"))
    assert (counted.made, counted.failed) == (pulls._BATCH, pulls._BATCH)
    assert counted.last_failure.endswith("containerd.sock: connect: connection refused")


def test_the_cri_is_asked_where_its_client_is(client: Path) -> None:
    batch(client, "ctr", "exit 1")
    output = batch(client, "crictl", f'echo "$@" >>{client}/asked; echo "{ANSWERED}"; exit 1')
    assert output == "answered\n" * pulls._BATCH
    asked = (client / "asked").read_text().splitlines()
    assert all(line.startswith("pull registry.test/bench/probe:") for line in asked)
    assert len(set(asked)) == pulls._BATCH


def test_the_pace_is_kept(client: Path) -> None:
    batch(client, "ctr", "exit 1")
    slept = [float(line) for line in (client / "slept").read_text().splitlines()]
    assert len(slept) <= pulls._BATCH
    assert all(0 < seconds <= 1 / pulls.PER_SECOND for seconds in slept)


def test_what_a_node_prints_is_shown_printable_and_short() -> None:
    counted = PullCounts()
    counted.count(f"failed \x1b]0;{'x' * 900}\n")
    assert counted.last_failure.isprintable()
    assert len(counted.last_failure) <= 200
