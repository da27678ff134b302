"""The words of an inspection and of a proof's record; the controllers themselves run against a real API server."""

import pytest

from trustplane.api.clustertrust import ProofResult
from trustplane.controllers.clustertrust_inspection import described, shadows_described
from trustplane.controllers.clustertrust_proof import result
from trustplane.nodes.hosts import Shadow
from trustplane.nodes.plan import Drift
from trustplane.proof.verdict import NotTrusted, Refusal, Trusted, Unclear, Unreachable, Verdict


def test_what_differs_is_named_by_path() -> None:
    assert described(Drift()) == ""
    assert described(Drift(foreign=("/etc/ssl/certs/tkg-theirs.pem",))) == ""
    text = described(Drift(edited=("/a", "/b"), removed=("/c",), is_stale=True))
    assert text == (
        "edited by somebody: /a, /b; removed by somebody: /c; "
        "the files are right, but the containerd that runs has not loaded them"
    )


def test_what_has_no_effect_is_named_with_what_hides_it() -> None:
    assert shadows_described([]) == ("", "")
    found = [Shadow("/a", "/b", is_ours=True), Shadow("/c", "/d", is_ours=False), Shadow("/e", "/d", is_ours=False)]
    assert shadows_described(found) == (
        "without effect, though it is ours: /a because of /b",
        "without effect, and not ours: /c because of /d, /e because of /d",
    )


@pytest.mark.parametrize(
    ("verdict", "recorded"),
    [
        (Trusted(pulled=True), ProofResult(registry="r", verdict="Trusted", pulled=True)),
        (
            NotTrusted(Refusal.EXPIRED, "x509: expired", "r"),
            ProofResult(registry="r", verdict="NotTrusted", reason="Expired", message="x509: expired"),
        ),
        (Unreachable("timeout"), ProofResult(registry="r", verdict="Unreachable", message="timeout")),
        (Unclear("x" * 999), ProofResult(registry="r", verdict="Unclear", message="x" * 300)),
    ],
)
def test_a_verdict_is_recorded_in_short(verdict: Verdict, recorded: ProofResult) -> None:
    assert result("r", verdict) == recorded
