"""The local stack of all end-to-end tests; they need root, and a machine on which `trustplane local up` works."""

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
SECONDS = 1800  # the first `up` on a machine builds Kubernetes


def trustplane(*arguments: str) -> Run:
    """Run a command of Trustplane as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "trustplane", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Wait for the stack in the first test that needs it."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the state of the stack with a failure: it disappears soon after."""
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
    """A folder with a short name, required by podman; it stays for inspection if `down` failed."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    yield folder
    folder.rmdir()


@pytest.fixture(scope="session")
def stack(scratch: Path, local: Callable[..., Run]) -> Iterator[Stack]:
    """A running stack, removed after the last test in any case.

    To write a test, use a stack that is up already, and stays: TRUSTPLANE_TEST_STACK=FOLDER.
    """
    if existing := os.environ.get("TRUSTPLANE_TEST_STACK"):
        found = stacks.read_stack(Path(existing))
        assert found is not None, f"there is no stack in {existing}"
        yield found
        return
    folder = scratch / "first"
    try:
        process = local("up", folder)
        assert process.returncode == 0, process.stdout + process.stderr
        started = stacks.read_stack(folder)
        assert started is not None
        yield started
    finally:
        process = local("down", folder)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not folder.exists()


@pytest.fixture(scope="session")
def fleet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> DemoClusters:
    """The clusters of the stack, accessed with kubectl."""
    story = Story(Console(force_terminal=False))
    supervisor = ShownKubectl(story, stack.bin / "kubectl", stack.kubeconfig)
    return DemoClusters(story, supervisor, stack.bin / "kubectl", tmp_path_factory.mktemp("kubeconfigs"))


@pytest.fixture(scope="session")
def wide(stack: Stack, fleet: DemoClusters) -> str:
    """A cluster of three control plane nodes and one worker, created while every process is killed once.

    One CA is for the whole node, the other for its registry only.
    """
    clusters.configure(fleet, clusters.authorities(stack), **clusters.scoped(stack))
    clusters.make(fleet, "wide", control_planes=clusters.CONTROL_PLANES, workers=1)
    for part in clusters.running_parts(stack):
        with contextlib.suppress(ProcessLookupError):  # a manager exits when the API server is killed
            os.kill(int(part["pid"]), signal.SIGKILL)
        clusters.up(stack)
    fleet.wait_ready("wide")
    fleet.story.wait_until("wide has four machines", lambda: (len(fleet.machine_names("wide")) == 4, ""), seconds=300)
    fleet.story.wait_until("and all are ready", lambda: clusters.ready_nodes(fleet, "wide", 4), seconds=300)
    return "wide"


@pytest.fixture(scope="session")
def deep(stack: Stack, fleet: DemoClusters) -> str:
    """A cluster of one control plane node and three workers, which must prove both registries."""
    hosts = [one.host for one in registry.registries_of(stack)]
    fleet.supervisor.apply(*(manifests.registry_manifest(host) for host in hosts), file="registries.yaml")
    clusters.configure(fleet, clusters.authorities(stack))
    clusters.make(fleet, "deep", control_planes=1, workers=clusters.WORKERS)
    fleet.wait_ready("deep")
    nodes = 1 + clusters.WORKERS
    fleet.story.wait_until(
        "all nodes of deep are ready", lambda: clusters.ready_nodes(fleet, "deep", nodes), seconds=300
    )
    return "deep"
