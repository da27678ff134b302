from datetime import UTC, datetime, timedelta

import pytest

from trustplane.api.annotations import TRUST_DIGEST
from trustplane.api.cluster import ClusterCondition, TanzuKubernetesCluster, TanzuKubernetesClusterStatus
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import ClusterTrust, ClusterTrustStatus, Summary, TrustInForce
from trustplane.api.keys import Key
from trustplane.api.meta import Condition, Metadata
from trustplane.reporting.progress import (
    UPDATE_CURRENT,
    UPDATE_NOT_PROVEN,
    UPDATE_PROVEN,
    UPDATE_PROVING,
    UPDATE_REFUSED,
    UPDATE_RUNNING,
    UPDATE_STOPPED,
    UPDATE_WAITING,
    UpdateProgress,
    add_proof_progress,
    undo_progress,
    update_progress,
)
from trustplane.trust.propagation import PropagationRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DIGEST = "d" * 64
TAKEN = {TRUST_DIGEST: "d"}


def _tkc(**conditions: str) -> TanzuKubernetesCluster:
    reached = [ClusterCondition(type=type_, status=status, message=f"{type_}!") for type_, status in conditions.items()]
    return TanzuKubernetesCluster(
        metadata=Metadata(name="c", namespace="n"), status=TanzuKubernetesClusterStatus(conditions=reached)
    )


def _cluster(digest: str = DIGEST, *, handled_at: datetime | None = NOW) -> Cluster:
    return Cluster(
        metadata=Metadata(annotations=PropagationRecord(digest=digest, handled_at=handled_at).to_annotations())
    )


def _trust(reason: str = "UpToDate", *, digest: str = DIGEST, message: str = "", **counts: int) -> ClusterTrust:
    """Return a report of four nodes."""
    status = "True" if reason == "UpToDate" else "False"
    current = Condition(type="Current", status=status, reason=reason, message=message)
    return ClusterTrust(
        status=ClusterTrustStatus(
            in_force=TrustInForce(digest=digest), summary=Summary(total=4, **counts), conditions=[current]
        )
    )


def test_an_unhandled_request_waits() -> None:
    for handled_at in (None, NOW - timedelta(microseconds=1)):
        cluster = _cluster(handled_at=handled_at)
        result = update_progress(_tkc(TrustCurrent="True", TrustValid="True"), cluster, _trust(), NOW)
        assert result.state == UPDATE_WAITING
        assert "trustplane manager" in result.line


def test_a_cluster_before_its_creation_waits() -> None:
    assert update_progress(_tkc(), None, None, NOW).state == UPDATE_WAITING


def test_a_broken_list_is_refused_with_its_message() -> None:
    result = update_progress(_tkc(TrustValid="False"), _cluster(handled_at=None), _trust(), NOW)
    assert (result.state, result.message) == (UPDATE_REFUSED, "TrustValid!")


def test_machines_are_counted_during_writes() -> None:
    trust = _trust("Updating", pending=1, failed=1)
    result = update_progress(_tkc(TrustCurrent="False"), _cluster(), trust, NOW)
    assert result.line == "n/c: Updating: 2 of 4 machines up to date"


@pytest.mark.parametrize("lacking", ["pending", "failed", "unreachable", "outdated"])
def test_a_node_without_the_set_is_not_up_to_date(lacking: str) -> None:
    result = update_progress(_tkc(TrustCurrent="False"), _cluster(), _trust("Updating", **{lacking: 1}), NOW)
    assert (result.machines, result.up_to_date) == (4, 3)


def test_inconsistent_counts_are_bounded() -> None:
    result = update_progress(_tkc(), _cluster(), _trust("Updating", pending=9), NOW)
    assert (result.machines, result.up_to_date) == (4, 0)


@pytest.mark.parametrize(
    ("conditions", "trust"),
    [
        ({"TrustCurrent": "True"}, _trust("Updating", pending=1)),
        ({"TrustCurrent": "True"}, _trust("Stopped", pending=3, not_trusted=1)),
        ({"TrustCurrent": "True"}, _trust(digest="e" * 64)),  # about the previous set
        ({"TrustCurrent": "True"}, ClusterTrust()),
        ({"TrustCurrent": "True"}, None),
        ({"TrustCurrent": "False"}, _trust()),
        ({}, _trust()),
    ],
)
def test_each_doubt_means_updating(conditions: dict[str, str], trust: ClusterTrust | None) -> None:
    assert update_progress(_tkc(**conditions), _cluster(), trust, NOW).state == UPDATE_RUNNING


