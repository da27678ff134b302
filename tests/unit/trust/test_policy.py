from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from trustplane.certificates.finding import Severity
from trustplane.trust.policy import read_policy

PROPAGATION = "trustplane.dev/propagation"
MERGE = "trustplane.dev/trust-merge"
REQUESTED = "trustplane.dev/update-requested-at"


def test_defaults() -> None:
    policies = read_policy({}, {})
    assert (policies.propagation, policies.merge, policies.requests, policies.findings) == (
        "OnNextUpdate",
        "Override",
        (),
        (),
    )


def test_the_nearest_annotation_wins() -> None:
    policies = read_policy({PROPAGATION: "OnNextUpdate"}, {PROPAGATION: "Automatic", MERGE: "Append"})
    assert (policies.propagation, policies.merge) == ("OnNextUpdate", "Append")


def test_the_latest_request_counts() -> None:
    near, far = {REQUESTED: "2026-01-01T00:00:00Z"}, {REQUESTED: "2026-01-01T02:00:00+01:00"}
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert read_policy(near, far).due_request(now) == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert read_policy(far, near).due_request(now) == datetime(2026, 1, 1, 1, tzinfo=UTC)


def test_a_scheduled_request_does_not_hide_a_due_one() -> None:
    near, far = {REQUESTED: "2026-01-01T00:00:00Z"}, {REQUESTED: "2026-01-03T00:00:00Z"}
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert read_policy(near, far).due_request(now) == datetime(2026, 1, 1, tzinfo=UTC)
    assert read_policy(near, far).scheduled_request(now) == datetime(2026, 1, 3, tzinfo=UTC)
    assert read_policy(near).scheduled_request(now) is None
    assert read_policy(far).due_request(now) is None


def test_invalid_values_become_defaults_and_are_reported() -> None:
    policies = read_policy({PROPAGATION: "automatic", MERGE: "", REQUESTED: "now"})
    assert (policies.propagation, policies.merge, policies.requests) == ("OnNextUpdate", "Override", ())
    assert [finding.code for finding in policies.findings] == ["unknown-policy", "unknown-policy", "bad-request-time"]
    assert all(finding.severity is Severity.WARNING for finding in policies.findings)


def test_a_time_without_zone_is_no_request() -> None:
    assert read_policy({REQUESTED: "2026-01-01T00:00:00"}).findings[0].code == "bad-request-time"


@given(st.text(), st.text(), st.text())
def test_any_annotation_is_read(propagation: str, merge: str, requested: str) -> None:
    read_policy({PROPAGATION: propagation, MERGE: merge, REQUESTED: requested})
