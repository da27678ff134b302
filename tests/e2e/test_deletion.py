"""What is left of a cluster that was deleted: nothing."""

import json

from e2e.clusters import local, scale
from trustplane.local.demo.fleet import Fleet
from trustplane.local.stack import Stack


def test_fewer_workers(fleet: Fleet, wide: str) -> None:
    scale(fleet, wide, 1)


def test_deleting_a_cluster_removes_everything(stack: Stack, fleet: Fleet, wide: str) -> None:
    fleet.supervisor.run("delete", "tkc", wide, "--ignore-not-found", "--timeout=50s", "--wait=false")
    kinds = "tkc,clusters.cluster.x-k8s.io,machines.cluster.x-k8s.io,localmachines,localclusters,kubeadmconfigs,secrets"

    def probe() -> tuple[bool, str]:
        left = fleet.supervisor.get(kinds)["items"]
        return not left, ", ".join(f"{one['kind']}/{one['metadata']['name']}" for one in left)

    fleet.story.until("nothing of the cluster is left", probe, seconds=180)
    status = json.loads(local(stack, "status", "-o", "json"))
    assert not [one for one in status["containers"] if "wide" in one["name"]]
