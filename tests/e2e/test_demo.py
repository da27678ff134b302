"""`make demo`: every claim of the demo holds on real clusters."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TITLES = (
    "The problem: ErrImagePull",
    "The fix: one TkgServiceConfiguration",
    "Trusted, but not authorized: pull secrets still count",
    "A new cluster trusts the registry from first boot",
    "A second CA: preview it, apply it, and nothing rolls",
    "Update on request: in place, and proven by every node",
    "See for yourself: on the node, over SSH",
    "Remove the CA, and prove that it is gone",
    "Same error, different cause: a CA file is missing on a node",
    "Same error again: the registry has a new CA of the same name",
    "The registry's certificate expires, and the pod says why",
    "The registry's password changes",
)
CAUSES = ("trust-not-applied", "ca-rekeyed", "certificate-expired", "auth-rejected")


@pytest.mark.timeout(1800)
def test_every_claim_holds(scratch: Path, local: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    folder = scratch / "demo"
    command = [sys.executable, "-m", "trustplane", "demo", f"--state={folder}"]
    try:
        process = subprocess.run(command, text=True, capture_output=True, timeout=1700, check=False)
        assert process.returncode == 0, process.stdout[-8000:] + process.stderr
        assert "x509: certificate signed by unknown authority" in process.stdout
        explained = [line for line in process.stdout.splitlines() if line.startswith("✓ one cause, high confidence: ")]
        assert [line.rpartition(" ")[2] for line in explained] == list(CAUSES)
        for cause in CAUSES:
            answer = process.stdout[process.stdout.index(f"\n   {cause}: ") :]
            assert "confidence:  high" in answer.splitlines()[2]
        rekeyed = process.stdout[process.stdout.index("\n   ca-rekeyed: ") :]
        assert re.search(r"^      SHA-256: +[0-9a-f]{64}$", rekeyed[: rekeyed.index("Evidence:")], re.MULTILINE)
        described = process.stdout[process.stdout.index("# its events") :]
        assert re.search(r"Warning +ImagePullExplained .*\(certificate-expired, high confidence\)", described)
        table = process.stdout[process.stdout.index("Recap") :]
        assert all(title in table for title in TITLES), table
    finally:
        removed = local("down", folder)
    assert removed.returncode == 0, removed.stdout + removed.stderr
