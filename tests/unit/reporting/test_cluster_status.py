"""The status of a cluster in each stage of its life."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trustplane.api import clusterapi
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clustertrust import ClusterTrust, ClusterTrustStatus, TrustInForce
from trustplane.api.configuration import TkgServiceConfiguration, TrustedCA
from trustplane.api.meta import Condition, Json
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi.readiness import CapiObjects, outstanding_change
from trustplane.clusterapi.release import release_body
from trustplane.reporting.cluster_status import cluster_status
from trustplane.reporting.trust_status import service_configuration_status
from trustplane.trust.entries import EMPTY_SET, ParsedList, SetDifference, parse_list
from trustplane.trust.propagation import PropagationDecision, PropagationRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RELEASE = msgspec.convert(release_body("v1.36.3"), TanzuKubernetesRelease)
UNKNOWN = Finding(code="unknown-release", what="There is no release v9", why="Known are: v1", next_step="Set it")


def tkc(phase: str = "", *, deleting: bool = False) -> TanzuKubernetesCluster:
    body: Json = {
        "metadata": {"name": "c1", "namespace": "ns", "generation": 3},
        "spec": {"topology": {"controlPlane": {"replicas": 1}, "nodePools": [{"name": "np", "replicas": 2}]}},
        "status": {"phase": phase},
    }
    if deleting:
        body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return msgspec.convert(body, TanzuKubernetesCluster)


TRUE = (
    "InfrastructureReady",
    "ControlPlaneInitialized",
    "ControlPlaneAvailable",
    "ControlPlaneMachinesReady",
    "WorkerMachinesReady",
    "TopologyReconciled",
)


def observed(
    *false: str, up_to_date: int = 2, pool: bool = True, message: str = "", control_plane: int = 1, **other: Any
) -> CapiObjects:
    """Return a running cluster of 1 + 2 nodes, with these conditions false."""
    conditions = [
        {
            "type": type_,
            "status": "False" if type_ in false else "True",
            "message": message if type_ in false else "",
            "observedGeneration": 5,
            **other,
        }
        for type_ in TRUE
    ]
    capi: Json = {
        "metadata": {"generation": 5},
        "spec": {"controlPlaneEndpoint": {"host": "198.18.0.10", "port": 6443}},
        "status": {
            "conditions": conditions,
            "controlPlane": {"desiredReplicas": 1, "availableReplicas": control_plane},
            "workers": {"replicas": 2},
        },
    }
    counts = {"observedGeneration": 1, "replicas": 1, "upToDateReplicas": 1, "version": "v1.36.3"}
    kcp = {"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": counts}
    deployment = {
        "metadata": {"generation": 1, "labels": {"topology.cluster.x-k8s.io/deployment-name": "np"}},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "replicas": 2, "upToDateReplicas": up_to_date, "availableReplicas": 2},
    }
    return CapiObjects(
        cluster=msgspec.convert(capi, clusterapi.Cluster),
        control_plane=msgspec.convert(kcp, clusterapi.KubeadmControlPlane),
        machine_deployments=[msgspec.convert(deployment, clusterapi.MachineDeployment)] if pool else [],
    )


NOTHING = CapiObjects(cluster=None, control_plane=None, machine_deployments=[])


def decision(**changes: Any) -> PropagationDecision:
    values: Json = {
        "trust": EMPTY_SET,
        "record": PropagationRecord(digest=EMPTY_SET.digest, reason="Requested"),
        "takes_set": False,
        "reason": "UpToDate",
        "is_current": True,
        "difference": SetDifference(),
    }
    return PropagationDecision(**(values | changes))


def reported(
    reason: str = "UpToDate", message: str = "", *, digest: str = EMPTY_SET.digest, status: str = ""
) -> ClusterTrust:
    """Return the report on the trust of the cluster's nodes."""
    state = status or ("True" if reason == "UpToDate" else "False")
    current = Condition(type="Current", status=state, reason=reason, message=message)
    return ClusterTrust(status=ClusterTrustStatus(in_force=TrustInForce(digest=digest), conditions=[current]))


