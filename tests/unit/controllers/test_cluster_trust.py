"""The words of an inspection and of a proof's record; the controllers themselves run against a real API server."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import MAX_MESSAGE, ProofResult
from trustplane.fleet.inspection import describe_drift, describe_shadows
from trustplane.nodes.hosts import Shadow
from trustplane.nodes.plan import Drift
from trustplane.proof.result import record_verdict
from trustplane.proof.verdict import NotTrusted, ProofVerdict, RefusalReason, Trusted, Unclear, Unreachable
from trustplane.proof.verdict import parse_verdict as judge


def test_what_differs_is_named_by_path() -> None:
    assert describe_drift(Drift()) == ""
    assert describe_drift(Drift(foreign=("/etc/ssl/certs/tkg-theirs.pem",))) == ""
    text = describe_drift(Drift(edited=("/a", "/b"), removed=("/c",), is_stale=True))
    assert text == (
        "edited by somebody: /a, /b; removed by somebody: /c; "
        "the files are right, but the containerd that runs has not loaded them"
    )


def test_what_has_no_effect_is_named_with_what_hides_it() -> None:
    assert describe_shadows([]) == ("", "")
    found = [
        Shadow("/a", "/b", is_managed=True),
        Shadow("/c", "/d", is_managed=False),
        Shadow("/e", "/d", is_managed=False),
    ]
    assert describe_shadows(found) == (
        "without effect, though it is ours: /a because of /b",
        "without effect, and not ours: /c because of /d, /e because of /d",
    )


@pytest.mark.parametrize(
    ("verdict", "recorded"),
    [
        (Trusted(pulled=True), ProofResult(registry="r", verdict="Trusted", pulled=True)),
        (Trusted(second_host="t"), ProofResult(registry="r", verdict="Trusted", answered_by="t")),
        (
            NotTrusted(RefusalReason.EXPIRED, "x509: expired", "r"),
            ProofResult(registry="r", verdict="NotTrusted", reason="Expired", message="x509: expired"),
        ),
        (Unreachable("timeout"), ProofResult(registry="r", verdict="Unreachable", message="timeout")),
        (Unclear("x" * 999), ProofResult(registry="r", verdict="Unclear", message="x" * 299 + "…")),
    ],
)
def test_a_verdict_is_recorded_in_short(verdict: ProofVerdict, recorded: ProofResult) -> None:
    assert record_verdict("r", verdict) == recorded


HOST = "registry.corp.test"
IMAGE = f"{HOST}/trustplane/probe:x"
PULL = (
    f'Failed to pull image "{IMAGE}": failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}"'
)


@pytest.mark.parametrize(
    "words",
    [
        # As containerd prints a pull secret that it has decoded.
        f'{PULL}: unable to retrieve auth token: invalid decoded auth: "robotS3CRETPassw0rd"',
        f"{PULL}: unexpected status from GET request to https://a.blob.core.windows.net/c/x?sig=S3CRETSIG%3D: odd",
        f"{PULL}: Authorization: Bearer S3CRETTOKENTOKEN: odd",
        f"{PULL}: x509: certificate is valid for S\x1b]0;S3CRET\x07, not {HOST}; https://u:S3CRETPW@{HOST}/: odd",
    ],
)
def test_no_credential_and_no_control_character_is_recorded(words: str) -> None:
    recorded = record_verdict(HOST, judge(words, HOST)).message
    assert recorded
    assert recorded.isprintable()
    assert "S3CRETP" not in recorded
    assert not re.search("S3CRET(SIG|TOKEN|Passw)", recorded)


@given(st.text(), st.sampled_from([Unclear, Unreachable]))
def test_whatever_is_said_is_recorded_printable_and_within_its_field(words: str, kind: type[Unclear]) -> None:
    message = record_verdict(HOST, kind(words)).message
    assert len(message) <= MAX_MESSAGE
    assert message.isprintable()
