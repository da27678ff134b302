"""Plan the rollout of a cluster's trust set: the next steps, decided from one observation. Pure.

Equal observations give equal plans, in any order of machines. Running part of a plan, or running it twice, is safe.
The plan writes only the set in force. `proof.schedule` decides which nodes prove it, and when.
"""

from dataclasses import replace as changed

from trustplane.rollout.planning import unreachable
from trustplane.rollout.planning.boot import boot_set, notes
from trustplane.rollout.planning.in_place import in_place
from trustplane.rollout.planning.observed import REPLACE, Observed
from trustplane.rollout.planning.outlook import names
from trustplane.rollout.planning.replace import replace
from trustplane.rollout.planning.steps import Note, Plan, Reason, State


def plan(cluster: Observed) -> Plan:
    """Return the next steps for a cluster, and the state of its rollout."""
    if cluster.paused:
        steps = Plan(state=State.PAUSED, reason=Reason.PAUSED)
    elif cluster.refusers:
        steps = Plan(
            state=State.STOPPED, reason=Reason.REFUSED, machines=names(cluster.refusers), boot=boot_set(cluster)
        )
    else:
        steps = changed(
            replace(cluster) if cluster.replaces else in_place(cluster),
            boot=boot_set(cluster),
            proven=cluster.wanted if cluster.is_proven and cluster.last_proven != cluster.wanted else None,
        )
    return changed(steps, notes=_notes(cluster), kept=unreachable.kept(cluster))


def _notes(cluster: Observed) -> tuple[Note, ...]:
    without_key = (Note.NO_KEY,) if cluster.strategy != REPLACE and not cluster.can_write else ()
    return (*notes(cluster), *without_key)
