"""Plan the rollout of a cluster's trust set: the next steps, decided from one observation. Pure.

Equal observations give equal plans, in any order of machines. Running part of a plan, or running it twice, is safe.
The plan writes only the set in force. `proof.schedule` decides which nodes prove it, and when.
"""

from dataclasses import replace as changed

from trustplane.rollout.planning import unreachable
from trustplane.rollout.planning.boot import boot_set_notes, choose_boot_set
from trustplane.rollout.planning.in_place import plan_writes
from trustplane.rollout.planning.inputs import REPLACE_MACHINES, RolloutInput
from trustplane.rollout.planning.outlook import machine_names
from trustplane.rollout.planning.replace import plan_replacement
from trustplane.rollout.planning.steps import RolloutNote, RolloutPlan, RolloutReason, RolloutState


def plan_rollout(cluster: RolloutInput) -> RolloutPlan:
    """Return the next steps for a cluster, and the state of its rollout."""
    if cluster.is_paused:
        steps = RolloutPlan(state=RolloutState.PAUSED, reason=RolloutReason.PAUSED)
    elif cluster.refusing_nodes:
        steps = RolloutPlan(
            state=RolloutState.STOPPED,
            reason=RolloutReason.REFUSED,
            machines=machine_names(cluster.refusing_nodes),
            boot_set=choose_boot_set(cluster),
        )
    else:
        steps = changed(
            plan_replacement(cluster) if cluster.replaces_machines else plan_writes(cluster),
            boot_set=choose_boot_set(cluster),
            proven=cluster.in_force if cluster.is_proven and cluster.last_proven != cluster.in_force else None,
        )
    return changed(steps, notes=_notes(cluster), obstructed=unreachable.obstructed_machines(cluster))


def _notes(cluster: RolloutInput) -> tuple[RolloutNote, ...]:
    without_key = (RolloutNote.NO_KEY,) if cluster.strategy != REPLACE_MACHINES and not cluster.can_write else ()
    return (*boot_set_notes(cluster), *without_key)
