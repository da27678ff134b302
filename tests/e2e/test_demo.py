"""`make demo` tells the truth: every claim of the story holds on real clusters."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TITLES = (
    "A cluster without the trust: ErrImagePull",
    "The first TkgServiceConfiguration updates the existing cluster",
    "Credentials are another matter",
    "A new cluster trusts from birth",
    "A second CA: nothing rolls, the clusters are shown as not current",
    "Taken on request, in place, and proven by every node",
    "Seen on the node, over SSH",
    "Removed in place, and refused from then on",
)


@pytest.mark.timeout(1800)
def test_the_story_holds(scratch: Path, local: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    folder = scratch / "demo"
    command = [sys.executable, "-m", "trustplane", "demo", f"--state={folder}"]
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=1700, check=False)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert "x509: certificate signed by unknown authority" in done.stdout
        table = done.stdout[done.stdout.index("What happened") :]
        assert all(title in table for title in TITLES), table
    finally:
        removed = local("down", folder)
    assert removed.returncode == 0, removed.stdout + removed.stderr
