import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.meta import Json
from trustplane.clusterapi.cluster import desired_cluster, refusal_message, update_digests

EXAMPLES = Path(__file__).parents[3] / "examples"
EXAMPLE: Json = yaml.safe_load((EXAMPLES / "tanzukubernetescluster.yaml").read_text())
EXAMPLE["metadata"]["uid"] = "uid-1"


def tkc(**topology: Any) -> TanzuKubernetesCluster:
    body = copy.deepcopy(EXAMPLE)
    body["spec"]["topology"] |= topology
    return msgspec.convert(body, TanzuKubernetesCluster)


def desired(cluster: TanzuKubernetesCluster | None = None, **changes: Any) -> Json:
    arguments: Json = {
        "kubernetes_version": "v1.36.3",
        "annotations": {"trustplane.dev/trust-digest": "d"},
        "ssh_public_key": "ssh-ed25519 AAAA",
    }
    return desired_cluster(cluster or tkc(), **(arguments | changes))


POOL = {"name": "np", "replicas": 2, "vmClass": "best-effort-small", "storageClass": "default"}


def test_the_example_becomes_a_cluster_of_the_class() -> None:
    assert desired() == {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Cluster",
        "metadata": {
            "name": "cluster-1",
            "namespace": "default",
            "annotations": {"trustplane.dev/trust-digest": "d"},
            "ownerReferences": [
                {
                    "apiVersion": "run.tanzu.vmware.com/v1alpha3",
                    "kind": "TanzuKubernetesCluster",
                    "name": "cluster-1",
                    "uid": "uid-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "clusterNetwork": {
                "services": {"cidrBlocks": ["10.96.0.0/12"]},
                "pods": {"cidrBlocks": ["192.168.0.0/16"]},
                "serviceDomain": "cluster.local",
            },
            "topology": {
                "classRef": {"name": "tanzukubernetescluster", "namespace": "trustplane-system"},
                "version": "v1.36.3",
                "controlPlane": {"replicas": 1},
                "workers": {"machineDeployments": [{"class": "node-pool", "name": "workers", "replicas": 1}]},
                "variables": [
                    {"name": "vmClass", "value": "best-effort-small"},
                    {"name": "storageClass", "value": "default"},
                    {"name": "user", "value": {"sshAuthorizedKey": "ssh-ed25519 AAAA"}},
                ],
            },
        },
    }


def test_trust_is_no_part_of_what_machines_are_made_from() -> None:
    """A change of it must not make Cluster API replace machines: it is in a Secret that bootstrap data is made from."""
    first, second = (desired(annotations={"trustplane.dev/trust-digest": digest}) for digest in "ab")
    assert first["spec"] == second["spec"]
    assert "trust" not in {one["name"] for one in first["spec"]["topology"]["variables"]}


def test_pools_keep_the_strategy_of_their_class() -> None:
    (pool,) = desired(tkc(nodePools=[POOL]))["spec"]["topology"]["workers"]["machineDeployments"]
    assert "rollout" not in pool
    assert "metadata" not in pool


def test_a_cluster_without_pools_has_no_workers() -> None:
    assert "workers" not in desired(tkc(nodePools=[]))["spec"]["topology"]


def test_a_pool_without_replicas_leaves_the_number_to_an_autoscaler() -> None:
    pool = {key: value for key, value in POOL.items() if key != "replicas"}
    [deployment] = desired(tkc(nodePools=[pool]))["spec"]["topology"]["workers"]["machineDeployments"]
    assert "replicas" not in deployment
    [deployment] = desired(tkc(nodePools=[POOL | {"replicas": 0}]))["spec"]["topology"]["workers"]["machineDeployments"]
    assert deployment["replicas"] == 0


def test_a_pool_keeps_what_is_its_own() -> None:
    pool = POOL | {
        "vmClass": "guaranteed-large",
        "labels": {"node.cluster.x-k8s.io/tier": "front"},
        "taints": [{"key": "dedicated", "effect": "NoSchedule"}, {"key": "a", "value": "b", "effect": "NoExecute"}],
        "failureDomain": "zone-1",
        "nodeDrainTimeout": "1m30s",
    }
    [deployment] = desired(tkc(nodePools=[pool]))["spec"]["topology"]["workers"]["machineDeployments"]
    assert deployment == {
        "class": "node-pool",
        "name": "np",
        "replicas": 2,
        "deletion": {"nodeDrainTimeoutSeconds": 90},
        "metadata": {"labels": {"node.cluster.x-k8s.io/tier": "front"}},
        "taints": [
            {"key": "dedicated", "effect": "NoSchedule", "propagation": "Always"},
            {"key": "a", "value": "b", "effect": "NoExecute", "propagation": "Always"},
        ],
        "failureDomain": "zone-1",
        "variables": {"overrides": [{"name": "vmClass", "value": "guaranteed-large"}]},
    }


def test_the_service_s_drain_timeout_holds_where_nothing_else_is_said() -> None:
    pools = [POOL | {"name": "own", "nodeDrainTimeout": "10s"}, POOL | {"name": "none", "nodeDrainTimeout": "0s"}, POOL]
    topology = desired(tkc(nodePools=pools), default_drain_timeout="5m")["spec"]["topology"]
    own, none, default = topology["workers"]["machineDeployments"]
    assert topology["controlPlane"]["deletion"] == {"nodeDrainTimeoutSeconds": 300}
    assert own["deletion"] == {"nodeDrainTimeoutSeconds": 10}
    assert "deletion" not in none
    assert default["deletion"] == {"nodeDrainTimeoutSeconds": 300}


def test_the_network_is_the_owner_s_choice() -> None:
    body = copy.deepcopy(EXAMPLE)
    body["spec"]["settings"] = {
        "network": {"pods": {"cidrBlocks": ["172.16.0.0/16"]}, "services": {"cidrBlocks": []}, "serviceDomain": "corp"}
    }
    network = desired(msgspec.convert(body, TanzuKubernetesCluster))["spec"]["clusterNetwork"]
    assert network == {
        "pods": {"cidrBlocks": ["172.16.0.0/16"]},
        "services": {"cidrBlocks": ["10.96.0.0/12"]},
        "serviceDomain": "corp",
    }


def digests(**topology: Any) -> dict[str, str]:
    return update_digests(tkc(**topology), kubernetes_version="v1.36.3")


CONTROL_PLANE = EXAMPLE["spec"]["topology"]["controlPlane"]
VOLUME = {"name": "data", "mountPath": "/data", "capacity": {"storage": "1Gi"}}


@pytest.mark.parametrize(
    "change",
    [{"vmClass": "x"}, {"storageClass": "x"}, {"volumes": [VOLUME]}, {"failureDomain": "z"}],
    ids=lambda change: str(next(iter(change))),
)
def test_a_pool_s_new_machines_are_an_update_of_that_pool(change: Json) -> None:
    before, after = digests(nodePools=[POOL]), digests(nodePools=[POOL | change])
    assert {part for part in before if before[part] != after[part]} == {"1/pool/np"}


def test_a_version_and_the_control_plane_s_machines_are_updates() -> None:
    before = digests()
    after = update_digests(tkc(), kubernetes_version="v1.36.4")
    assert {part for part in before if before[part] != after[part]} == {"1/version"}
    after = digests(controlPlane=CONTROL_PLANE | {"vmClass": "x"})
    assert {part for part in before if before[part] != after[part]} == {"1/control-plane"}


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5},
        {"labels": {"a": "b"}},
        {"taints": [{"key": "a", "effect": "NoExecute"}]},
        {"nodeDrainTimeout": "1m"},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_what_is_changed_in_place_is_no_update(change: Json) -> None:
    assert digests(nodePools=[POOL | change]) == digests(nodePools=[POOL])


