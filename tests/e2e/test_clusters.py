"""Clusters of one stack: kills during creation, three control planes, scaling, remediation, bad input, deletion."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from trustplane.local import registry
from trustplane.local.demo import manifests
from trustplane.local.demo.fleet import Fleet
from trustplane.local.demo.kubectl import Kubectl
from trustplane.local.demo.story import Story
from trustplane.local.stack import Stack

Json = dict[str, Any]
POOL = "/spec/topology/nodePools/0/replicas"


@pytest.fixture(scope="module")
def fleet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    story = Story(Console(force_terminal=False))
    supervisor = Kubectl(story, stack.bin / "kubectl", stack.kubeconfig)
    return Fleet(story, supervisor, stack.bin / "kubectl", tmp_path_factory.mktemp("kubeconfigs"))


@pytest.fixture(scope="module")
def wide(stack: Stack, fleet: Fleet) -> Iterator[str]:
    """A cluster of three control plane nodes and one worker, made while every process is killed once."""
    trust(fleet, stack)
    fleet.supervisor.apply(manifests.cluster("wide", release(fleet), control_planes=3), file="wide.yaml")
    for part in running_parts(stack):
        with contextlib.suppress(ProcessLookupError):  # a manager ends by itself when the API server was killed
            os.kill(int(part["pid"]), signal.SIGKILL)
        up(stack)
    fleet.wait_ready("wide")
    fleet.story.until("wide has four machines", lambda: (len(fleet.names("wide")) == 4, ""), seconds=300)
    fleet.story.until("and all are ready", lambda: ready_nodes(fleet, "wide", 4), seconds=300)
    yield "wide"
    fleet.supervisor.run("delete", "tkc", "wide", "--wait=false", "--ignore-not-found")


def trust(fleet: Fleet, stack: Stack) -> None:
    authorities = {one.ca_name: one.ca.read_bytes() for one in registry.registries(stack)}
    fleet.supervisor.apply(manifests.service_configuration(authorities), file="configuration.yaml")


def release(fleet: Fleet) -> str:
    return str(fleet.supervisor.get("tkr")["items"][-1]["metadata"]["name"])


def local(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "-m", "trustplane", "local", *arguments, f"--state={stack.folder}"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up(stack: Stack) -> None:
    local(stack, "up", f"--cache={stack.cache}")


def running_parts(stack: Stack) -> list[Json]:
    status = json.loads(local(stack, "status", "-o", "json"))
    return [part for part in status["parts"] if part["pid"]]


def ready_nodes(fleet: Fleet, cluster: str, wanted: int) -> tuple[bool, str]:
    nodes = fleet.workload(cluster).get("nodes")["items"]
    ready = [
        node["metadata"]["name"]
        for node in nodes
        if any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    ]
    return len(ready) == wanted == len(nodes), f"{len(ready)} of {len(nodes)} nodes are ready, {wanted} are wanted"


def scale(fleet: Fleet, cluster: str, workers: int) -> None:
    patch = json.dumps([{"op": "replace", "path": POOL, "value": workers}])
    fleet.supervisor.run("patch", "tkc", cluster, "--type=json", "-p", patch)
    fleet.story.until(f"{cluster} has {workers} workers", lambda: ready_nodes(fleet, cluster, 3 + workers), seconds=240)


def pulls_everywhere(fleet: Fleet, stack: Stack, cluster: str) -> None:
    """A DaemonSet with the private image runs on every node, control plane too."""
    corp = registry.registries(stack)[0]
    kubectl = fleet.workload(cluster)
    secret = manifests.pull_secret("credentials", corp.host, corp.username, corp.password())
    body = manifests.deployment("everywhere", corp.image, credentials="credentials")
    body["kind"] = "DaemonSet"
    del body["spec"]["replicas"]
    body["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    kubectl.apply(secret, body, file="everywhere.yaml")

    def probe() -> tuple[bool, str]:
        status = kubectl.get("daemonset", "everywhere").get("status", {})
        nodes = len(kubectl.get("nodes")["items"])
        return status.get("numberReady") == nodes == status.get("desiredNumberScheduled"), json.dumps(status)

    fleet.story.until("the private image runs on every node", probe, seconds=120)


def test_a_cluster_becomes_ready_though_every_process_was_killed_once(fleet: Fleet, wide: str) -> None:
    output = fleet.supervisor.run("get", "tkc", wide)
    assert output.split()[:9] == ["NAME", "CONTROL", "PLANE", "WORKER", "TKR", "NAME", "AGE", "READY", "TKR"]


def test_three_control_planes_scaling_and_remediation(stack: Stack, fleet: Fleet, wide: str) -> None:
    scale(fleet, wide, 3)
    pulls_everywhere(fleet, stack, wide)
    fleet.supervisor.apply(health_check(wide), file="machinehealthcheck.yaml")
    victim = next(m for m in fleet.machines(wide) if "cluster.x-k8s.io/control-plane" not in m["metadata"]["labels"])
    name = victim["metadata"]["name"]
    local(stack, "kill", name)
    fleet.story.until(f"{name} was replaced", lambda: replaced(fleet, wide, name), seconds=300)
    pulls_everywhere(fleet, stack, wide)
    scale(fleet, wide, 1)


def replaced(fleet: Fleet, cluster: str, name: str) -> tuple[bool, str]:
    names = fleet.names(cluster)
    ready, seen = ready_nodes(fleet, cluster, 6)
    return name not in names and ready, f"{sorted(names)}; {seen}"


def health_check(cluster: str) -> Json:
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineHealthCheck",
        "metadata": {"name": f"{cluster}-workers", "namespace": "default"},
        "spec": {
            "clusterName": cluster,
            "selector": {"matchLabels": {"topology.cluster.x-k8s.io/deployment-name": "workers"}},
            "checks": {
                "nodeStartupTimeoutSeconds": 600,
                "unhealthyNodeConditions": [{"type": "Ready", "status": "Unknown", "timeoutSeconds": 5}],
            },
        },
    }


def pem(data: bytes) -> str:
    return base64.b64encode(data).decode()


BAD_CONFIGURATIONS: dict[str, tuple[Json, str]] = {
    "no-pem": ({"name": "notes", "data": pem(b"just some text")}, "holds no certificate"),
    "bad-base64": ({"name": "broken", "data": "LS0t*LS0t"}, "base64"),
    "path-escape": ({"name": "../x", "data": "LS0t"}, "name"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_bad_trust_is_refused_or_reported_and_nothing_is_lost(stack: Stack, fleet: Fleet, case: str) -> None:
    entry, words = BAD_CONFIGURATIONS[case]
    trust(fleet, stack)
    before = trust_secrets(fleet)
    good = manifests.service_configuration({one.ca_name: one.ca.read_bytes() for one in registry.registries(stack)})
    good["spec"]["trust"]["additionalTrustedCAs"].append(entry)
    said = refusal_or_condition(fleet, good)
    assert words in said
    assert trust_secrets(fleet) == before


def test_a_duplicate_name_is_refused(stack: Stack, fleet: Fleet) -> None:
    body = manifests.service_configuration({"twice": registry.registries(stack)[0].ca.read_bytes()})
    entries = body["spec"]["trust"]["additionalTrustedCAs"]
    entries.append(dict(entries[0]))
    assert "with one name" in refusal_or_condition(fleet, body)


@pytest.mark.parametrize(
    ("release_name", "control_planes", "words"),
    [("v9.99.9---nobody.1", 1, "v9.99.9---nobody.1"), ("", 2, "1 or 3")],
)
def test_a_bad_cluster_is_refused_or_reported(fleet: Fleet, release_name: str, control_planes: int, words: str) -> None:
    body = manifests.cluster("bad", release_name or release(fleet), control_planes=control_planes)
    try:
        assert words in refusal_or_condition(fleet, body)
        assert not fleet.supervisor.get("machines.cluster.x-k8s.io", "-l", "cluster.x-k8s.io/cluster-name=bad")["items"]
    finally:
        fleet.supervisor.run("delete", "tkc", "bad", "--ignore-not-found")


def refusal_or_condition(fleet: Fleet, body: Json) -> str:
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

    fleet.story.until("the condition says what is wrong", probe, seconds=30)
    return " ".join(messages)


def trust_secrets(fleet: Fleet) -> dict[str, Any]:
    """Return name and content of every trust Secret of the clusters."""
    items = fleet.supervisor.get("secrets", "-l", "cluster.x-k8s.io/cluster-name")["items"]
    return {item["metadata"]["name"]: item["data"] for item in items if "-trust-" in item["metadata"]["name"]}


def test_deleting_a_cluster_removes_everything(stack: Stack, fleet: Fleet) -> None:
    fleet.supervisor.run("delete", "tkc", "wide", "--ignore-not-found", "--timeout=50s", "--wait=false")
    kinds = "tkc,clusters.cluster.x-k8s.io,machines.cluster.x-k8s.io,localmachines,localclusters,kubeadmconfigs,secrets"

    def probe() -> tuple[bool, str]:
        left = fleet.supervisor.get(kinds)["items"]
        return not left, ", ".join(f"{one['kind']}/{one['metadata']['name']}" for one in left)

    fleet.story.until("nothing of the cluster is left", probe, seconds=180)
    status = json.loads(local(stack, "status", "-o", "json"))
    assert not [one for one in status["containers"] if "wide" in one["name"]]
