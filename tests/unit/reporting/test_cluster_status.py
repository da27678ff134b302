"""What a user reads of a cluster, for each stage of its life."""

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
from trustplane.reporting.trust_status import service_status
from trustplane.trust.entries import EMPTY, Difference, Reading, read
from trustplane.trust.propagation import Decision, Frozen

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
    """A running cluster of 1 + 2 nodes, but for those conditions that are false."""
    conditions = [
        {
            "type": one,
            "status": "False" if one in false else "True",
            "message": message if one in false else "",
            "observedGeneration": 5,
            **other,
        }
        for one in TRUE
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


def decision(**changes: Any) -> Decision:
    values: Json = {
        "trust": EMPTY,
        "frozen": Frozen(digest=EMPTY.digest, reason="Requested"),
        "taken": False,
        "reason": "UpToDate",
        "current": True,
        "difference": Difference(),
    }
    return Decision(**(values | changes))


def reported(
    reason: str = "UpToDate", message: str = "", *, digest: str = EMPTY.digest, status: str = ""
) -> ClusterTrust:
    """What is reported of the trust of the cluster's nodes."""
    state = status or ("True" if reason == "UpToDate" else "False")
    current = Condition(type="Current", status=state, reason=reason, message=message)
    return ClusterTrust(status=ClusterTrustStatus(in_force=TrustInForce(digest=digest), conditions=[current]))


def status(cluster: TanzuKubernetesCluster | None = None, seen: CapiObjects | None = None, **changes: Any) -> Json:
    arguments: Json = {"release": RELEASE, "updates": [], "decision": decision(), "trust": reported(), "now": NOW}
    body = cluster_status(cluster or tkc(), observed=seen or observed(), **(arguments | changes))
    assert body["metadata"] == {"name": "c1", "namespace": "ns"}
    found: Json = body["status"]
    return found


def condition(found: Json, type_: str) -> tuple[str, str, str]:
    [one] = [one for one in found["conditions"] if one["type"] == type_]
    assert one["observedGeneration"] == 3
    return one["status"], one["reason"], one["message"]


def test_a_running_cluster() -> None:
    found = status(updates=["v1.36.4+trustplane.1", "v1.37.0+trustplane.1"])
    assert found["phase"] == "running"
    assert found["observedGeneration"] == 3
    assert found["version"] == "v1.36.3"
    assert found["totalWorkerReplicas"] == 2
    assert found["apiEndpoints"] == [{"host": "198.18.0.10", "port": 6443}]
    assert {one["type"]: one["status"] for one in found["conditions"]} == {
        "Ready": "True",
        "ControlPlaneReady": "True",
        "NodePoolsReady": "True",
        "NodesHealthy": "True",
        "TanzuKubernetesReleaseCompatible": "True",
        "UpdatesAvailable": "True",
        "TrustCurrent": "True",
        "TrustValid": "True",
    }
    assert condition(found, "UpdatesAvailable")[2] == "[v1.36.4+trustplane.1 v1.37.0+trustplane.1]"


def test_no_updates_print_nothing() -> None:
    assert condition(status(), "UpdatesAvailable") == ("False", "NoUpdates", "")


def test_a_cluster_that_was_not_made_yet() -> None:
    found = status(seen=NOTHING)
    assert found["phase"] == "creating"
    assert condition(found, "Ready")[:2] == ("False", "WaitingForClusterInfrastructure")
    assert condition(found, "NodePoolsReady")[:2] == ("False", "NodePoolsUnknown")
    assert "version" not in found


def test_stages_of_creation_are_named_like_the_original() -> None:
    def reason(*false: str) -> str:
        found = status(tkc("creating"), observed(*false))
        assert found["phase"] == "creating"
        return condition(found, "Ready")[1]

    assert reason("InfrastructureReady", "ControlPlaneInitialized") == "WaitingForClusterInfrastructure"
    assert reason("ControlPlaneInitialized", "ControlPlaneAvailable") == "WaitingForControlPlaneInitialized"
    assert reason("ControlPlaneAvailable", "WorkerMachinesReady") == "WaitingForControlPlane"
    assert reason("WorkerMachinesReady") == "WaitingForNodesHealthy"
    found = status(seen=observed(control_plane=0))
    assert condition(found, "Ready")[1:] == (
        "WaitingForControlPlane",
        "Waiting for control planes to be ready: 0 of 1 available",
    )


def test_messages_of_cluster_api_are_passed_on() -> None:
    found = status(seen=observed("WorkerMachinesReady", message="np-x: kubelet stopped"))
    assert condition(found, "NodesHealthy")[2] == "Waiting for nodes to be healthy: np-x: kubelet stopped"


def test_a_cluster_that_is_updated() -> None:
    found = status(tkc("running"), observed(up_to_date=1))
    assert found["phase"] == "updating"
    assert condition(found, "NodePoolsReady") == ("False", "NodePoolsUpdating", "np: 1 of 2 up to date")
    assert status(tkc("updating"))["phase"] == "running"


def test_a_change_that_cluster_api_has_not_seen_yet_is_an_update() -> None:
    found = status(tkc("running"), observed(observedGeneration=4))
    assert found["phase"] == "updating"


def unseen(seen: CapiObjects) -> CapiObjects:
    """Cluster API has not seen the pool's last change."""
    pool = seen.machine_deployments[0]
    metadata = msgspec.structs.replace(pool.metadata, generation=2)
    return replace(seen, machine_deployments=[msgspec.structs.replace(pool, metadata=metadata)])


@pytest.mark.parametrize(
    ("seen", "waiting"),
    [
        (NOTHING, "the cluster has not been created yet"),
        (observed(observedGeneration=4), "Cluster API has not applied the cluster's current spec yet"),
        (unseen(observed()), "Cluster API has not observed the latest generation of pool np yet"),
        (observed(up_to_date=1), "machines of pool np are not up to date"),
        (observed(), ""),
    ],
)
def test_what_an_update_waits_for(seen: CapiObjects, waiting: str) -> None:
    assert outstanding_change(seen) == waiting
    assert status(tkc("running"), seen)["phase"] == ("updating" if waiting else "running")


@pytest.mark.parametrize(
    ("trust", "waiting"),
    [
        (None, "nothing is reported of them yet"),
        (ClusterTrust(), "nothing is reported of them yet"),
        (reported(digest="f" * 64), "nothing is reported of them yet"),  # about the set before
        (reported("Updating", "2 of 3 nodes do not have it"), "2 of 3 nodes do not have it"),
        (reported("UpToDate", "unclear", status="Unknown"), "unclear"),
    ],
)
def test_trust_is_current_only_when_every_node_is_reported_to_have_it(trust: ClusterTrust | None, waiting: str) -> None:
    found = status(tkc("running"), trust=trust)
    expected = ("False", "Updating", f"Nodes are being made or updated to have it: {waiting}")
    assert condition(found, "TrustCurrent") == expected


def test_trust_that_a_node_refuses_with_is_an_error() -> None:
    found = status(tkc("running"), trust=reported("Stopped", "Stopped: with the trust set, m-1 refuses a registry"))
    said = condition(found, "TrustCurrent")
    assert said == ("False", "Stopped", "Stopped: with the trust set, m-1 refuses a registry")
    [severity] = [one["severity"] for one in found["conditions"] if one["type"] == "TrustCurrent"]
    assert severity == "Error"


def test_a_pool_that_was_not_made_yet() -> None:
    found = status(tkc("running"), observed(pool=False))
    assert condition(found, "NodePoolsReady") == ("False", "NodePoolsUnknown", "np: not created yet")


def test_a_cluster_that_is_deleted() -> None:
    found = status(tkc("running", deleting=True), decision=None)
    assert found["phase"] == "deleting"
    assert condition(found, "Ready")[:2] == ("False", "Deleting")


def test_an_unknown_release_stops_a_new_cluster_and_leaves_an_old_one_running() -> None:
    found = status(seen=NOTHING, release=UNKNOWN, decision=None)
    assert found["phase"] == "failed"
    assert condition(found, "TanzuKubernetesReleaseCompatible")[0] == "False"
    assert condition(found, "Ready") == ("False", "ProvisioningFailed", str(UNKNOWN))
    assert found["conditions"][0]["severity"] == "Error"
    found = status(tkc("running"), release=UNKNOWN)
    assert found["phase"] == "updateFailed"
    assert condition(found, "ControlPlaneReady")[0] == "True"


def test_what_cluster_api_refused_is_said() -> None:
    found = status(tkc("running"), error="version must not decrease")
    assert (found["phase"], condition(found, "Ready")[2]) == ("updateFailed", "version must not decrease")


def test_what_cluster_api_could_not_do_is_said_and_may_pass() -> None:
    seen = observed("TopologyReconciled", message="patch refused", reason="ReconcileFailed")
    found = status(tkc("running"), seen)
    assert condition(found, "Ready") == (
        "False",
        "ProvisioningFailed",
        "Cluster API cannot create or update the cluster: patch refused",
    )
    assert found["conditions"][0]["severity"] == "Warning"
    assert found["phase"] == "updating"


def test_trust_that_is_held_names_what_differs_and_the_command() -> None:
    held = decision(current=False, reason="Held", difference=Difference(added=("corp",), text="add corp (0123456789)"))
    assert condition(status(decision=held), "TrustCurrent") == (
        "False",
        "Held",
        "Not in force yet: add corp (0123456789). Take it now: `trustplane update c1 --namespace ns`",
    )


def test_trust_that_is_in_force_says_why_it_was_taken() -> None:
    assert condition(status(), "TrustCurrent") == ("True", "Requested", "0 entries in force")


def findings(count: int, **changes: Any) -> tuple[Finding, ...]:
    return tuple(Finding(code="x", what=f"Wrong {number}", next_step="Mend it", **changes) for number in range(count))


def test_a_broken_list_is_reported_and_the_cluster_stays_ready() -> None:
    found = status(decision=decision(findings=findings(12), reason="Invalid"))
    reached, reason, message = condition(found, "TrustValid")
    assert (reached, reason) == ("False", "Invalid")
    assert message.startswith("Wrong 0. Mend it; Wrong 1")
    assert message.endswith("and 2 more. Until then the last good list stays in force")
    assert condition(found, "Ready")[0] == "True"


def test_what_was_reported_about_trust_stays_while_nothing_is_decided() -> None:
    before = status()
    cluster = msgspec.convert(msgspec.to_builtins(tkc("running")) | {"status": before}, TanzuKubernetesCluster)
    cluster.metadata.generation = 4
    found = status(cluster, release=UNKNOWN, decision=None)
    [kept] = [one for one in found["conditions"] if one["type"] == "TrustCurrent"]
    assert kept in before["conditions"]
    assert [one["observedGeneration"] for one in found["conditions"]].count(3) == 2


def test_trust_is_not_offered_while_a_list_is_broken() -> None:
    broken = decision(
        findings=findings(1), reason="Invalid", current=False, difference=Difference(added=("x",), text="add x")
    )
    assert condition(status(decision=broken), "TrustCurrent")[1:] == (
        "Invalid",
        "A list has errors, so the set in force stays as it is: see TrustValid",
    )


def test_a_broken_own_list_leaves_open_whether_trust_is_current() -> None:
    found = status(decision=decision(findings=findings(1), reason="Invalid", current=False))
    assert condition(found, "TrustCurrent")[:2] == ("False", "Invalid")


def test_a_new_cluster_without_a_good_list_is_held() -> None:
    held = decision(trust=None, frozen=None, current=False, reason="Invalid", findings=findings(1))
    found = status(seen=NOTHING, decision=held)
    assert found["phase"] == "failed"
    assert condition(found, "Ready") == ("False", "ProvisioningFailed", "Wrong 0. Mend it")
    assert condition(found, "TrustCurrent")[:2] == ("False", "Invalid")


def test_warnings_are_shown() -> None:
    found = status(decision=decision(findings=findings(1, severity=Severity.WARNING)))
    assert condition(found, "TrustValid") == ("True", "Warnings", "Wrong 0. Mend it")


def test_the_time_of_a_condition_is_that_of_its_change() -> None:
    first = status()
    cluster = tkc("running")
    cluster = msgspec.convert(msgspec.to_builtins(cluster) | {"status": first}, TanzuKubernetesCluster)
    assert status(cluster, now=NOW + timedelta(hours=1)) == first


def service(spec: Json, **known: Any) -> TkgServiceConfiguration:
    body = {"metadata": {"generation": 2}, "spec": spec, "status": known}
    return msgspec.convert(body, TkgServiceConfiguration)


def test_the_first_customisation_is_noted_once() -> None:
    stock = service_status(service({"defaultCNI": "antrea"}), Reading(), now=NOW)
    assert "firstCustomizedAt" not in stock["status"]
    first = service_status(service({"defaultCNI": "calico"}), Reading(), now=NOW)
    assert first["status"]["firstCustomizedAt"] == "2026-01-01T00:00:00Z"
    later = service({"defaultCNI": "antrea"}, firstCustomizedAt="2025-01-01T00:00:00Z")
    assert service_status(later, Reading(), now=NOW)["status"]["firstCustomizedAt"] == "2025-01-01T00:00:00Z"


def test_the_service_says_what_is_wrong_with_its_list() -> None:
    reading = read([TrustedCA(name="corp", data="!")])
    body = service_status(service({"defaultCNI": "antrea"}), reading, now=NOW)
    [one] = body["status"]["conditions"]
    assert (one["type"], one["status"], one["reason"]) == ("TrustValid", "False", "Invalid")
    assert "additionalTrustedCAs[0] (corp): data is not base64" in one["message"]
    assert "severity" not in one
