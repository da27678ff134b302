"""Which set new machines boot with: the last proven one, until the wanted one is proven or nothing can prove. Pure."""

from trustplane.rollout.planning.observed import Observed
from trustplane.rollout.planning.steps import Note


def boot_set(seen: Observed) -> str | None:
    """Return the digest that the boot set is to have now; None: it stays as it is."""
    target = _target(seen)
    return None if target == seen.boot and not seen.edited else target


def notes(seen: Observed) -> tuple[Note, ...]:
    """Report a boot set that somebody changed or removed; a cluster without machines has none yet."""
    if seen.edited:
        return (Note.BOOT_SET_EDITED,)
    return (Note.BOOT_SET_MISSING,) if seen.boot is None and seen.nodes else ()


def _target(seen: Observed) -> str:
    if seen.refusers:
        return seen.last_proven or _kept(seen)
    if seen.replaces or seen.is_proven or not seen.can_be_proven:
        return seen.wanted
    kept = _kept(seen)
    return seen.wanted if _keeps_machines_out(seen, kept) else kept


def _keeps_machines_out(seen: Observed, digest: str) -> bool:
    """Tell whether a machine booted with that set and did not join: it would keep every other one out, too."""
    return any(one.stuck and not one.joined and one.booted == digest for one in seen.nodes)


def _kept(seen: Observed) -> str:
    """Return the boot set as it is, where it is intact and still means something; else the last proven one."""
    if seen.boot is None or seen.edited:
        return seen.last_proven or seen.wanted
    return seen.boot if seen.boot == seen.wanted else seen.last_proven or seen.boot