def test_digests_stay_the_same_from_release_to_release() -> None:
    """A change here makes every cluster take the current trust when Trustplane itself is updated: change the format."""
    assert digests() == {
        "1/control-plane": "70595601ad",
        "1/pool/workers": "21f4549115",
        "1/version": "6724963e32",
    }


FORBIDDEN = "taints are not allowed to be set when the feature gate MachineTaintPropagation is disabled"
UNKNOWN = 'failed to create typed patch object: .spec.topology[name="np"].taints: field not declared in schema'


@pytest.mark.parametrize("why", [FORBIDDEN, UNKNOWN])
def test_a_refusal_of_taints_names_the_feature_gate(why: str) -> None:
    tainted = tkc(nodePools=[POOL, POOL | {"name": "x", "taints": [{"key": "dedicated", "effect": "NoSchedule"}]}])
    told = refusal_message(tainted, f"{why}.")
    assert told.startswith(f"Cluster API refuses this cluster. {why}. Taints of node pools need feature gate ")
    assert "EXP_MACHINE_TAINT_PROPAGATION=true" in told
    assert refusal_message(tainted, "the class is unknown") == "Cluster API refuses this cluster. the class is unknown"
    assert refusal_message(tkc(nodePools=[POOL]), why) == f"Cluster API refuses this cluster. {why}"
