"""Input of a rollout's plan: a cluster's machines, its boot set and its records. Plain data, pure.

Digests identify sets. A plan keeps no state for the next one: after a crash, a process finds everything on the nodes
and in the observed objects.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

WRITE_IN_PLACE: Final = "InPlace"  # the manager writes to running nodes
REPLACE_MACHINES: Final = "Replace"  # Cluster API creates new machines
MAX_PARALLEL_WRITES: Final = 10  # nodes of one cluster written at the same time


@dataclass(frozen=True)
class Canary:
    """The node that is written alone; the Cluster has a record of it before the write starts.

    It is the first node of a rollout, and later each node of the control plane in turn. After a crash, the next process
    finishes the recorded node before it starts another one.
    """

    machine: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class RolloutNode:
    """A Machine and its node.

    Attributes:
        name: Of the Machine.
        group: Its pool; empty for the control plane, and for a worker without a pool.
        control_plane: Whether it belongs to the control plane.
        booted: Set in its bootstrap data; None if unknown.
        has: Set on the node, loaded by its runtime, at the last successful inspection or write; None without one, or
            if unclear.
        drifted: Whether files of that set were changed or removed since.
        proven: Set that its kubelet last proved by a pull, after its last change; None without one.
        refused: Set with which it definitely refused a registry, after its last change; None without one. If a set
            only removes entries, the caller may omit it: a node may then refuse a registry correctly.
        unverifiable: Whether its pulls cannot prove trust at all.
        reachable: Whether it answered the last request; true before the first one. An unreachable node is not
            written: the caller tries to reach it again.
        failing: Why the last write or inspection failed although the node answered; empty if it did not fail.
        resting: Whether it failed and waits for the next attempt.
        writing: Whether a write is in progress.
        busy: Whether another tool updates it in place; the rollout does not touch it.
        leaving: Whether Cluster API will replace it: it is older than `rollout.after` of its group.
        joined: Whether its Node exists.
        stuck: Whether it should have joined by now.
        replaceable: Whether a controller creates a successor: a MachineSet or, for the control plane, the remediation
            of a MachineHealthCheck that selects it.
        marked: Whether it is marked for that remediation.
    """

    name: str
    group: str = ""
    control_plane: bool = False
    booted: str | None = None
    has: str | None = None
    drifted: bool = False
    proven: str | None = None
    refused: str | None = None
    unverifiable: bool = False
    reachable: bool = True
    failing: str = ""
    resting: bool = False
    writing: bool = False
    busy: bool = False
    leaving: bool = False
    joined: bool = True
    stuck: bool = False
    replaceable: bool = False
    marked: bool = False

    @property
    def holds(self) -> str | None:
        """The set on the node: the observed one, else the one it booted with; None if unknown."""
        return self.booted if self.has is None else self.has

    @property
    def takes_part(self) -> bool:
        """Whether the rollout can write to it and wait for it."""
        return self.joined and self.reachable and not self.busy

    @property
    def is_written(self) -> bool:
        """Whether its write counts against the limit; a write to an unreachable node does not."""
        return self.writing and self.reachable


@dataclass(frozen=True, kw_only=True)
class RolloutInput:
    """A cluster.

    Attributes:
        wanted: The set in force.
        boot: The boot set, in Secret `<cluster>-trust`; None without that Secret.
        edited: Whether the content of that Secret differs from its set.
        last_proven: Set that a node of the cluster proved last, as recorded on the Cluster; None without one.
        nodes: Its machines, without those being deleted.
        deleting: Whether machines are being deleted.
        paused: Whether it is paused.
        strategy: IN_PLACE or REPLACE.
        can_write: Whether its nodes can be written; without an SSH key, machines are replaced.
        canary: The last recorded canary, perhaps for another set.
        provable: Whether a Registry exists for proofs.
        limit: Maximum of its nodes written at the same time.
        allowance: Number of writes that may start now, by the limit of the whole fleet.
        replace_unreachable: Whether the user asked to replace unreachable nodes.
        repair: Whether to write drifted nodes again.
    """

    wanted: str
    boot: str | None = None
    edited: bool = False
    last_proven: str | None = None
    nodes: tuple[RolloutNode, ...] = field(default=())
    deleting: bool = False
    paused: bool = False
    strategy: str = WRITE_IN_PLACE
    can_write: bool = True
    canary: Canary | None = None
    provable: bool = True
    limit: int = MAX_PARALLEL_WRITES
    allowance: int = MAX_PARALLEL_WRITES
    replace_unreachable: bool = False
    repair: bool = False

    @property
    def replaces(self) -> bool:
        """Whether machines are replaced, by policy or because no SSH key exists."""
        return self.strategy == REPLACE_MACHINES or not self.can_write

    @property
    def is_boot_set(self) -> bool:
        """Whether new machines boot with the set in force."""
        return self.boot == self.wanted and not self.edited

    @cached_property
    def refusers(self) -> tuple[RolloutNode, ...]:
        """Nodes that have the set in force without drift, and refuse a registry."""
        return tuple(node for node in self.nodes if self.has_wanted(node) and node.refused == self.wanted)

    @cached_property
    def is_proven(self) -> bool:
        """Whether a node of this cluster has proven the set in force."""
        return self.last_proven == self.wanted or any(self.proves(node) for node in self.nodes)

    @cached_property
    def can_be_proven(self) -> bool:
        """Whether a node can prove a set now, or after another tool has updated it."""
        return any(node.joined and node.reachable and self.is_asked(node) for node in self.nodes)

    @property
    def room(self) -> int:
        """Number of writes that may start."""
        return max(0, min(self.limit - sum(node.is_written for node in self.nodes), self.allowance))

    def has_wanted(self, node: RolloutNode) -> bool:
        """Return whether a node has the set in force without drift."""
        return node.holds == self.wanted and not node.drifted

    def needs_write(self, node: RolloutNode) -> bool:
        """Return whether a node must be written in place."""
        return node.holds != self.wanted or (node.drifted and self.repair)

    def is_left_drifted(self, node: RolloutNode) -> bool:
        """Return whether a node has drifted, and no repair is requested."""
        return node.holds == self.wanted and node.drifted and not (self.repair and not self.replaces)

    def is_asked(self, node: RolloutNode) -> bool:
        """Return whether a pull of this node can prove the set, once it has it."""
        return self.provable and not node.unverifiable and not self.is_left_drifted(node)

    def proves(self, node: RolloutNode) -> bool:
        """Return whether a node has the set in force and has proven it."""
        return node.proven == self.wanted and node.holds == self.wanted

    def is_settled(self, node: RolloutNode) -> bool:
        """Return whether a node is done: it has the set in force, and has proven it if it can."""
        return self.has_wanted(node) and (node.proven == self.wanted or not self.is_asked(node))
