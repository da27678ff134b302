"""What a rollout is decided from: a cluster's machines, its boot set and what was recorded. Plain data, pure.

A set is named by its digest. Nothing here is remembered between two plans: whatever a process must know after a crash
is on the nodes and in the objects that are observed.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

IN_PLACE: Final = "InPlace"  # the manager writes on running nodes
REPLACE: Final = "Replace"  # Cluster API makes new machines
PARALLEL: Final = 10  # nodes of one cluster that are written at the same time


@dataclass(frozen=True)
class Canary:
    """Who is written alone, as it is recorded on the Cluster before that.

    It is the first node of all, then each node of the control plane in turn: whoever finds the record after a crash
    finishes that one before another.
    """

    machine: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """A Machine with its node.

    Attributes:
        name: Of the Machine.
        group: Pool that it belongs to; empty for the control plane, and for a worker of no pool.
        control_plane: Whether it is one of the control plane.
        booted: Set that its bootstrap data had; None: not known.
        has: Set that was found, and loaded, by the last inspection or write that succeeded; None: never, or unclear.
        drifted: Whether files of that set were changed or removed since.
        proven: Set that its kubelet last proved by a pull, since its last change; None: none.
        refused: Set for which it definitely refused a registry since its last change; None: none. Where a set only
            removes entries, the caller may leave that out, since such a set is to prove less.
        unverifiable: No pull of it can prove anything, whatever its trust is.
        reachable: Whether it answered when it was last asked; true where nobody has asked. Nothing is written on
            one that is not: to ask it again is the caller's part.
        failing: Why the last write or inspection failed although it answered; empty: it did not.
        resting: It failed a moment ago, and is not tried again yet.
        writing: A write on it is under way.
        busy: Updated in place by somebody else: it is left alone.
        leaving: Cluster API replaces it anyway: it was made before `rollout.after` of its group.
        joined: Whether there is a Node.
        stuck: It should have joined a while ago.
        replaceable: Somebody makes another when it goes: a MachineSet or, for the control plane, the remediation of a
            MachineHealthCheck that selects it.
        marked: It is marked for that remediation.
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
        """The set on it, as far as it is known: what was seen there counts more than what it was born with."""
        return self.booted if self.has is None else self.has

    @property
    def takes_part(self) -> bool:
        """Whether it can be written, and waited for."""
        return self.joined and self.reachable and not self.busy

    @property
    def is_written(self) -> bool:
        """Whether a write takes one of the places; nobody waits for one that does not answer."""
        return self.writing and self.reachable


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A cluster.

    Attributes:
        wanted: Set that it is to have.
        boot: Set in Secret `<cluster>-trust`; None: there is no such Secret.
        edited: The content of that Secret is not that of the set.
        last_proven: Set that a node of the cluster proved last, as recorded on the Cluster; None: none yet.
        nodes: Its machines, but for those whose deletion has begun.
        deleting: Whether there are such.
        paused: Whether it is paused.
        strategy: IN_PLACE or REPLACE.
        can_write: Whether its nodes can be written on; without an SSH key they are replaced.
        canary: Who was recorded last, perhaps for another set.
        provable: Whether there is a Registry that proof can be taken against.
        limit: Nodes of it that are written at the same time, at most.
        allowance: Writes that may begin now, by the limit of the whole fleet.
        replace_unreachable: Somebody asked for nodes that cannot be reached to be replaced.
        repair: Nodes whose files drifted are to be written again.
    """

    wanted: str
    boot: str | None = None
    edited: bool = False
    last_proven: str | None = None
    nodes: tuple[Node, ...] = field(default=())
    deleting: bool = False
    paused: bool = False
    strategy: str = IN_PLACE
    can_write: bool = True
    canary: Canary | None = None
    provable: bool = True
    limit: int = PARALLEL
    allowance: int = PARALLEL
    replace_unreachable: bool = False
    repair: bool = False

    @property
    def replaces(self) -> bool:
        """Whether machines are replaced, by wish or for want of a key."""
        return self.strategy == REPLACE or not self.can_write

    @property
    def is_boot_set(self) -> bool:
        """Whether new machines get the set that is wanted."""
        return self.boot == self.wanted and not self.edited

    @cached_property
    def refusers(self) -> tuple[Node, ...]:
        """Nodes that have the set as it is meant, and refuse a registry."""
        return tuple(one for one in self.nodes if self.has_wanted(one) and one.refused == self.wanted)

    @cached_property
    def is_proven(self) -> bool:
        """Whether a node of this cluster has proven the set."""
        return self.last_proven == self.wanted or any(self.proves(one) for one in self.nodes)

    @cached_property
    def can_be_proven(self) -> bool:
        """Whether there is a node that could prove a set now, or after somebody else is done with it."""
        return any(one.joined and one.reachable and self.is_asked(one) for one in self.nodes)

    @property
    def room(self) -> int:
        """How many writes may begin."""
        return max(0, min(self.limit - sum(one.is_written for one in self.nodes), self.allowance))

    def has_wanted(self, node: Node) -> bool:
        """Tell whether a node has the set that is wanted, with nothing changed."""
        return node.holds == self.wanted and not node.drifted

    def needs_write(self, node: Node) -> bool:
        """Tell whether a node is to be written in place."""
        return node.holds != self.wanted or (node.drifted and self.repair)

    def is_left_drifted(self, node: Node) -> bool:
        """Tell whether a node's files were changed, and nobody wants that to be undone."""
        return node.holds == self.wanted and node.drifted and not (self.repair and not self.replaces)

    def is_asked(self, node: Node) -> bool:
        """Tell whether a pull of this node could prove the set, once it has it."""
        return self.provable and not node.unverifiable and not self.is_left_drifted(node)

    def proves(self, node: Node) -> bool:
        """Tell whether a node has proven the set that it still has."""
        return node.proven == self.wanted and node.holds == self.wanted

    def is_settled(self, node: Node) -> bool:
        """Tell whether nothing is left to be done for a node: it has the set, proven where that is possible."""
        return self.has_wanted(node) and (node.proven == self.wanted or not self.is_asked(node))