def test_a_report_about_another_set_is_ignored() -> None:
    result = update_progress(_tkc(), _cluster(), _trust(digest="e" * 64, proven=4), NOW)
    assert (result.machines, result.up_to_date, result.message) == (0, 0, "")


def test_current_when_all_agree() -> None:
    result = update_progress(_tkc(TrustCurrent="True"), _cluster(), _trust(message="In force: corp"), NOW)
    assert (result.state, result.machines, result.up_to_date) == (UPDATE_CURRENT, 4, 4)
    assert result.line == "n/c: Current: In force: corp"


def test_an_undo_waits_until_the_earlier_set_is_taken() -> None:
    assert undo_progress(_tkc(TrustValid="True"), _cluster("e" * 64), _trust(), DIGEST).state == UPDATE_WAITING
    assert undo_progress(_tkc(TrustValid="False"), _cluster("e" * 64), _trust(), DIGEST).state == UPDATE_REFUSED
    assert undo_progress(_tkc(), None, None, DIGEST).state == UPDATE_WAITING


@pytest.mark.parametrize(
    ("trust", "state"),
    [
        (_trust("Undone"), UPDATE_CURRENT),  # the desired set is another one
        (_trust("Held"), UPDATE_CURRENT),
        (_trust("Undone", pending=1), UPDATE_RUNNING),
        (_trust("Updating", pending=1), UPDATE_RUNNING),
        (_trust("Stopped"), UPDATE_RUNNING),
        (_trust(digest="e" * 64), UPDATE_RUNNING),
    ],
)
def test_an_undo_is_complete_when_every_node_has_the_earlier_set(trust: ClusterTrust, state: str) -> None:
    assert undo_progress(_tkc(TrustCurrent="False"), _cluster(), trust, DIGEST).state == state


@pytest.mark.parametrize(
    ("state", "status", "reason", "expected"),
    [
        (UPDATE_CURRENT, "True", "Proven", UPDATE_PROVEN),
        (UPDATE_CURRENT, "False", "Applied", UPDATE_PROVING),
        (UPDATE_CURRENT, "False", "NotTrusted", UPDATE_NOT_PROVEN),
        (UPDATE_CURRENT, "Unknown", "NothingToProve", UPDATE_CURRENT),
        (UPDATE_CURRENT, "Unknown", "Unclear", UPDATE_NOT_PROVEN),
        (UPDATE_CURRENT, "Unknown", "Accepted", UPDATE_NOT_PROVEN),
        (UPDATE_RUNNING, "Unknown", "Accepted", UPDATE_RUNNING),
        (UPDATE_RUNNING, "True", "Proven", UPDATE_RUNNING),
        (UPDATE_RUNNING, "False", "Pending", UPDATE_RUNNING),
        (UPDATE_RUNNING, "False", "NotTrusted", UPDATE_NOT_PROVEN),
        (UPDATE_WAITING, "True", "Proven", UPDATE_WAITING),
        (UPDATE_REFUSED, "True", "Proven", UPDATE_REFUSED),
    ],
)
def test_an_update_ends_when_it_is_proven(state: str, status: str, reason: str, expected: str) -> None:
    conditions = [Condition(type="Proven", status=status, reason=reason, message="why")]
    report = ClusterTrustStatus(in_force=TrustInForce(digest="d"), conditions=conditions)
    now = UpdateProgress(key=Key("n", "c"), state=state)
    assert add_proof_progress(now, TAKEN, ClusterTrust(status=report)).state == expected
    # A report about the previous set is ignored.
    about_another = UPDATE_PROVING if state == UPDATE_CURRENT else state
    assert add_proof_progress(now, {TRUST_DIGEST: "e"}, ClusterTrust(status=report)).state == about_another
    assert add_proof_progress(now, TAKEN, None).state == about_another


@pytest.mark.parametrize(
    ("reason", "expected"), [("Stopped", UPDATE_STOPPED), ("Updating", UPDATE_NOT_PROVEN), ("", UPDATE_NOT_PROVEN)]
)
def test_an_update_stops_with_its_rollout(reason: str, expected: str) -> None:
    """A set that only removes entries does not stop: nodes correctly refuse registries that it no longer covers."""
    conditions = [Condition(type="Proven", status="False", reason="NotTrusted", message="why")]
    conditions += [Condition(type="Current", status="False", reason=reason)] if reason else []
    report = ClusterTrustStatus(in_force=TrustInForce(digest="d"), conditions=conditions)
    result = add_proof_progress(
        UpdateProgress(key=Key("n", "c"), state=UPDATE_RUNNING), TAKEN, ClusterTrust(status=report)
    )
    assert (result.state, result.message) == (expected, "why")