def status(cluster: TanzuKubernetesCluster | None = None, objects: CapiObjects | None = None, **changes: Any) -> Json:
    arguments: Json = {"release": RELEASE, "updates": [], "decision": decision(), "trust": reported(), "now": NOW}
    body = cluster_status(cluster or tkc(), observed=objects or observed(), **(arguments | changes))
    assert body["metadata"] == {"name": "c1", "namespace": "ns"}
    result: Json = body["status"]
    return result


def condition(reported_status: Json, type_: str) -> tuple[str, str, str]:
    [entry] = [entry for entry in reported_status["conditions"] if entry["type"] == type_]
    assert entry["observedGeneration"] == 3
    return entry["status"], entry["reason"], entry["message"]


def test_a_running_cluster() -> None:
    result = status(updates=["v1.36.4+trustplane.1", "v1.37.0+trustplane.1"])
    assert result["phase"] == "running"
    assert result["observedGeneration"] == 3
    assert result["version"] == "v1.36.3"
    assert result["totalWorkerReplicas"] == 2
    assert result["apiEndpoints"] == [{"host": "198.18.0.10", "port": 6443}]
    assert {entry["type"]: entry["status"] for entry in result["conditions"]} == {
        "Ready": "True",
        "ControlPlaneReady": "True",
        "NodePoolsReady": "True",
        "NodesHealthy": "True",
        "TanzuKubernetesReleaseCompatible": "True",
        "UpdatesAvailable": "True",
        "TrustCurrent": "True",
        "TrustValid": "True",
    }
    assert condition(result, "UpdatesAvailable")[2] == "[v1.36.4+trustplane.1 v1.37.0+trustplane.1]"


def test_no_updates_print_nothing() -> None:
    assert condition(status(), "UpdatesAvailable") == ("False", "NoUpdates", "")


def test_a_cluster_before_its_creation() -> None:
    result = status(objects=NOTHING)
    assert result["phase"] == "creating"
    assert condition(result, "Ready")[:2] == ("False", "WaitingForClusterInfrastructure")
    assert condition(result, "NodePoolsReady")[:2] == ("False", "NodePoolsUnknown")
    assert "version" not in result


def test_stages_of_creation_have_vmwares_reasons() -> None:
    def reason(*false: str) -> str:
        result = status(tkc("creating"), observed(*false))
        assert result["phase"] == "creating"
        return condition(result, "Ready")[1]

    assert reason("InfrastructureReady", "ControlPlaneInitialized") == "WaitingForClusterInfrastructure"
    assert reason("ControlPlaneInitialized", "ControlPlaneAvailable") == "WaitingForControlPlaneInitialized"
    assert reason("ControlPlaneAvailable", "WorkerMachinesReady") == "WaitingForControlPlane"
    assert reason("WorkerMachinesReady") == "WaitingForNodesHealthy"
    result = status(objects=observed(control_plane=0))
    assert condition(result, "Ready")[1:] == (
        "WaitingForControlPlane",
        "Waiting for control planes to be ready: 0 of 1 available",
    )


def test_messages_of_cluster_api_are_passed_on() -> None:
    result = status(objects=observed("WorkerMachinesReady", message="np-x: kubelet stopped"))
    assert condition(result, "NodesHealthy")[2] == "Waiting for nodes to be healthy: np-x: kubelet stopped"


def test_an_update() -> None:
    result = status(tkc("running"), observed(up_to_date=1))
    assert result["phase"] == "updating"
    assert condition(result, "NodePoolsReady") == ("False", "NodePoolsUpdating", "np: 1 of 2 up to date")
    assert status(tkc("updating"))["phase"] == "running"


def test_an_unobserved_change_is_an_update() -> None:
    result = status(tkc("running"), observed(observedGeneration=4))
    assert result["phase"] == "updating"


def unobserved(cluster: CapiObjects) -> CapiObjects:
    """Return the cluster with a pool whose last change Cluster API has not observed."""
    pool = cluster.machine_deployments[0]
    metadata = msgspec.structs.replace(pool.metadata, generation=2)
    return replace(cluster, machine_deployments=[msgspec.structs.replace(pool, metadata=metadata)])


