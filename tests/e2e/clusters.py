"""What the end-to-end tests do with clusters, as a person would: kubectl, `trustplane`, SSH."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from trustplane.nodes import ssh
from trustplane_local import registry
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

Json = dict[str, Any]
Run = subprocess.CompletedProcess[str]

CONTROL_PLANES = 3
WORKERS = 3
SECONDS = 600
PATIENTLY = ("--timeout", "400")  # for `trustplane update`
_POOL = "/spec/topology/nodePools/0/replicas"
_CONTROL_PLANE_LABEL = "cluster.x-k8s.io/control-plane"


def local(stack: Stack, *arguments: str) -> str:
    """Run `trustplane local COMMAND ...`."""
    done = _run("local", *arguments, f"--state={stack.folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up(stack: Stack) -> None:
    """Start what does not run."""
    local(stack, "up", f"--cache={stack.cache}")


def trustplane(stack: Stack, command: str, *arguments: str) -> Run:
    """Run one of our commands against the Supervisor."""
    return _run(command, f"--kubeconfig={stack.kubeconfig}", *arguments)


def _run(*arguments: str) -> Run:
    command = [sys.executable, "-m", "trustplane", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=SECONDS, check=False)


def update(stack: Stack, cluster: str) -> str:
    """Have a cluster take the current trust; return what the command printed."""
    done = trustplane(stack, "update", cluster, *PATIENTLY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def running_parts(stack: Stack) -> list[Json]:
    """Return name and pid of every process of the stack."""
    status = json.loads(local(stack, "status", "-o", "json"))
    return [part for part in status["parts"] if part["pid"]]


def release(fleet: DemoClusters) -> str:
    """Return the name of the release to ask for."""
    return str(fleet.supervisor.get("tkr")["items"][-1]["metadata"]["name"])


def authorities(stack: Stack) -> dict[str, bytes]:
    """Return the CAs of both registries by name."""
    return {one.ca_name: one.ca.read_bytes() for one in registry.registries_of(stack)}


def scoped(stack: Stack) -> dict[str, str]:
    """Return the annotation by which the second registry's CA is trusted for that registry only."""
    apps = registry.registries_of(stack)[1]
    return {"trustplane.dev/registry-scope": f"{apps.ca_name}={apps.host}"}


def configure(fleet: DemoClusters, trusted: Mapping[str, bytes], **annotations: str) -> str:
    """Apply the service's configuration; server-side, since a long list does not fit into kubectl's annotation.

    Returns:
        What kubectl said.
    """
    body = manifests.configuration_manifest(trusted)
    body["metadata"]["annotations"] = annotations
    return fleet.supervisor.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))


def make(fleet: DemoClusters, name: str, *, control_planes: int, workers: int) -> None:
    """Ask for a cluster; one that is there already stays."""
    body = manifests.cluster_manifest(name, release(fleet), control_planes=control_planes, workers=workers)
    fleet.supervisor.apply(body, file=f"{name}.yaml")


def scale(fleet: DemoClusters, cluster: str, workers: int) -> None:
    """Have so many workers, and wait for them."""
    patch = json.dumps([{"op": "replace", "path": _POOL, "value": workers}])
    fleet.supervisor.run("patch", "tkc", cluster, "--type=json", "-p", patch)
    wanted = CONTROL_PLANES + workers
    fleet.story.until(f"{cluster} has {workers} workers", lambda: ready_nodes(fleet, cluster, wanted), seconds=240)


def ready_nodes(fleet: DemoClusters, cluster: str, wanted: int) -> tuple[bool, str]:
    """Tell whether exactly so many nodes are there, all ready."""
    nodes = fleet.workload(cluster).get("nodes")["items"]
    ready = [
        node["metadata"]["name"]
        for node in nodes
        if any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    ]
    return len(ready) == wanted == len(nodes), f"{len(ready)} of {len(nodes)} nodes are ready, {wanted} are wanted"


def workers(fleet: DemoClusters, cluster: str) -> list[Json]:
    """Return the Machines of the node pools, oldest first."""
    return [one for one in fleet.machines(cluster) if _CONTROL_PLANE_LABEL not in one["metadata"]["labels"]]


def name_of(machine: Json) -> str:
    """Return a Machine's name."""
    return str(machine["metadata"]["name"])


def pulls_everywhere(fleet: DemoClusters, stack: Stack, cluster: str) -> None:
    """A DaemonSet with an image of each private registry runs on every node, control plane too."""
    kubectl = fleet.workload(cluster)
    for one in registry.registries_of(stack):
        secret = manifests.pull_secret(one.name, one.host, one.username, one.password())
        body = manifests.deployment_manifest(one.name, one.image, credentials=one.name)
        body["kind"] = "DaemonSet"
        del body["spec"]["replicas"]
        body["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
        kubectl.apply(secret, body, file="everywhere.yaml")

    def probe() -> tuple[bool, str]:
        found = [kubectl.get("daemonset", one.name).get("status", {}) for one in registry.registries_of(stack)]
        nodes = len(kubectl.get("nodes")["items"])
        numbers = {one.get(key) for one in found for key in ("numberReady", "desiredNumberScheduled")}
        return numbers == {nodes}, json.dumps(found)

    fleet.story.until("private images run on every node", probe, seconds=120)


def trust_status(fleet: DemoClusters, cluster: str) -> Json:
    """Return the status of a ClusterTrust."""
    found: Json = fleet.supervisor.get("clustertrust", cluster).get("status", {})
    return found


def condition(status: Json, type_: str) -> Json:
    """Return a condition of a status; empty where it is not there yet."""
    return next((one for one in status.get("conditions", []) if one["type"] == type_), {})


def request_update(fleet: DemoClusters, cluster: str, at: str) -> None:
    """Have a cluster take the current trust, without waiting."""
    annotation = f"trustplane.dev/update-requested-at={at}"
    fleet.supervisor.run("annotate", "tkc", cluster, "--overwrite", annotation)


def on_node(fleet: DemoClusters, cluster: str, machine: Json, command: str) -> str:
    """Return what a command printed on a node, as root; it must succeed."""
    address = next(one["address"] for one in machine["status"]["addresses"] if one["type"] == "InternalIP")
    done = asyncio.run(_over_ssh(address, fleet.private_key(cluster), command))
    assert done.exit_status == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


async def _over_ssh(address: str, key: str, command: str) -> ssh.CommandOutput:
    async with ssh.connect(address, key) as node:
        return await node.run("sudo -n sh -s", stdin=command, timeout=60)


def encoded(data: bytes) -> str:
    """Return base64, as `data` of an entry holds it."""
    return base64.b64encode(data).decode()
