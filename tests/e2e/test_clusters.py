"""Clusters of one stack: kills during creation, three control planes, remediation, bad input, deletion."""

import json
from typing import Any

import pytest

from e2e.clusters import (
    Json,
    authorities,
    configure,
    encoded,
    local,
    name_of,
    on_node,
    pulls_everywhere,
    ready_nodes,
    release,
    scale,
    trustplane,
    update,
    workers,
)
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

TRUSTED = "ls /etc/ssl/certs/tkg-*.pem"
WORKERS = {"topology.cluster.x-k8s.io/deployment-name": "workers"}
CONTROL_PLANE = {"cluster.x-k8s.io/control-plane": ""}
REPLACING_SECONDS = 590  # below the limit of a command in these tests


def test_a_cluster_becomes_ready_although_every_process_was_killed_once(fleet: DemoClusters, wide: str) -> None:
    output = fleet.supervisor.run("get", "tkc", wide)
    assert output.split()[:9] == ["NAME", "CONTROL", "PLANE", "WORKER", "TKR", "NAME", "AGE", "READY", "TKR"]


def test_three_control_planes_scaling_and_remediation(stack: Stack, fleet: DemoClusters, wide: str) -> None:
    scale(fleet, wide, 2)
    pulls_everywhere(fleet, stack, wide)
    fleet.supervisor.apply(health_check(wide, "workers", WORKERS, seconds=5), file="machinehealthcheck.yaml")
    name = name_of(workers(fleet, wide)[0])
    local(stack, "kill", name)
    fleet.story.wait_until(f"{name} was replaced", lambda: replaced(fleet, wide, name, 5), seconds=300)
    pulls_everywhere(fleet, stack, wide)
    fleet.supervisor.run("delete", "machinehealthcheck", f"{wide}-workers")


def test_three_control_planes_take_trust_in_place(stack: Stack, fleet: DemoClusters, wide: str) -> None:
    machines = fleet.machine_names(wide)
    configure(fleet, authorities(stack))
    update(stack, wide)
    assert fleet.machine_names(wide) == machines
    for machine in fleet.list_machines(wide):
        listed = on_node(fleet, wide, machine, TRUSTED)
        assert listed.split() == [f"/etc/ssl/certs/tkg-{name}.pem" for name in sorted(authorities(stack))]


def test_unreachable_machines_are_replaced_on_request(stack: Stack, fleet: DemoClusters, wide: str) -> None:
    """Turn off a worker, and a control plane node that its MachineHealthCheck would leave alone for an hour."""
    body = health_check(wide, "remediation", CONTROL_PLANE, seconds=3600)
    fleet.supervisor.apply(body, file="machinehealthcheck.yaml")
    before, pool = fleet.machine_names(wide), {name_of(machine) for machine in workers(fleet, wide)}
    off = {min(pool), min(before - pool)}
    for name in off:
        local(stack, "kill", name)
    corp = registry.registries_of(stack)[0]
    configure(fleet, {corp.ca_name: corp.ca.read_bytes()})
    process = trustplane(stack, "update", wide, "--replace-unreachable", f"--timeout={REPLACING_SECONDS}")
    assert process.returncode == 0, process.stdout + process.stderr
    # The update ends when all machines that stay have the set; a node of the others may be ready for a while.
    for name in sorted(off):
        fleet.story.wait_until(
            f"{name} is replaced", lambda name=name: replaced(fleet, wide, name, len(before)), seconds=REPLACING_SECONDS
        )
    assert before - fleet.machine_names(wide) == off
    listed = {on_node(fleet, wide, machine, TRUSTED) for machine in fleet.list_machines(wide)}
    assert listed == {f"/etc/ssl/certs/tkg-{corp.ca_name}.pem\n"}
    events = fleet.supervisor.get("events.events.k8s.io")["items"]
    notes = [event["note"] for event in events if event["reason"] == "TrustReplacing"]
    assert {name: sum(name in note for note in notes) for name in off} == dict.fromkeys(off, 1)
    fleet.supervisor.run("delete", "machinehealthcheck", f"{wide}-remediation")


def replaced(fleet: DemoClusters, cluster: str, name: str, nodes: int) -> tuple[bool, str]:
    names = fleet.machine_names(cluster)
    ready, seen = ready_nodes(fleet, cluster, nodes)
    return name not in names and ready, f"{sorted(names)}; {seen}"