@pytest.mark.parametrize(
    ("cluster", "waiting"),
    [
        (NOTHING, "the cluster has not been created yet"),
        (observed(observedGeneration=4), "Cluster API has not applied the cluster's current spec yet"),
        (unobserved(observed()), "Cluster API has not observed the latest generation of pool np yet"),
        (observed(up_to_date=1), "machines of pool np are not up to date"),
        (observed(), ""),
    ],
)
def test_an_update_waits_for_cluster_api(cluster: CapiObjects, waiting: str) -> None:
    assert outstanding_change(cluster) == waiting
    assert status(tkc("running"), cluster)["phase"] == ("updating" if waiting else "running")


@pytest.mark.parametrize(
    ("trust", "waiting"),
    [
        (None, "no report on them yet"),
        (ClusterTrust(), "no report on them yet"),
        (reported(digest="f" * 64), "no report on them yet"),  # about the previous set
        (reported("Updating", "2 of 3 nodes do not have the set"), "2 of 3 nodes do not have the set"),
        (reported("UpToDate", "unclear", status="Unknown"), "unclear"),
    ],
)
def test_trust_is_current_only_with_a_report_that_every_node_has_it(trust: ClusterTrust | None, waiting: str) -> None:
    result = status(tkc("running"), trust=trust)
    expected = ("False", "Updating", f"Nodes are being created or updated with the set: {waiting}")
    assert condition(result, "TrustCurrent") == expected


def test_a_stopped_rollout_is_an_error() -> None:
    result = status(tkc("running"), trust=reported("Stopped", "Stopped: with the trust set, m-1 refuses a registry"))
    current = condition(result, "TrustCurrent")
    assert current == ("False", "Stopped", "Stopped: with the trust set, m-1 refuses a registry")
    [severity] = [entry["severity"] for entry in result["conditions"] if entry["type"] == "TrustCurrent"]
    assert severity == "Error"


def test_a_pool_before_its_creation() -> None:
    result = status(tkc("running"), observed(pool=False))
    assert condition(result, "NodePoolsReady") == ("False", "NodePoolsUnknown", "np: not created yet")


def test_a_deletion() -> None:
    result = status(tkc("running", deleting=True), decision=None)
    assert result["phase"] == "deleting"
    assert condition(result, "Ready")[:2] == ("False", "Deleting")


def test_an_unknown_release_stops_a_new_cluster_and_leaves_an_old_one_running() -> None:
    result = status(objects=NOTHING, release=UNKNOWN, decision=None)
    assert result["phase"] == "failed"
    assert condition(result, "TanzuKubernetesReleaseCompatible")[0] == "False"
    assert condition(result, "Ready") == ("False", "ProvisioningFailed", str(UNKNOWN))
    assert result["conditions"][0]["severity"] == "Error"
    result = status(tkc("running"), release=UNKNOWN)
    assert result["phase"] == "updateFailed"
    assert condition(result, "ControlPlaneReady")[0] == "True"


def test_an_error_of_cluster_api_is_shown() -> None:
    result = status(tkc("running"), error="version must not decrease")
    assert (result["phase"], condition(result, "Ready")[2]) == ("updateFailed", "version must not decrease")


def test_a_temporary_failure_of_cluster_api_is_a_warning() -> None:
    failing = observed("TopologyReconciled", message="patch refused", reason="ReconcileFailed")
    result = status(tkc("running"), failing)
    assert condition(result, "Ready") == (
        "False",
        "ProvisioningFailed",
        "Cluster API cannot create or update the cluster: patch refused",
    )
    assert result["conditions"][0]["severity"] == "Warning"
    assert result["phase"] == "updating"


def test_held_trust_names_difference_and_command() -> None:
    held = decision(
        is_current=False, reason="Held", difference=SetDifference(added=("corp",), text="add corp (0123456789)")
    )
    assert condition(status(decision=held), "TrustCurrent") == (
        "False",
        "Held",
        "Not in force yet: add corp (0123456789). Take it now: `trustplane update c1 --namespace ns`",
    )


def test_current_trust_has_the_reason_of_its_set() -> None:
    assert condition(status(), "TrustCurrent") == ("True", "Requested", "0 entries in force")


