"""Plan of a rollout: its steps in order, its state, and its messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from trustplane.rollout.planning.inputs import Canary

_SHOWN: Final = 5  # names in a message


class RolloutState(Enum):
    """State of a rollout."""

    CURRENT = "Current"
    UPDATING = "Updating"  # continues without help
    WAITING = "Waiting"  # for an event outside the rollout
    DRIFTED = "Drifted"  # current except for drift without a request for repair
    STOPPED = "Stopped"  # until the user corrects the trust set, a registry or a node
    PAUSED = "Paused"


class RolloutReason(Enum):
    """Reason of a rollout's state."""

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


_MESSAGES: Final[Mapping[RolloutReason, str]] = {
    RolloutReason.UP_TO_DATE: "Every node has the trust set",
    RolloutReason.NO_NODES: "The cluster has no nodes yet; the first ones boot with the trust set",
    RolloutReason.CANARY: "Machine {} takes the trust set first",
    RolloutReason.WRITING: "The trust set is being written to {}",
    RolloutReason.PROVING: "Waiting for the proof of {}",
    RolloutReason.ROLLING: "Cluster API is replacing {}",
    RolloutReason.ALONE: "{} belongs to no MachineDeployment. Delete it and create a successor",
    RolloutReason.BOOT_SET: "The boot set is being changed",
    RolloutReason.JOINING: "Waiting for {} to join the cluster",
    RolloutReason.STUCK: "{} did not join the cluster. Check its bootstrap log, or delete the Machine",
    RolloutReason.LIMITED: "{} must wait: the limit of simultaneous writes is reached",
    RolloutReason.FAILING: "Writing to {} failed; Trustplane retries it",
    RolloutReason.UNREACHABLE: "Cannot reach {}; Trustplane writes the trust set when it answers again",
    RolloutReason.BUSY: "Another tool is updating {}; Trustplane waits for it",
    RolloutReason.UNKNOWN: "The trust set of {} is unknown",
    RolloutReason.DRIFTED: "Files of the trust set were changed on {}",
    RolloutReason.REFUSED: "Stopped: with the trust set, {} refuses a registry. Correct the set or the registry; "
    "the other nodes keep the previous set",
    RolloutReason.PAUSED: "The cluster is paused: no write starts",
}


_NO_KEY: Final = "Machines are replaced, because Secret <cluster>-ssh with the SSH key does not exist"


class RolloutNote(Enum):
    """A remark about a rollout."""

    NO_KEY = "NoKey"  # machines are replaced, because no SSH key exists
    BOOT_SET_EDITED = "BootSetEdited"
    BOOT_SET_MISSING = "BootSetMissing"


class ReplacementObstacle(Enum):
    """Why an unreachable node is not replaced although the user asked for it."""

    MARKED = "Marked"
    TOO_FEW = "TooFew"
    UNCHECKED = "Unchecked"
    OTHERS = "Others"
    ALONE = "Alone"


class ObstructedMachines(NamedTuple):
    """Unreachable machines that are not replaced, and the reason."""

    obstacle: ReplacementObstacle
    machines: tuple[str, ...]


_OBSTACLES: Final[Mapping[ReplacementObstacle, str]] = {
    ReplacementObstacle.MARKED: (
        "{} is marked for replacement by its MachineHealthCheck. Conditions HealthCheckSucceeded and OwnerRemediated "
        "of the Machine report the progress"
    ),
    ReplacementObstacle.TOO_FEW: (
        "{} is not replaced: a control plane of fewer than 3 machines, or its data, would be lost. Repair the node"
    ),
    ReplacementObstacle.UNCHECKED: (
        "{} is not replaced: only a MachineHealthCheck replaces control plane machines, and none applies to this "
        "machine. Create one that selects it, without remediation.templateRef, and with another name than the "
        "KubeadmControlPlane; neither may be paused, and the Machine must not have annotation "
        "cluster.x-k8s.io/skip-remediation. Or repair the node"
    ),
    ReplacementObstacle.OTHERS: (
        "{} is replaced when all other control plane nodes are healthy and no machine is being deleted"
    ),
    ReplacementObstacle.ALONE: (
        "{} is not replaced: it belongs to no MachineDeployment, and no controller would create a successor. Repair "
        "the node, or delete the Machine"
    ),
}


class StepAction(Enum):
    """Kind of a step."""

    RECORD_CANARY = "Elect"  # record this machine as the canary of the set in force on the Cluster
    RECORD_PROVEN = "RecordProven"  # record this digest as the last proven set on the Cluster
    WRITE_BOOT_SET = "Boot"  # write the set with this digest to Secret `<cluster>-trust`
    WRITE = "Write"  # start writing the set in force to the node of this machine
    REPLACE_GROUP = "Roll"  # set `rollout.after` of this pool; of the control plane if empty
    DELETE = "Delete"  # delete this Machine
    REMEDIATE = "Remediate"  # annotate this Machine; its MachineHealthCheck then replaces it


class RolloutStep(NamedTuple):
    """One step of a plan."""

    action: StepAction
    target: str


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """The next steps of a rollout. No step depends on a stored plan: execution may end after any of them.

    Attributes:
        state: State of the rollout.
        reason: Reason of the state.
        machines: Machines concerned, by name.
        notes: Remarks to report.
        obstructed: Unreachable machines that are not replaced although the user asked for it.
        canary: Canary to record before its write; None without one.
        proven: Digest to record as the last proven set; None: keep the record.
        boot_set: Digest of the boot set to write; None: keep the current one.
        write: Machines whose nodes receive the set in force now.
        replace_group: Pool whose machines Cluster API must replace, empty for the control plane; None without one.
        delete: Machines to delete.
        remediate: Control plane machines that their MachineHealthCheck must replace.
    """

    state: RolloutState
    reason: RolloutReason
    machines: tuple[str, ...] = ()
    notes: tuple[RolloutNote, ...] = ()
    obstructed: tuple[ObstructedMachines, ...] = ()
    canary: Canary | None = None
    proven: str | None = None
    boot_set: str | None = None
    write: tuple[str, ...] = ()
    replace_group: str | None = None
    delete: tuple[str, ...] = ()
    remediate: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[RolloutStep, ...]:
        """The steps in order: a record comes before the action that it announces. Stop after a failed step."""
        single = (
            (StepAction.RECORD_CANARY, self.canary.machine if self.canary else None),
            (StepAction.RECORD_PROVEN, self.proven),
            (StepAction.WRITE_BOOT_SET, self.boot_set),
            (StepAction.REPLACE_GROUP, self.replace_group),
        )
        several = (
            (StepAction.WRITE, self.write),
            (StepAction.DELETE, self.delete),
            (StepAction.REMEDIATE, self.remediate),
        )
        return (
            *(RolloutStep(action, target) for action, target in single if target is not None),
            *(RolloutStep(action, target) for action, targets in several for target in targets),
        )

    @property
    def remark(self) -> str:
        """Message about notes and unreachable machines; empty without any."""
        kept = [_OBSTACLES[entry.obstacle].format(_join(entry.machines)) for entry in self.obstructed]
        return ". ".join([*([_NO_KEY] if RolloutNote.NO_KEY in self.notes else []), *kept])

    @property
    def message(self) -> str:
        """Message of the reason."""
        return _MESSAGES[self.reason].format(_join(self.machines))


def _join(machines: Sequence[str]) -> str:
    shown = ", ".join(machines[:_SHOWN])
    more = len(machines) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
