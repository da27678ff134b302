"""An update's progress on each machine, from Trustplane's reports. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.clustertrust import PROVEN, ClusterTrust
from trustplane.clusterapi.machine_facts import is_control_plane
from trustplane.trust.propagation import PropagationRecord

WORKERS: Final = "workers"
CONTROL_PLANE: Final = "control plane"


@dataclass(frozen=True)
class Snapshot:
    """A cluster at one moment.

    Attributes:
        cluster: Records the set in force, and the time of the handled request.
        trust: Reports every node that has not proven the set in force.
        machines: Machines that are not being deleted.
    """

    cluster: Cluster | None = None
    trust: ClusterTrust | None = None
    machines: tuple[Machine, ...] = ()

    def group(self, name: str) -> frozenset[str]:
        """Return the names of the Machines of `WORKERS` or `CONTROL_PLANE`."""
        return frozenset(
            machine.metadata.name for machine in self.machines if is_control_plane(machine) == (name == CONTROL_PLANE)
        )

    @property
    def uids(self) -> frozenset[str]:
        """The uids of the Machines; a replacement has another uid."""
        return frozenset(machine.metadata.uid for machine in self.machines)

    def pending(self, requested_at: datetime, goal: str = PROVEN) -> frozenset[str] | None:
        """Return the names of the Machines that have not reached a state with the requested set.

        Args:
            requested_at: Time of the request.
            goal: PROVEN, or NOT_TRUSTED after the CA of a registry was removed.

        Returns:
            None while the request is unanswered, or the report is about another set or other machines.
        """
        frozen = PropagationRecord.from_annotations(self.cluster.metadata.annotations) if self.cluster else None
        if frozen is None or frozen.handled_at is None or frozen.handled_at < requested_at:
            return None
        if self.trust is None or not self._is_about(self.trust, frozen.digest):
            return None
        states = {node.machine: node.state for node in self.trust.status.nodes}
        names = [machine.metadata.name for machine in self.machines]
        return frozenset(name for name in names if states.get(name, PROVEN) != goal)

    def _is_about(self, trust: ClusterTrust, digest: str) -> bool:
        status = trust.status
        is_same_set = status.in_force is not None and status.in_force.digest == digest
        return is_same_set and status.summary.total == len(self.machines)


@dataclass
class Stopwatch:
    """Measures when each group of machines first reaches the goal.

    Attributes:
        began: Time of the apply of the change, in seconds of a monotonic clock.
        requested_at: Time of the update request, by the wall clock.
        sizes: Number of machines in each group.
        goal: PROVEN or NOT_TRUSTED.
        seconds: Time from `began` until every machine of a group reached the goal, by group.
    """

    began: float
    requested_at: datetime
    sizes: Mapping[str, int]
    goal: str = PROVEN
    seconds: dict[str, float] = field(default_factory=dict)

    def take(self, snapshot: Snapshot, now: float) -> bool:
        """Record the groups that have reached the goal by now; return whether all have."""
        pending = snapshot.pending(self.requested_at, self.goal)
        for name, size in self.sizes.items() if pending is not None else ():
            group = snapshot.group(name)
            if name not in self.seconds and len(group) >= size and not group & (pending or frozenset()):
                self.seconds[name] = now - self.began
        return self.seconds.keys() == self.sizes.keys()


def describe_progress(snapshot: Snapshot, requested_at: datetime, goal: str = PROVEN) -> str:
    """Return the reasons why the goal is not reached, for the error of a wait."""
    pending = snapshot.pending(requested_at, goal)
    if pending is None:
        return "the request is unanswered, or not reported yet"
    nodes = snapshot.trust.status.nodes if snapshot.trust else []
    details = [f"{node.machine} {node.state}: {node.message}" for node in nodes if node.machine in pending]
    return "; ".join(details) or "every machine has reached the goal"
