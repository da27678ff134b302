"""Messages of inspections and recorded proofs; the controllers are tested with a real API server."""

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


def test_drift_is_named_by_path() -> None:
    assert describe_drift(Drift()) == ""
    assert describe_drift(Drift(foreign=("/etc/ssl/certs/tkg-theirs.pem",))) == ""
    text = describe_drift(Drift(edited=("/a", "/b"), removed=("/c",), is_stale=True))
    assert text == (
        "edited outside Trustplane: /a, /b; removed outside Trustplane: /c; "
        "the files are correct, but the running containerd has not loaded them"
    )


def test_shadowed_files_are_named_with_the_files_that_hide_them() -> None:
    assert describe_shadows([]) == ("", "")
    shadows = [
        Shadow("/a", "/b", is_managed=True),
        Shadow("/c", "/d", is_managed=False),
        Shadow("/e", "/d", is_managed=False),
    ]
    assert describe_shadows(shadows) == (
        "files of Trustplane without effect: /a because of /b",
        "other files without effect: /c because of /d, /e because of /d",
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
def test_verdicts_are_recorded_in_short_form(verdict: ProofVerdict, recorded: ProofResult) -> None:
    assert record_verdict("r", verdict) == recorded


HOST = "registry.corp.test"
IMAGE = f"{HOST}/trustplane/probe:x"
PULL = (
    f'Failed to pull image "{IMAGE}": failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}"'
)


@pytest.mark.parametrize(
    "message",
    [
        # containerd prints decoded pull secrets in this form.
        f'{PULL}: unable to retrieve auth token: invalid decoded auth: "robotS3CRETPassw0rd"',
        f"{PULL}: unexpected status from GET request to https://a.blob.core.windows.net/c/x?sig=S3CRETSIG%3D: odd",
        f"{PULL}: Authorization: Bearer S3CRETTOKENTOKEN: odd",
        f"{PULL}: x509: certificate is valid for S\x1b]0;S3CRET\x07, not {HOST}; https://u:S3CRETPW@{HOST}/: odd",
    ],
)
def test_credentials_and_control_characters_are_not_recorded(message: str) -> None:
    recorded = record_verdict(HOST, judge(message, HOST)).message
    assert recorded
    assert recorded.isprintable()
    assert "S3CRETP" not in recorded
    assert not re.search("S3CRET(SIG|TOKEN|Passw)", recorded)


@given(st.text(), st.sampled_from([Unclear, Unreachable]))
def test_recorded_messages_are_printable_and_within_their_limit(message: str, kind: type[Unclear]) -> None:
    message = record_verdict(HOST, kind(message)).message
    assert len(message) <= MAX_MESSAGE
    assert message.isprintable()
