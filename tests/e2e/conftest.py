"""The local stack that all end-to-end tests share; they need root, and the machine that `trustplane local up` needs."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from e2e import aftermath, clusters
from trustplane_local import registry
from trustplane_local import stack as stacks
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.demo.kubectl import ShownKubectl
from trustplane_local.demo.story import Story
from trustplane_local.stack import Stack

Run = subprocess.CompletedProcess[str]
SECONDS = 1800  # the first `up` of a machine builds Kubernetes


def trustplane(*arguments: str) -> Run:
    """Run our command as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "trustplane", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks first for the stack waits for it."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says what the stack looked like, which is gone soon after."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("the stack", aftermath.described(stack)))
    return report


@pytest.fixture(scope="session")
def local() -> Callable[..., Run]:
    """Run `trustplane local COMMAND --state FOLDER ...`."""

    def run(command: str, folder: Path, *arguments: str) -> Run:
        return trustplane("local", command, f"--state={folder}", *arguments)

    return run


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder with a short name, since podman wants it short; where a `down` failed, it is left to be looked at."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    yield folder
    folder.rmdir()


@pytest.fixture(scope="session")
def stack(scratch: Path, local: Callable[..., Run]) -> Iterator[Stack]:
    """A stack that is up, and gone after the last test, whatever happened in between.

    To write a test, use a stack that is up already, and stays: TRUSTPLANE_TEST_STACK=FOLDER.
    """
    if existing := os.environ.get("TRUSTPLANE_TEST_STACK"):
        found = stacks.read_stack(Path(existing))
        assert found is not None, f"there is no stack in {existing}"
        yield found
        return
    folder = scratch / "first"
    try:
        done = local("up", folder)
        assert done.returncode == 0, done.stdout + done.stderr
        started = stacks.read_stack(folder)
        assert started is not None
        yield started
    finally:
        done = local("down", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not folder.exists()


@pytest.fixture(scope="session")
def fleet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> DemoClusters:
    """The clusters of the stack, seen with kubectl."""
    story = Story(Console(force_terminal=False))
    supervisor = ShownKubectl(story, stack.bin / "kubectl", stack.kubeconfig)
    return DemoClusters(story, supervisor, stack.bin / "kubectl", tmp_path_factory.mktemp("kubeconfigs"))


@pytest.fixture(scope="session")
def wide(stack: Stack, fleet: DemoClusters) -> str:
    """A cluster of three control plane nodes and one worker, made while every process is killed once.

    One CA is for the whole node, the other for its registry only.
    """
    clusters.configure(fleet, clusters.authorities(stack), **clusters.scoped(stack))
    clusters.make(fleet, "wide", control_planes=clusters.CONTROL_PLANES, workers=1)
    for part in clusters.running_parts(stack):
        with contextlib.suppress(ProcessLookupError):  # a manager ends by itself when the API server was killed
            os.kill(int(part["pid"]), signal.SIGKILL)
        clusters.up(stack)
    fleet.wait_ready("wide")
    fleet.story.until("wide has four machines", lambda: (len(fleet.names("wide")) == 4, ""), seconds=300)
    fleet.story.until("and all are ready", lambda: clusters.ready_nodes(fleet, "wide", 4), seconds=300)
    return "wide"


@pytest.fixture(scope="session")
def deep(stack: Stack, fleet: DemoClusters) -> str:
    """A cluster of one control plane node and three workers, with both registries to prove."""
    hosts = [one.host for one in registry.registries_of(stack)]
    fleet.supervisor.apply(*(manifests.registry_manifest(host) for host in hosts), file="registries.yaml")
    clusters.configure(fleet, clusters.authorities(stack))
    clusters.make(fleet, "deep", control_planes=1, workers=clusters.WORKERS)
    fleet.wait_ready("deep")
    nodes = 1 + clusters.WORKERS
    fleet.story.until("all nodes of deep are ready", lambda: clusters.ready_nodes(fleet, "deep", nodes), seconds=300)
    return "deep"
