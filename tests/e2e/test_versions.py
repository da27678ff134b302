"""The life of trust in short, for each version set: `make matrix` runs this file, `make test` does not."""

import json
from typing import Any

import pytest

from e2e.clusters import (
    authorities,
    condition,
    configure,
    local,
    name_of,
    on_node,
    ready_nodes,
    release,
    trust_status,
    trustplane,
    update,
    workers,
)
from trustplane_local import registry, versions
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters, wait_running
from trustplane_local.stack import Stack

Json = dict[str, Any]
NAME = "matrix"
WORKERS = 2
LABEL = {"node-restriction.kubernetes.io/use": "batch"}  # Cluster API copies this prefix to nodes by default
TAINT = {"key": "pool.example.com/use", "value": "batch", "effect": "PreferNoSchedule"}
TRUSTED = "cd /etc/ssl/certs && ls tkg-*.pem"


@pytest.fixture(scope="module")
def cluster(stack: Stack, fleet: DemoClusters) -> str:
    """A cluster whose pool uses features that differ between versions; it trusts one of two registries."""
    corp, apps = registry.registries_of(stack)
    fleet.supervisor.apply(manifests.registry_manifest(corp.host), file="registry.yaml")
    configure(fleet, {corp.ca_name: corp.ca.read_bytes()})
    body = manifests.cluster_manifest(NAME, release(fleet), workers=WORKERS)
    body["spec"]["topology"]["nodePools"][0] |= {"labels": LABEL, "taints": [TAINT], "nodeDrainTimeout": "5m"}
    fleet.supervisor.apply(body, file="cluster.yaml")
    fleet.wait_ready(NAME)
    fleet.story.wait_until("all nodes are ready", lambda: ready_nodes(fleet, NAME, 1 + WORKERS), seconds=300)
    assert apps.ca_name not in trusted(fleet)
    return NAME


def trusted(fleet: DemoClusters) -> str:
    """Return the names of the trust files, which must be the same on every machine."""
    (found,) = {on_node(fleet, NAME, machine, TRUSTED) for machine in fleet.list_machines(NAME)}
    return found


def test_a_cluster_of_these_versions_boots_with_trust(stack: Stack, fleet: DemoClusters, cluster: str) -> None:
    corp = registry.registries_of(stack)[0]
    wanted = versions.choose_versions(stack.versions)
    for node in fleet.open_workload(cluster).get("nodes")["items"]:
        runs = node["status"]["nodeInfo"]
        assert (runs["kubeletVersion"], runs["containerRuntimeVersion"]) == (
            wanted.kubernetes,
            f"containerd://{wanted.containerd.removeprefix('v')}",
        )
    assert f"Version: {wanted.cluster_api} " in (stack.folder / "processes" / "capi-core.log").read_text()
    assert trusted(fleet).split() == [f"tkg-{corp.ca_name}.pem"]
    fleet.wait_proven(cluster)


def test_labels_and_taints_of_a_pool_reach_its_nodes(fleet: DemoClusters, cluster: str) -> None:
    names = {name_of(worker) for worker in workers(fleet, cluster)}

    def probe() -> tuple[bool, str]:
        nodes = [
            item for item in fleet.open_workload(cluster).get("nodes")["items"] if item["metadata"]["name"] in names
        ]
        taints = [one for node in nodes for one in node["spec"].get("taints", []) if one["key"] == TAINT["key"]]
        labels = [node["metadata"]["labels"].get(key) for node in nodes for key in LABEL]
        return taints == [TAINT] * WORKERS and labels == [*LABEL.values()] * WORKERS, f"{labels} {taints}"

    fleet.story.wait_until("labels and taints are on the workers", probe, seconds=60)


def test_a_ca_is_added_in_place_and_proven_by_every_node(stack: Stack, fleet: DemoClusters, cluster: str) -> None:
    apps, machines = registry.registries_of(stack)[1], fleet.machine_names(cluster)
    fleet.supervisor.apply(manifests.registry_manifest(apps.host), file="registry.yaml")
    configure(fleet, authorities(stack))
    assert "Proven" in update(stack, cluster)
    assert fleet.machine_names(cluster) == machines
    assert trusted(fleet).split() == [f"tkg-{name}.pem" for name in sorted(authorities(stack))]
    secret = manifests.pull_secret("cart", apps.host, apps.username, apps.password())
    kubectl = fleet.open_workload(cluster)
    kubectl.apply(secret, manifests.deployment_manifest("cart", apps.image, credentials="cart"), file="cart.yaml")
    wait_running(fleet.story, kubectl, "cart")


def test_the_strategy_replace_replaces_every_worker(stack: Stack, fleet: DemoClusters, cluster: str) -> None:
    corp, apps = registry.registries_of(stack)
    before = {name_of(worker) for worker in workers(fleet, cluster)}
    fleet.supervisor.run(
        "delete", "registries.trustplane.dev", manifests.registry_manifest(apps.host)["metadata"]["name"]
    )
    fleet.supervisor.run("annotate", "tkc", cluster, "trustplane.dev/update-strategy=Replace")
    configure(fleet, {corp.ca_name: corp.ca.read_bytes()})
    assert "Proven" in update(stack, cluster)
    fleet.story.wait_until("old machines are gone", lambda: ready_nodes(fleet, cluster, 1 + WORKERS), seconds=300)
    assert before.isdisjoint(fleet.machine_names(cluster))
    assert trusted(fleet).split() == [f"tkg-{corp.ca_name}.pem"]


def test_all_conditions_are_good(stack: Stack, fleet: DemoClusters, cluster: str) -> None:
    process = trustplane(stack, "status", cluster)
    assert process.returncode == 0, process.stdout + process.stderr
    fleet.wait_ready(cluster)
    assert condition(trust_status(fleet, cluster), "Proven")["status"] == "True"
    assert json.loads(local(stack, "status", "-o", "json"))["versions"] == stack.versions
