"""The loop of pulls, in a real shell with a fake client."""

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
    """Return a folder for fake clients, which comes first on PATH."""
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
    completed = subprocess.run(["sh", "-s"], input=command, env=environment, capture_output=True, text=True, check=True)
    return completed.stdout


def test_a_request_for_credentials_counts_as_success(client: Path) -> None:
    counted = PullCounts()
    counted.count(batch(client, "ctr", f"echo '{ANSWERED}' >&2; exit 1"))
    assert (counted.attempted, counted.failed) == (pulls._BATCH, 0)


def test_an_unavailable_runtime_counts_as_failure_with_a_message_of_one_line(client: Path) -> None:
    counted = PullCounts()
    counted.count(batch(client, "ctr", f"echo '{DOWN}' >&2; exit 1"))
    assert (counted.attempted, counted.failed) == (pulls._BATCH, pulls._BATCH)
    assert counted.last_failure.endswith("containerd.sock: connect: connection refused")


def test_the_cri_is_used_if_its_client_exists(client: Path) -> None:
    batch(client, "ctr", "exit 1")
    output = batch(client, "crictl", f'echo "$@" >>{client}/requests; echo "{ANSWERED}"; exit 1')
    assert output == "answered\n" * pulls._BATCH
    requests = (client / "requests").read_text().splitlines()
    assert all(line.startswith("pull registry.test/bench/probe:") for line in requests)
    assert len(set(requests)) == pulls._BATCH


def test_the_pace_is_kept(client: Path) -> None:
    batch(client, "ctr", "exit 1")
    slept = [float(line) for line in (client / "slept").read_text().splitlines()]
    assert len(slept) <= pulls._BATCH
    assert all(0 < seconds <= 1 / pulls.PER_SECOND for seconds in slept)


def test_the_last_failure_is_printable_and_short() -> None:
    counted = PullCounts()
    counted.count(f"failed \x1b]0;{'x' * 900}\n")
    assert counted.last_failure.isprintable()
    assert len(counted.last_failure) <= 200
