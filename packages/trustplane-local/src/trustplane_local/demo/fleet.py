"""What the story looks at: machines and conditions on the Supervisor, pods and events on a workload cluster."""

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
    """The clusters of the story, seen through the Supervisor's and their own API servers."""

    def __init__(self, story: Story, supervisor: ShownKubectl, program: Path, folder: Path) -> None:
        self.story = story
        self.supervisor = supervisor
        self._program = program
        self._folder = folder

    def condition(self, cluster: str, type_: str) -> tuple[str, str]:
        """Return status and message of a condition of a TanzuKubernetesCluster; empty where it is not there yet."""
        conditions = self.supervisor.get("tkc", cluster).get("status", {}).get("conditions", [])
        return next(((one["status"], one.get("message", "")) for one in conditions if one["type"] == type_), ("", ""))

    def machines(self, cluster: str) -> list[Json]:
        """Return the Machines of a cluster, oldest first."""
        items = self.supervisor.get("machines.cluster.x-k8s.io", "-l", f"cluster.x-k8s.io/cluster-name={cluster}")[
            "items"
        ]
        return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def names(self, cluster: str) -> set[str]:
        """Return the names of a cluster's Machines."""
        return {str(machine["metadata"]["name"]) for machine in self.machines(cluster)}

    def worker_address(self, cluster: str) -> str:
        """Return the address of a cluster's oldest worker."""
        label = "cluster.x-k8s.io/control-plane"
        worker = next(one for one in self.machines(cluster) if label not in one["metadata"]["labels"])
        return next(str(one["address"]) for one in worker["status"]["addresses"] if one["type"] == "InternalIP")

    def wait_ready(self, cluster: str) -> None:
        """Wait until the cluster's Ready condition is True."""

        def probe() -> tuple[bool, str]:
            status, message = self.condition(cluster, "Ready")
            phases = ", ".join(
                f"{m['metadata']['name']} {m.get('status', {}).get('phase', '')}" for m in self.machines(cluster)
            )
            return status == "True", f"{message} ({phases})"

        self.story.until(f"cluster {cluster} is Ready", probe, seconds=READY_SECONDS)

    def wait_proven(self, cluster: str) -> None:
        """Wait until the cluster has what its lists ask for, and every node has proven it."""

        def probe() -> tuple[bool, str]:
            status = self.supervisor.get("clustertrust", cluster).get("status", {})
            found = {one["type"]: one for one in status.get("conditions", [])}
            is_good = [found.get(one, {}).get("status") for one in ("Current", "Proven")] == ["True", "True"]
            messages = (found.get(one, {}).get("message", "") for one in ("Current", "Proven"))
            return is_good and self.condition(cluster, "TrustCurrent")[0] == "True", "; ".join(messages)

        self.story.until(f"every node of {cluster} has proven its trust by a pull", probe, seconds=ROLL_SECONDS)

    def workload(self, cluster: str) -> ShownKubectl:
        """Return a kubectl for the cluster, with the kubeconfig as Cluster API makes it, nothing added."""
        secret = self.supervisor.get("secret", kubeconfig_secret(cluster))
        file = self._folder / f"{cluster}.kubeconfig"
        file.touch(mode=0o600)
        file.write_bytes(base64.b64decode(secret["data"]["value"]))
        return ShownKubectl(self.story, self._program, file, prompt=f"kubectl --kubeconfig={file.name}")

    def private_key(self, cluster: str) -> str:
        """Return the private key of Secret <cluster>-ssh, for vmware-system-user on its nodes."""
        return base64.b64decode(self.supervisor.get("secret", f"{cluster}-ssh")["data"]["ssh-privatekey"]).decode()


def running_containers(kubectl: ShownKubectl, app: str) -> set[tuple[str, int]]:
    """Return the identity and the number of restarts of the app's containers."""
    pods = kubectl.get("pods", "-l", f"app={app}")["items"]
    return {(one["containerID"], one["restartCount"]) for pod in pods for one in pod["status"]["containerStatuses"]}


def wait_failing(story: Story, kubectl: ShownKubectl, app: str, words: str, claim: str) -> None:
    """Wait until the pod waits for its image and an event of the kubelet holds these words; show both."""

    def probe() -> tuple[bool, str]:
        messages = [event["message"] for event in failed_pulls(kubectl, app)]
        return any(words in message for message in messages), (messages or ["no event yet"])[-1]

    story.until(claim, probe, seconds=PULL_SECONDS)
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
    """Return the Failed events of the app's present pods that tell of a pull, oldest first."""
    uids = {pod["metadata"]["uid"] for pod in present_pods(kubectl, app)}
    events = kubectl.get("events", "--field-selector=reason=Failed", "--sort-by=.lastTimestamp")["items"]
    return [one for one in events if one["involvedObject"].get("uid") in uids and "pull" in one["message"]]


def wait_running(story: Story, kubectl: ShownKubectl, app: str) -> None:
    """Wait until the app's pod runs; show it."""

    def probe() -> tuple[bool, str]:
        pods = present_pods(kubectl, app)
        ready = [status["ready"] for pod in pods for status in pod.get("status", {}).get("containerStatuses", [])]
        return ready == [True], str([pod.get("status", {}).get("phase") for pod in pods])

    story.until(f"the pod of {app} runs", probe, seconds=PULL_SECONDS)
    kubectl.show("get", "pods", "-l", f"app={app}")
