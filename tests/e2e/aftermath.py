"""The state of a stack when a test failed: conditions, counts and marks of the objects, and the ends of logs."""

import json
import subprocess
from typing import Any

from trustplane_local.stack import Stack

Json = dict[str, Any]
_KINDS = (
    "tanzukubernetesclusters.run.tanzu.vmware.com",
    "clusters.cluster.x-k8s.io",
    "kubeadmcontrolplanes.controlplane.cluster.x-k8s.io",
    "machinedeployments.cluster.x-k8s.io",
    "machinesets.cluster.x-k8s.io",
    "machines.cluster.x-k8s.io",
    "clustertrusts.trustplane.dev",
)
_LOGS = ("manager", "webhook", "capi-core", "capi-control-plane")
_COUNTS = ("replicas", "upToDateReplicas", "availableReplicas", "observedGeneration")
_LINES, _WIDTH = 15, 300


def described(stack: Stack) -> str:
    """Return facts that explain a failure, without content of Secrets."""
    return "\n".join([*(line for kind in _KINDS for line in _objects(stack, kind)), *_ends_of_logs(stack)])


def _objects(stack: Stack, kind: str) -> list[str]:
    command = [str(stack.bin / "kubectl"), f"--kubeconfig={stack.kubeconfig}", "--request-timeout=10s"]
    try:
        process = subprocess.run(
            [*command, "get", kind, "-A", "-o", "json"], capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"{kind}: kubectl does not end"]
    if process.returncode:
        return [f"{kind}: {process.stderr.strip()}"]
    return [line for item in json.loads(process.stdout)["items"] for line in _object(kind.partition(".")[0], item)]


def _object(kind: str, found: Json) -> list[str]:
    metadata, status = found["metadata"], found.get("status") or {}
    counts = {name: status[name] for name in _COUNTS if name in status}
    overrides = (found.get("spec") or {}).get("topology", {}).get("controlPlane", {}).get("variables")
    marks = {
        key: text[:_WIDTH] for key, text in (metadata.get("annotations") or {}).items() if "last-applied" not in key
    }
    head = f"{kind} {metadata['name']} generation {metadata.get('generation')} {counts} overrides {overrides} {marks}"
    conditions = [condition for condition in status.get("conditions") or [] if condition.get("message")]
    return [
        head,
        *(
            f"    {condition['type']}={condition['status']} {condition['reason']}: {condition['message'][:_WIDTH]}"
            for condition in conditions
        ),
    ]


def _ends_of_logs(stack: Stack) -> list[str]:
    lines = []
    for part in _LOGS:
        file = stack.folder / "processes" / f"{part}.log"
        lines += [f"--- {part}", *(file.read_text(errors="replace").splitlines()[-_LINES:] if file.exists() else [])]
    return [line[: 2 * _WIDTH] for line in lines]