def findings(count: int, **changes: Any) -> tuple[Finding, ...]:
    return tuple(
        Finding(code="x", what=f"Wrong {number}", next_step="Correct it", **changes) for number in range(count)
    )


def test_a_broken_list_is_reported_and_the_cluster_stays_ready() -> None:
    result = status(decision=decision(findings=findings(12), reason="Invalid"))
    reached, reason, message = condition(result, "TrustValid")
    assert (reached, reason) == ("False", "Invalid")
    assert message.startswith("Wrong 0. Correct it; Wrong 1")
    assert message.endswith("and 2 more. Until then the last good list stays in use")
    assert condition(result, "Ready")[0] == "True"


def test_conditions_about_trust_stay_without_a_decision() -> None:
    before = status()
    cluster = msgspec.convert(msgspec.to_builtins(tkc("running")) | {"status": before}, TanzuKubernetesCluster)
    cluster.metadata.generation = 4
    result = status(cluster, release=UNKNOWN, decision=None)
    [kept] = [entry for entry in result["conditions"] if entry["type"] == "TrustCurrent"]
    assert kept in before["conditions"]
    assert [entry["observedGeneration"] for entry in result["conditions"]].count(3) == 2


def test_a_broken_list_offers_no_update() -> None:
    broken = decision(
        findings=findings(1), reason="Invalid", is_current=False, difference=SetDifference(added=("x",), text="add x")
    )
    assert condition(status(decision=broken), "TrustCurrent")[1:] == (
        "Invalid",
        "A list has errors, so the set in force stays as it is: see TrustValid",
    )


def test_trust_is_not_current_with_a_broken_own_list() -> None:
    result = status(decision=decision(findings=findings(1), reason="Invalid", is_current=False))
    assert condition(result, "TrustCurrent")[:2] == ("False", "Invalid")


def test_a_new_cluster_without_a_good_list_is_held() -> None:
    held = decision(trust=None, record=None, is_current=False, reason="Invalid", findings=findings(1))
    result = status(objects=NOTHING, decision=held)
    assert result["phase"] == "failed"
    assert condition(result, "Ready") == ("False", "ProvisioningFailed", "Wrong 0. Correct it")
    assert condition(result, "TrustCurrent")[:2] == ("False", "Invalid")


def test_warnings_are_shown() -> None:
    result = status(decision=decision(findings=findings(1, severity=Severity.WARNING)))
    assert condition(result, "TrustValid") == ("True", "Warnings", "Wrong 0. Correct it")


def test_an_unchanged_condition_keeps_its_time() -> None:
    first = status()
    cluster = tkc("running")
    cluster = msgspec.convert(msgspec.to_builtins(cluster) | {"status": first}, TanzuKubernetesCluster)
    assert status(cluster, now=NOW + timedelta(hours=1)) == first


def service(spec: Json, **known: Any) -> TkgServiceConfiguration:
    body = {"metadata": {"generation": 2}, "spec": spec, "status": known}
    return msgspec.convert(body, TkgServiceConfiguration)


def test_the_first_customisation_is_noted_once() -> None:
    stock = service_configuration_status(service({"defaultCNI": "antrea"}), ParsedList(), now=NOW)
    assert "firstCustomizedAt" not in stock["status"]
    first = service_configuration_status(service({"defaultCNI": "calico"}), ParsedList(), now=NOW)
    assert first["status"]["firstCustomizedAt"] == "2026-01-01T00:00:00Z"
    later = service({"defaultCNI": "antrea"}, firstCustomizedAt="2025-01-01T00:00:00Z")
    assert (
        service_configuration_status(later, ParsedList(), now=NOW)["status"]["firstCustomizedAt"]
        == "2025-01-01T00:00:00Z"
    )


def test_the_service_reports_errors_of_its_list() -> None:
    reading = parse_list([TrustedCA(name="corp", data="!")])
    body = service_configuration_status(service({"defaultCNI": "antrea"}), reading, now=NOW)
    [valid] = body["status"]["conditions"]
    assert (valid["type"], valid["status"], valid["reason"]) == ("TrustValid", "False", "Invalid")
    assert "additionalTrustedCAs[0] (corp): data is not base64" in valid["message"]
    assert "severity" not in valid
