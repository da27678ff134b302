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
        is_control_plane: Whether it belongs to the control plane.
        booted_with: Set in its bootstrap data; None if unknown.
        observed: Set on the node, loaded by its runtime, at the last successful inspection or write; None without one,
            or if unclear.
        has_drifted: Whether files of that set were changed or removed since.
        proven: Set that its kubelet last proved by a pull, after its last change; None without one.
        refused: Set with which it definitely refused a registry, after its last change; None without one. If a set
            only removes entries, the caller may omit it: a node may then refuse a registry correctly.
        is_unverifiable: Whether its pulls cannot prove trust at all.
        is_reachable: Whether it answered the last request; true before the first one. An unreachable node is not
            written: the caller tries to reach it again.
        update_error: Why the last write or inspection failed although the node answered; empty if it did not fail.
        is_backing_off: Whether it failed and waits for the next attempt.
        is_writing: Whether a write is in progress.
        is_busy: Whether another tool updates it in place; the rollout does not touch it.
        is_being_replaced: Whether Cluster API will replace it: it is older than `rollout.after` of its group.
        has_joined: Whether its Node exists.
        is_stuck: Whether it should have joined by now.
        is_replaceable: Whether a controller creates a successor: a MachineSet or, for the control plane, the
            remediation of a MachineHealthCheck that selects it.
        is_marked: Whether it is marked for that remediation.
    """

    name: str
    group: str = ""
    is_control_plane: bool = False
    booted_with: str | None = None
    observed: str | None = None
    has_drifted: bool = False
    proven: str | None = None
    refused: str | None = None
    is_unverifiable: bool = False
    is_reachable: bool = True
    update_error: str = ""
    is_backing_off: bool = False
    is_writing: bool = False
    is_busy: bool = False
    is_being_replaced: bool = False
    has_joined: bool = True
    is_stuck: bool = False
    is_replaceable: bool = False
    is_marked: bool = False

    @property
    def current(self) -> str | None:
        """The set on the node: the observed one, else the one it booted with; None if unknown."""
        return self.booted_with if self.observed is None else self.observed

    @property
    def is_writable(self) -> bool:
        """Whether the rollout can write to it and wait for it."""
        return self.has_joined and self.is_reachable and not self.is_busy

    @property
    def uses_write_slot(self) -> bool:
        """Whether its write counts against the limit; a write to an unreachable node does not."""
        return self.is_writing and self.is_reachable


@dataclass(frozen=True, kw_only=True)
class RolloutInput:
    """A cluster.

    Attributes:
        in_force: The set in force.
        boot_set: The boot set, in Secret `<cluster>-trust`; None without that Secret.
        is_boot_set_edited: Whether the content of that Secret differs from its set.
        last_proven: Set that a node of the cluster proved last, as recorded on the Cluster; None without one.
        nodes: Its machines, without those being deleted.
        is_deleting_machines: Whether machines are being deleted.
        is_paused: Whether it is paused.
        strategy: WRITE_IN_PLACE or REPLACE_MACHINES.
        can_write: Whether its nodes can be written; without an SSH key, machines are replaced.
        canary: The last recorded canary, perhaps for another set.
        has_registry: Whether a Registry exists for proofs.
        write_limit: Maximum of its nodes written at the same time.
        fleet_allowance: Number of writes that may start now, by the limit of the whole fleet.
        replace_unreachable: Whether the user asked to replace unreachable nodes.
        repairs_drift: Whether to write drifted nodes again.
    """

    in_force: str
    boot_set: str | None = None
    is_boot_set_edited: bool = False
    last_proven: str | None = None
    nodes: tuple[RolloutNode, ...] = field(default=())
    is_deleting_machines: bool = False
    is_paused: bool = False
    strategy: str = WRITE_IN_PLACE
    can_write: bool = True
    canary: Canary | None = None
    has_registry: bool = True
    write_limit: int = MAX_PARALLEL_WRITES
    fleet_allowance: int = MAX_PARALLEL_WRITES
    replace_unreachable: bool = False
    repairs_drift: bool = False

    @property
    def replaces_machines(self) -> bool:
        """Whether machines are replaced, by policy or because no SSH key exists."""
        return self.strategy == REPLACE_MACHINES or not self.can_write

    @property
    def is_promoted(self) -> bool:
        """Whether new machines boot with the set in force."""
        return self.boot_set == self.in_force and not self.is_boot_set_edited

    @cached_property
    def refusing_nodes(self) -> tuple[RolloutNode, ...]:
        """Nodes that have the set in force without drift, and refuse a registry."""
        return tuple(node for node in self.nodes if self.has_in_force(node) and node.refused == self.in_force)

    @cached_property
    def is_proven(self) -> bool:
        """Whether a node of this cluster has proven the set in force."""
        return self.last_proven == self.in_force or any(self.has_proven(node) for node in self.nodes)

    @cached_property
    def can_be_proven(self) -> bool:
        """Whether a node can prove a set now, or after another tool has updated it."""
        return any(node.has_joined and node.is_reachable and self.can_prove(node) for node in self.nodes)

    @property
    def free_writes(self) -> int:
        """Number of writes that may start."""
        return max(0, min(self.write_limit - sum(node.uses_write_slot for node in self.nodes), self.fleet_allowance))

    def has_in_force(self, node: RolloutNode) -> bool:
        """Return whether a node has the set in force without drift."""
        return node.current == self.in_force and not node.has_drifted

    def needs_write(self, node: RolloutNode) -> bool:
        """Return whether a node must be written in place."""
        return node.current != self.in_force or (node.has_drifted and self.repairs_drift)

    def stays_drifted(self, node: RolloutNode) -> bool:
        """Return whether a node has drifted, and no repair is requested."""
        return (
            node.current == self.in_force
            and node.has_drifted
            and not (self.repairs_drift and not self.replaces_machines)
        )

    def can_prove(self, node: RolloutNode) -> bool:
        """Return whether a pull of this node can prove the set, once it has it."""
        return self.has_registry and not node.is_unverifiable and not self.stays_drifted(node)

    def has_proven(self, node: RolloutNode) -> bool:
        """Return whether a node has the set in force and has proven it."""
        return node.proven == self.in_force and node.current == self.in_force

    def is_settled(self, node: RolloutNode) -> bool:
        """Return whether a node is done: it has the set in force, and has proven it if it can."""
        return self.has_in_force(node) and (node.proven == self.in_force or not self.can_prove(node))
