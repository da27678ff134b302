"""`make demo` tells the truth: every claim of the story holds on real clusters."""

import re
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
    "The same words, another cause: a file is gone from a node",
    "The registry comes back with a new CA of the same name",
    "The registry's certificate has expired, and the pod is told so",
    "The registry's password was changed",
)
CAUSES = ("trust-not-applied", "ca-rekeyed", "certificate-expired", "auth-rejected")


@pytest.mark.timeout(1800)
def test_the_story_holds(scratch: Path, local: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    folder = scratch / "demo"
    command = [sys.executable, "-m", "trustplane", "demo", f"--state={folder}"]
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=1700, check=False)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert "x509: certificate signed by unknown authority" in done.stdout
        explained = [line for line in done.stdout.splitlines() if line.startswith("✓ one cause, for certain: ")]
        assert [line.rpartition(" ")[2] for line in explained] == list(CAUSES)
        for cause in CAUSES:
            answer = done.stdout[done.stdout.index(f"\n   {cause}: ") :]
            assert "confidence:  high" in answer.splitlines()[2]
        rekeyed = done.stdout[done.stdout.index("\n   ca-rekeyed: ") :]
        assert re.search(r"^      SHA-256: +[0-9a-f]{64}$", rekeyed[: rekeyed.index("Evidence:")], re.MULTILINE)
        described = done.stdout[done.stdout.index("# its events") :]
        assert re.search(r"Warning +ImagePullExplained .*\(certificate-expired, high confidence\)", described)
        table = done.stdout[done.stdout.index("What happened") :]
        assert all(title in table for title in TITLES), table
    finally:
        removed = local("down", folder)
    assert removed.returncode == 0, removed.stdout + removed.stderr
