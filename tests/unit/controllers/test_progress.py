from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import TRUST_CANARY, TRUST_DIGEST, UPDATE_REQUESTED_AT
from trustplane.api.cluster import ClusterCondition, TanzuKubernetesCluster, TanzuKubernetesClusterStatus
from trustplane.api.clusterapi import (
    Cluster,
    ClusterStatus,
    KubeadmControlPlane,
    KubeadmControlPlaneSpec,
    KubeadmControlPlaneStatus,
    MachineDeployment,
    MachineDeploymentSpec,
    MachineDeploymentStatus,
)
from trustplane.api.clustertrust import ClusterTrust, ClusterTrustStatus, NodeTrust, TrustInForce
from trustplane.api.meta import Condition, Metadata
from trustplane.clusterapi.readiness import Observed
from trustplane.controllers.progress import (
    CURRENT,
    NOT_PROVEN,
    PROVEN,
    PROVING,
    REFUSED,
    STOPPED,
    UPDATING,
    WAITING,
    Progress,
    progress,
    proved,
    request_time,
)
from trustplane.kube.resource import Key
from trustplane.trust.gate import Canary
from trustplane.trust.propagation import Frozen

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TAKEN = {TRUST_DIGEST: "d"}


def _tkc(**conditions: str) -> TanzuKubernetesCluster:
    reached = [ClusterCondition(type=type_, status=status, message=f"{type_}!") for type_, status in conditions.items()]
    return TanzuKubernetesCluster(
        metadata=Metadata(name="c", namespace="n"), status=TanzuKubernetesClusterStatus(conditions=reached)
    )


def _observed(*, handled_at: datetime | None = NOW, up_to_date: int = 3, generation: int = 2) -> Observed:
    counts: dict[str, Any] = {"replicas": 3, "up_to_date_replicas": up_to_date, "observed_generation": 1}
    reconciled = Condition(type="TopologyReconciled", status="True", observed_generation=2)
    frozen = Frozen(digest="d" * 64, handled_at=handled_at)
    return Observed(
        cluster=Cluster(
            metadata=Metadata(generation=generation, annotations=frozen.annotations()),
            status=ClusterStatus(conditions=[reconciled]),
        ),
        control_plane=KubeadmControlPlane(
            metadata=Metadata(generation=1),
            spec=KubeadmControlPlaneSpec(replicas=1),
            status=KubeadmControlPlaneStatus(replicas=1, up_to_date_replicas=1, observed_generation=1),
        ),
        machine_deployments=[
            MachineDeployment(
                metadata=Metadata(generation=1),
                spec=MachineDeploymentSpec(replicas=3),
                status=MachineDeploymentStatus(**counts),
            )
        ],
    )


def test_a_request_that_nobody_took_up_waits() -> None:
    for handled_at in (None, NOW - timedelta(microseconds=1)):
        found = progress(_tkc(TrustCurrent="True", TrustValid="True"), _observed(handled_at=handled_at), NOW)
        assert found.state == WAITING
        assert "trustplane manager" in found.text


def test_a_cluster_that_was_never_made_waits() -> None:
    nothing = Observed(cluster=None, control_plane=None, machine_deployments=[])
    assert progress(_tkc(), nothing, NOW).state == WAITING


def test_a_broken_list_is_refused_with_its_message() -> None:
    found = progress(_tkc(TrustValid="False"), _observed(handled_at=None), NOW)
    assert (found.state, found.message) == (REFUSED, "TrustValid!")


def test_machines_are_counted_while_they_are_updated() -> None:
    found = progress(_tkc(TrustCurrent="False"), _observed(up_to_date=1), NOW)
    assert found.text == "n/c: Updating: 2 of 4 machines up to date"


@pytest.mark.parametrize(
    ("conditions", "observed"),
    [
        ({"TrustCurrent": "True"}, {"up_to_date": 2}),
        ({"TrustCurrent": "True"}, {"generation": 3}),
        ({"TrustCurrent": "False"}, {}),
        ({}, {}),
    ],
)
def test_each_doubt_means_updating(conditions: dict[str, str], observed: dict[str, int]) -> None:
    assert progress(_tkc(**conditions), _observed(**observed), NOW).state == UPDATING


def test_current_when_all_agree() -> None:
    found = progress(_tkc(TrustCurrent="True"), _observed(), NOW)
    assert (found.state, found.machines, found.up_to_date) == (CURRENT, 4, 4)
    assert found.text == "n/c: Current: TrustCurrent!"


_TIMES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(_TIMES, _TIMES)
def test_a_request_is_later_than_the_last_one_whatever_the_clocks_say(last: datetime, now: datetime) -> None:
    asked = request_time({UPDATE_REQUESTED_AT: last.isoformat()}, now)
    assert asked > last
    assert asked >= now


@pytest.mark.parametrize("annotations", [{}, {UPDATE_REQUESTED_AT: "yesterday"}])
def test_the_first_request_is_now(annotations: dict[str, str]) -> None:
    assert request_time(annotations, NOW) == NOW


@pytest.mark.parametrize(
    ("state", "status", "reason", "expected"),
    [
        (CURRENT, "True", "Proven", PROVEN),
        (CURRENT, "False", "Applied", PROVING),
        (CURRENT, "False", "NotTrusted", NOT_PROVEN),
        (CURRENT, "Unknown", "NothingToProve", CURRENT),
        (CURRENT, "Unknown", "Unclear", NOT_PROVEN),
        (CURRENT, "Unknown", "Accepted", NOT_PROVEN),
        (UPDATING, "Unknown", "Accepted", UPDATING),
        (UPDATING, "True", "Proven", UPDATING),
        (UPDATING, "False", "Pending", UPDATING),
        (UPDATING, "False", "NotTrusted", NOT_PROVEN),
        (WAITING, "True", "Proven", WAITING),
        (REFUSED, "True", "Proven", REFUSED),
    ],
)
def test_an_update_ends_when_it_is_proven(state: str, status: str, reason: str, expected: str) -> None:
    conditions = [Condition(type="Proven", status=status, reason=reason, message="why")]
    report = ClusterTrustStatus(in_force=TrustInForce(digest="d"), conditions=conditions)
    now = Progress(key=Key("n", "c"), state=state)
    assert proved(now, TAKEN, ClusterTrust(status=report)).state == expected
    # What is said about the set before says nothing about this one.
    about_another = PROVING if state == CURRENT else state
    assert proved(now, {TRUST_DIGEST: "e"}, ClusterTrust(status=report)).state == about_another
    assert proved(now, TAKEN, None).state == about_another


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        (Canary("d", "m-1"), STOPPED),
        (Canary("d", "m-2"), NOT_PROVEN),
        (Canary("e", "m-1"), NOT_PROVEN),
        (Canary("d", "m-1", adds=False), NOT_PROVEN),
    ],
)
def test_an_update_is_stopped_by_the_first_machine_unless_it_only_removes(canary: Canary, expected: str) -> None:
    conditions = [Condition(type="Proven", status="False", reason="NotTrusted", message="why")]
    nodes = [NodeTrust(machine="m-1", state="NotTrusted"), NodeTrust(machine="m-2", state="Pending")]
    report = ClusterTrustStatus(in_force=TrustInForce(digest="d"), conditions=conditions, nodes=nodes)
    annotations = TAKEN | {TRUST_CANARY: canary.text()}
    found = proved(Progress(key=Key("n", "c"), state=UPDATING), annotations, ClusterTrust(status=report))
    assert (found.state, found.message) == (expected, "why")
