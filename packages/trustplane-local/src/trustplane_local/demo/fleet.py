"""The demo's clusters: machines and conditions on the Supervisor, pods and events on the workload clusters."""

import base64
from pathlib import Path
from typing import Any

from trustplane.api.clusterapi import kubeconfig_secret
from trustplane_local.demo.kubectl import ShownKubectl
from trustplane_local.demo.story import Story

Json = dict[str, Any]
READY_SECONDS = 420
ROLL_SECONDS = 600
PULL_SECONDS = 90


class DemoClusters:
    """The clusters of the demo, read from the Supervisor's and their own API servers."""

    def __init__(self, story: Story, supervisor: ShownKubectl, program: Path, folder: Path) -> None:
        self.story = story
        self.supervisor = supervisor
        self._program = program
        self._folder = folder

    def read_condition(self, cluster: str, type_: str) -> tuple[str, str]:
        """Return status and message of a condition of a TanzuKubernetesCluster; both empty if it is not set yet."""
        conditions = self.supervisor.get("tkc", cluster).get("status", {}).get("conditions", [])
        values = (
            (condition["status"], condition.get("message", ""))
            for condition in conditions
            if condition["type"] == type_
        )
        return next(values, ("", ""))

    def list_machines(self, cluster: str) -> list[Json]:
        """Return the Machines of a cluster, oldest first."""
        items = self.supervisor.get("machines.cluster.x-k8s.io", "-l", f"cluster.x-k8s.io/cluster-name={cluster}")[
            "items"
        ]
        return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def machine_names(self, cluster: str) -> set[str]:
        """Return the names of a cluster's Machines."""
        return {str(machine["metadata"]["name"]) for machine in self.list_machines(cluster)}

    def worker_address(self, cluster: str) -> str:
        """Return the address of a cluster's oldest worker."""
        label = "cluster.x-k8s.io/control-plane"
        worker = next(machine for machine in self.list_machines(cluster) if label not in machine["metadata"]["labels"])
        addresses = worker["status"]["addresses"]
        return next(str(address["address"]) for address in addresses if address["type"] == "InternalIP")

    def wait_ready(self, cluster: str) -> None:
        """Wait until the cluster's Ready condition is True."""

        def probe() -> tuple[bool, str]:
            status, message = self.read_condition(cluster, "Ready")
            phases = ", ".join(
                f"{machine['metadata']['name']} {machine.get('status', {}).get('phase', '')}"
                for machine in self.list_machines(cluster)
            )
            return status == "True", f"{message} ({phases})"

        self.story.wait_until(f"cluster {cluster} is Ready", probe, seconds=READY_SECONDS)

    def wait_proven(self, cluster: str) -> None:
        """Wait until the desired set is in force, and every node has proven it."""

        def probe() -> tuple[bool, str]:
            status = self.supervisor.get("clustertrust", cluster).get("status", {})
            by_type = {condition["type"]: condition for condition in status.get("conditions", [])}
            conditions = [by_type.get(type_, {}) for type_ in ("Current", "Proven")]
            are_true = all(condition.get("status") == "True" for condition in conditions)
            messages = (condition.get("message", "") for condition in conditions)
            return are_true and self.read_condition(cluster, "TrustCurrent")[0] == "True", "; ".join(messages)

        self.story.wait_until(f"every node of {cluster} has proven its trust by a pull", probe, seconds=ROLL_SECONDS)

    def open_workload(self, cluster: str) -> ShownKubectl:
        """Return a kubectl for the cluster, with the kubeconfig that Cluster API wrote, unchanged."""
        secret = self.supervisor.get("secret", kubeconfig_secret(cluster))
        file = self._folder / f"{cluster}.kubeconfig"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(secret["data"]["value"]))
        return ShownKubectl(self.story, self._program, file, prompt=f"kubectl --kubeconfig={file.name}")

    def private_key(self, cluster: str) -> str:
        """Return the private key of Secret <cluster>-ssh, for vmware-system-user on its nodes."""
        return base64.b64decode(self.supervisor.get("secret", f"{cluster}-ssh")["data"]["ssh-privatekey"]).decode()


def running_containers(kubectl: ShownKubectl, app: str) -> set[tuple[str, int]]:
    """Return ID and restart count of the app's containers."""
    pods = kubectl.get("pods", "-l", f"app={app}")["items"]
    statuses = [status for pod in pods for status in pod["status"]["containerStatuses"]]
    return {(status["containerID"], status["restartCount"]) for status in statuses}


def wait_failing(story: Story, kubectl: ShownKubectl, app: str, error: str, claim: str) -> None:
    """Wait until an event of the kubelet reports a failed pull with this error; show the pod and the event."""

    def probe() -> tuple[bool, str]:
        messages = [event["message"] for event in failed_pulls(kubectl, app)]
        return any(error in message for message in messages), (messages or ["no event yet"])[-1]

    story.wait_until(claim, probe, seconds=PULL_SECONDS)
    kubectl.show("get", "pods", "-l", f"app={app}")
    story.shell(
        "kubectl get events --field-selector=reason=Failed  # the last message",
        "\n".join(event["message"] for event in failed_pulls(kubectl, app)[-1:]),
    )


def present_pods(kubectl: ShownKubectl, app: str) -> list[Json]:
    """Return the pods of an app that are not being deleted."""
    pods = kubectl.get("pods", "-l", f"app={app}")["items"]
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def failed_pulls(kubectl: ShownKubectl, app: str) -> list[Json]:
    """Return the events about failed pulls of the app's present pods, oldest first."""
    uids = {pod["metadata"]["uid"] for pod in present_pods(kubectl, app)}
    events = kubectl.get("events", "--field-selector=reason=Failed", "--sort-by=.lastTimestamp")["items"]
    return [event for event in events if event["involvedObject"].get("uid") in uids and "pull" in event["message"]]


def wait_running(story: Story, kubectl: ShownKubectl, app: str) -> None:
    """Wait until the app's only pod is ready; show it."""

    def probe() -> tuple[bool, str]:
        pods = present_pods(kubectl, app)
        ready = [status["ready"] for pod in pods for status in pod.get("status", {}).get("containerStatuses", [])]
        return ready == [True], str([pod.get("status", {}).get("phase") for pod in pods])

    story.wait_until(f"the pod of {app} is running", probe, seconds=PULL_SECONDS)
    kubectl.show("get", "pods", "-l", f"app={app}")
