"""What users notice during a change: pulls that fail, pods that restart, machines that are replaced."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from trustplane.kube.client import Client
from trustplane.kube.tasks import beside
from trustplane_local.bench.fleet import MeasuredCluster
from trustplane_local.bench.pods import PodEffects, Pods
from trustplane_local.bench.progress import WORKERS
from trustplane_local.bench.pulls import PullCounts, Puller
from trustplane_local.bench.reports import Reports
from trustplane_local.registry import PrivateRegistry

COUNTING_SCRIPT: Final = "i=0; while :; do i=$((i+1)); echo $i; /bin/busybox sleep 0.2; done"


@dataclass
class Effects:
    """The effects of one or several changes.

    Attributes:
        pulls: Pulls in a loop on one worker.
        pods: Pods of the whole cluster, and pulls by the kubelets of all workers.
        replaced: Machines that are gone.
    """

    pulls: PullCounts = field(default_factory=PullCounts)
    pods: PodEffects = field(default_factory=PodEffects)
    replaced: int = 0

    @property
    def disturbed_pods(self) -> int:
        """How many pods were restarted or ended."""
        return self.pods.restarts + self.pods.ended


@contextlib.asynccontextmanager
async def apply_load(
    workload: Client, fleet: MeasuredCluster, reports: Reports, registry: PrivateRegistry, app: str
) -> AsyncIterator[Effects]:
    """Pull, and follow pods and machines, within the block; the load is complete after it.

    Args:
        workload: Client of the cluster.
        fleet: The cluster.
        reports: Reports about it.
        registry: One that the nodes trust throughout.
        app: Value of the label `app` of the Deployment to follow, and name of the registry's pull secret.
    """
    puller = Puller(fleet.address, await fleet.private_key(), registry.host)
    pods = Pods(workload, app, registry, lambda: _nodes(reports))
    load, before = Effects(puller.pulls, pods.felt), reports.snapshot.uids
    async with pods.following(), beside(puller.run()):
        yield load
        load.replaced = len(before - reports.snapshot.uids)
        await puller.stop()


def _nodes(reports: Reports) -> frozenset[str]:
    snapshot = reports.snapshot
    workers = snapshot.group(WORKERS)
    nodes = (machine.status.node_ref.name for machine in snapshot.machines if machine.metadata.name in workers)
    return frozenset(node for node in nodes if node)