def health_check(cluster: str, name: str, labels: Json, *, seconds: int) -> Json:
    """Return a MachineHealthCheck for machines whose kubelet has not reported for this time."""
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineHealthCheck",
        "metadata": {"name": f"{cluster}-{name}", "namespace": "default"},
        "spec": {
            "clusterName": cluster,
            "selector": {"matchLabels": labels},
            "checks": {
                "nodeStartupTimeoutSeconds": 600,
                "unhealthyNodeConditions": [{"type": "Ready", "status": "Unknown", "timeoutSeconds": seconds}],
            },
        },
    }


BAD_CONFIGURATIONS: dict[str, tuple[Json, str]] = {
    "no-pem": ({"name": "notes", "data": encoded(b"just some text")}, "holds no certificate"),
    "bad-base64": ({"name": "broken", "data": "LS0t*LS0t"}, "base64"),
    "path-escape": ({"name": "../x", "data": "LS0t"}, "name"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_bad_trust_is_refused_or_reported_and_removes_nothing(stack: Stack, fleet: DemoClusters, case: str) -> None:
    entry, words = BAD_CONFIGURATIONS[case]
    configure(fleet, authorities(stack))
    before = trust_secrets(fleet)
    good = manifests.configuration_manifest(authorities(stack))
    good["spec"]["trust"]["additionalTrustedCAs"].append(entry)
    said = refusal_or_condition(fleet, good)
    assert words in said
    assert trust_secrets(fleet) == before


def test_a_duplicate_name_is_refused(stack: Stack, fleet: DemoClusters) -> None:
    body = manifests.configuration_manifest({"twice": registry.registries_of(stack)[0].ca.read_bytes()})
    entries = body["spec"]["trust"]["additionalTrustedCAs"]
    entries.append(dict(entries[0]))
    assert "with one name" in refusal_or_condition(fleet, body)


@pytest.mark.parametrize(
    ("release_name", "control_planes", "words"),
    [("v9.99.9---nobody.1", 1, "v9.99.9---nobody.1"), ("", 2, "1 or 3")],
)
def test_a_bad_cluster_is_refused_or_reported(
    fleet: DemoClusters, release_name: str, control_planes: int, words: str
) -> None:
    body = manifests.cluster_manifest("bad", release_name or release(fleet), control_planes=control_planes)
    try:
        assert words in refusal_or_condition(fleet, body)
        assert not fleet.supervisor.get("machines.cluster.x-k8s.io", "-l", "cluster.x-k8s.io/cluster-name=bad")["items"]
    finally:
        fleet.supervisor.run("delete", "tkc", "bad", "--ignore-not-found")


def refusal_or_condition(fleet: DemoClusters, body: Json) -> str:
    """Apply and return kubectl's refusal, or the message of the first False condition about this generation."""
    try:
        fleet.supervisor.apply(body, file="bad.yaml")
    except Exception as refusal:  # noqa: BLE001 - whatever kubectl says is what the user sees
        return str(refusal)
    messages: list[str] = []

    def probe() -> tuple[bool, str]:
        found = fleet.supervisor.get(body["kind"], body["metadata"]["name"])
        generation = found["metadata"]["generation"]
        messages[:] = [
            one["message"]
            for one in found.get("status", {}).get("conditions", [])
            if one["status"] == "False" and one.get("observedGeneration", generation) == generation and one["message"]
        ]
        return bool(messages), str(found.get("status"))

    fleet.story.wait_until("the condition says what is wrong", probe, seconds=30)
    return " ".join(messages)


def trust_secrets(fleet: DemoClusters) -> dict[str, Any]:
    """Return name and content of every trust Secret of cluster wide."""
    items = fleet.supervisor.get("secrets", "-l", "trustplane.dev/cluster=wide")["items"]
    return {item["metadata"]["name"]: item["data"] for item in items if "-trust-" in item["metadata"]["name"]}


def test_fewer_workers(fleet: DemoClusters, wide: str) -> None:
    scale(fleet, wide, 1)


def test_deleting_a_cluster_removes_everything(stack: Stack, fleet: DemoClusters, wide: str) -> None:
    fleet.supervisor.run("delete", "tkc", wide, "--timeout=50s", "--wait=false")
    kinds = "tkc,clusters.cluster.x-k8s.io,machines.cluster.x-k8s.io,localmachines,localclusters,kubeadmconfigs,secrets"

    def probe() -> tuple[bool, str]:
        items = fleet.supervisor.get(kinds)["items"]
        left = [item for item in items if item["metadata"]["name"].split("-")[0] == wide]
        return not left, ", ".join(f"{one['kind']}/{one['metadata']['name']}" for one in left)

    fleet.story.wait_until("nothing of the cluster is left", probe, seconds=180)
    status = json.loads(local(stack, "status", "-o", "json"))
    assert not [container for container in status["containers"] if "wide" in container["name"]]
