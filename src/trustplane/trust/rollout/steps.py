"""A plan of a rollout: what is done now, in which order, and what there is to say about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from trustplane.trust.rollout.observed import Canary

_SHOWN: Final = 5  # names in a message


class State(Enum):
    """Where a rollout is."""

    CURRENT = "Current"
    UPDATING = "Updating"  # goes on by itself
    WAITING = "Waiting"  # for something that the rollout cannot bring about
    DRIFTED = "Drifted"  # current but for files that somebody changed, and that nobody asked to repair
    STOPPED = "Stopped"  # until somebody corrects the trust set, or what is wrong with a registry or node
    PAUSED = "Paused"


class Reason(Enum):
    """Why it is there."""

    UP_TO_DATE = "UpToDate"
    NO_NODES = "NoNodes"
    CANARY = "Canary"
    WRITING = "Writing"
    PROVING = "Proving"
    ROLLING = "Rolling"
    ALONE = "Alone"
    BOOT_SET = "BootSet"
    JOINING = "Joining"
    STUCK = "Stuck"
    LIMITED = "Limited"
    FAILING = "Failing"
    UNREACHABLE = "Unreachable"
    BUSY = "Busy"
    UNKNOWN = "Unknown"
    DRIFTED = "Drifted"
    REFUSED = "Refused"
    PAUSED = "Paused"


_MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.UP_TO_DATE: "Every node has the trust set",
    Reason.NO_NODES: "There are no nodes yet; the first ones boot with the trust set",
    Reason.CANARY: "Machine {} takes the trust set first",
    Reason.WRITING: "The trust set is being written on {}",
    Reason.PROVING: "Waiting for the proof of {}",
    Reason.ROLLING: "Cluster API is replacing {}",
    Reason.ALONE: "{} belongs to no MachineDeployment. Delete it, so that whoever made it makes another",
    Reason.BOOT_SET: "The set that new machines boot with is being changed",
    Reason.JOINING: "Waiting for {} to join the cluster",
    Reason.STUCK: "{} did not join the cluster. Look at its bootstrap log, or delete it",
    Reason.LIMITED: "{} wait: as many nodes are being written as the limits allow",
    Reason.FAILING: "Writing on {} failed; it is tried again",
    Reason.UNREACHABLE: "{} cannot be reached, and takes the trust set when it is back",
    Reason.BUSY: "{} is being updated by somebody else, and is left alone",
    Reason.UNKNOWN: "It is not known which trust set {} has",
    Reason.DRIFTED: "Files of the trust set were changed on {}",
    Reason.REFUSED: "Stopped: with the trust set, {} refuses a registry. Correct it; the others keep what they had",
    Reason.PAUSED: "The cluster is paused: nothing is begun",
}


_NO_KEY: Final = "Machines are replaced, since Secret <cluster>-ssh, by which Trustplane would log in, is absent"


class Note(Enum):
    """What else is to be reported."""

    NO_KEY = "NoKey"  # machines are replaced, since there is no SSH key to write on them
    BOOT_SET_EDITED = "BootSetEdited"
    BOOT_SET_MISSING = "BootSetMissing"


class Obstacle(Enum):
    """Why a node that cannot be reached is not replaced, although somebody has asked for that."""

    MARKED = "Marked"
    TOO_FEW = "TooFew"
    UNCHECKED = "Unchecked"
    OTHERS = "Others"
    ALONE = "Alone"


class Kept(NamedTuple):
    """Machines that are not replaced, and why."""

    obstacle: Obstacle
    machines: tuple[str, ...]


_OBSTACLES: Final[Mapping[Obstacle, str]] = {
    Obstacle.MARKED: "{} is marked for its MachineHealthCheck, which has it replaced. Conditions HealthCheckSucceeded "
    "and OwnerRemediated of the Machine say what that waits for",
    Obstacle.TOO_FEW: "{} is not replaced: a control plane of fewer than 3 machines, or its data, would be lost. "
    "Repair the node",
    Obstacle.UNCHECKED: "{} is not replaced: of the control plane only a MachineHealthCheck has machines replaced, and "
    "none does so with this one. Make one that selects it, without remediation.templateRef, and see that neither is "
    "paused and the Machine has no annotation cluster.x-k8s.io/skip-remediation; or repair the node",
    Obstacle.OTHERS: "{} is replaced when all others of the control plane are well, and no machine is being deleted",
    Obstacle.ALONE: "{} is not replaced: it belongs to no MachineDeployment, so nobody would make another. Repair the "
    "node, or delete the Machine",
}


class Action(Enum):
    """What a step does."""

    ELECT = "Elect"  # record this machine, with the set that is wanted, on the Cluster
    RECORD_PROVEN = "RecordProven"  # record this digest on the Cluster as the last proven one
    BOOT = "Boot"  # let Secret `<cluster>-trust` have the set of this digest
    WRITE = "Write"  # begin to write the set that is wanted on the node of this machine
    ROLL = "Roll"  # set `rollout.after` of this pool, or of the control plane where the name is empty
    DELETE = "Delete"  # delete this Machine
    REMEDIATE = "Remediate"  # annotate this Machine, so that its MachineHealthCheck replaces it


class Step(NamedTuple):
    """One step."""

    action: Action
    target: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done now; nothing of it is remembered, so that it may end after any step.

    Attributes:
        state: Where the rollout is.
        reason: Why.
        machines: Names that the reason is about.
        notes: What else is to be reported.
        kept: Who is not replaced, although somebody has asked for that.
        elect: Who is recorded before being written.
        proven: Digest to be recorded as the last proven one.
        boot: Digest of the set that new machines get.
        write: Machines that the wanted set is written on.
        roll: Pool that is rolled out anew, the control plane where it is empty; None: none.
        delete: Machines to delete.
        remediate: Machines of the control plane to be replaced by their MachineHealthCheck.
    """

    state: State
    reason: Reason
    machines: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    kept: tuple[Kept, ...] = ()
    elect: Canary | None = None
    proven: str | None = None
    boot: str | None = None
    write: tuple[str, ...] = ()
    roll: str | None = None
    delete: tuple[str, ...] = ()
    remediate: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order: records come before what they announce. Where one fails, the rest is left."""
        single = (
            (Action.ELECT, self.elect.machine if self.elect else None),
            (Action.RECORD_PROVEN, self.proven),
            (Action.BOOT, self.boot),
            (Action.ROLL, self.roll),
        )
        several = (
            (Action.WRITE, self.write),
            (Action.DELETE, self.delete),
            (Action.REMEDIATE, self.remediate),
        )
        return (
            *(Step(action, target) for action, target in single if target is not None),
            *(Step(action, target) for action, targets in several for target in targets),
        )

    @property
    def remark(self) -> str:
        """What is to be known beside the reason, in words; empty for nothing."""
        kept = [_OBSTACLES[one.obstacle].format(_listed(one.machines)) for one in self.kept]
        return ". ".join([*([_NO_KEY] if Note.NO_KEY in self.notes else []), *kept])

    @property
    def message(self) -> str:
        """The reason in words."""
        return _MESSAGES[self.reason].format(_listed(self.machines))


def _listed(machines: Sequence[str]) -> str:
    shown = ", ".join(machines[:_SHOWN])
    more = len(machines) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
