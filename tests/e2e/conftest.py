"""The local stack that all end-to-end tests share; they need root, and the machine that `trustplane local up` needs."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trustplane.local import stack as stacks
from trustplane.local.stack import Stack

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
    """A stack that is up, and gone after the last test, whatever happened in between."""
    folder = scratch / "first"
    try:
        done = local("up", folder)
        assert done.returncode == 0, done.stdout + done.stderr
        started = stacks.read(folder)
        assert started is not None
        yield started
    finally:
        done = local("down", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not folder.exists()
