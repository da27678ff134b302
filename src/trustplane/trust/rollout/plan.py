"""Plan the rollout of a cluster's trust set: the next steps, decided from one observation. Pure.

Equal observations give equal plans, in any order of machines. Running part of a plan, or running it twice, is safe.
Only the wanted set is ever written. Which nodes prove it, and when, is decided by `trust.schedule`.
"""

from dataclasses import replace as changed

from trustplane.trust.rollout import unreachable
from trustplane.trust.rollout.boot import boot_set, notes
from trustplane.trust.rollout.in_place import in_place
from trustplane.trust.rollout.observed import REPLACE, Observed
from trustplane.trust.rollout.outlook import names
from trustplane.trust.rollout.replace import replace
from trustplane.trust.rollout.steps import Note, Plan, Reason, State


def plan(seen: Observed) -> Plan:
    """Return the next steps for a cluster, and the state of its rollout."""
    if seen.paused:
        found = Plan(state=State.PAUSED, reason=Reason.PAUSED)
    elif seen.refusers:
        found = Plan(state=State.STOPPED, reason=Reason.REFUSED, machines=names(seen.refusers), boot=boot_set(seen))
    else:
        found = changed(
            replace(seen) if seen.replaces else in_place(seen),
            boot=boot_set(seen),
            proven=seen.wanted if seen.is_proven and seen.last_proven != seen.wanted else None,
        )
    return changed(found, notes=_notes(seen), kept=unreachable.kept(seen))


def _notes(seen: Observed) -> tuple[Note, ...]:
    without_key = (Note.NO_KEY,) if seen.strategy != REPLACE and not seen.can_write else ()
    return (*notes(seen), *without_key)
