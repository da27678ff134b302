"""Updates in place that Cluster API loses, and what brings them to their end. Pure.

Its Machine controller, when an update has ended, takes the marks of it away, and does so once more with the patch that
ends its reconcile. An owner that begins the next update in between, as after a change that follows another one closely,
has its new marks taken away with the old ones. Nobody goes on then: to Cluster API, everything is as it should be.

A reconcile that fails writes its conditions, but not `status.observedGeneration`. The next one, which succeeds, finds
nothing else to write, and writes nothing: nobody can tell that the present generation was seen.

Source: sigs.k8s.io/cluster-api v1.14.2: core/reconcilers/machine/machine_controller_inplace_update.go
(removeInPlaceUpdateAnnotation: the map of the object that is patched again later), core/reconcilers/machineset/
machineset_controller.go (startMoveMachines, triggerInPlaceUpdate); util/patch/patch.go (Patch: returns early).
"""

from enum import Enum

from trustplane.api.annotations import PENDING_HOOKS, PENDING_MOVE, UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import ROLLING_OUT, KubeadmConfig, KubeadmControlPlane, Machine, MachineDeployment
from trustplane.api.meta import condition
from trustplane.clusterapi.machine_facts import applied_digest, bootstrap_digest
from trustplane.trust.standing import same


class Loss(Enum):
    """What was lost of an update."""

    NOTHING = "Nothing"
    MARK = "Mark"  # of a machine on its way to another MachineSet, which waits for it: it is to be set again
    WORK = "Work"  # its configuration names a set that its node never got: it is to be written


def loss(machine: Machine, config: KubeadmConfig | None, *, is_stepwise: bool) -> Loss:
    """Tell what was lost of a machine's update.

    Args:
        machine: As it was at some time. Cluster API leaves none in the state of `MARK` by itself.
        config: Its bootstrap configuration at about the same time: so `WORK` may be what has ended since.
        is_stepwise: Whether its node is written before its configuration, see `small_control_plane`.
    """
    annotations = machine.metadata.annotations
    if machine.metadata.deletion_timestamp or UPDATE_IN_PROGRESS in annotations:
        return Loss.NOTHING
    if PENDING_MOVE in annotations:
        return Loss.MARK
    if is_stepwise or config is None or PENDING_HOOKS in annotations or not machine.status.node_ref.name:
        return Loss.NOTHING
    named, applied = bootstrap_digest(config), applied_digest(machine)
    return Loss.WORK if named and applied and not same(named, applied) else Loss.NOTHING


def is_generation_lost(group: KubeadmControlPlane | MachineDeployment) -> bool:
    """Tell whether conditions are about the present generation, and the status as a whole is about an older one.

    So it is for a moment in every reconcile, and for as long as reconciles fail.
    """
    generation, status = group.metadata.generation, group.status
    told = condition(status.conditions, ROLLING_OUT)
    return status.observed_generation < generation and told is not None and told.observed_generation >= generation
