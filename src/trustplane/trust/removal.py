"""Whether a changed list takes so much trust away that somebody must say that it is meant.

A list that a script wrote while its source was empty, or the manifest of another environment, is without fault in
itself. What gives it away is what it no longer trusts.

What counts are decoded certificates: encoding, order and names are not looked at, so that a renamed or split entry
removes nothing. A certificate that is gone counts as *dropped*, unless its entry is still there with a new certificate
in its place: that is how a CA is rotated under its name (rule P5). A new certificate under a new name replaces nothing:
a list of other CAs is rather the wrong list than a rotation.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trustplane.api.annotations import ALLOW_REMOVAL
from trustplane.certificates.finding import Finding, Severity
from trustplane.trust.entries import SHORT, TrustSet

ALLOWED = "true"
_SHOWN = 10

# What each entry trusts, by its name: SHA-256 fingerprints, or that name itself where certificates cannot be read.
Listing = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Removal:
    """What an update of a list takes away.

    Attributes:
        before: How many different certificates were listed.
        gone: Those that no entry has any longer, each with the first of its entries' names: (name, fingerprint).
        replaced: How many of `gone` have a new certificate in their place.
        is_emptied: Whether there was a certificate before, and is none now.
    """

    before: int
    gone: tuple[tuple[str, str], ...]
    replaced: int
    is_emptied: bool

    @property
    def dropped(self) -> int:
        """How many certificates are gone with nothing in their place."""
        return len(self.gone) - self.replaced

    @property
    def needs_permission(self) -> bool:
        """True where more than half of the list is dropped, or all that was left of it."""
        return self.is_emptied or 2 * self.dropped > self.before


def listing(trust: TrustSet) -> Listing:
    """Return what the entries of a set trust."""
    return {entry.name: entry.fingerprints for entry in trust.entries}


def removal(before: Listing, after: Listing) -> Removal:
    """Compare a list with the one that is to replace it."""
    old, new = _by_certificate(before), _by_certificate(after)
    gone = Counter(name for one, name in old.items() if one not in new)
    fresh = Counter(name for one, name in new.items() if one not in old)
    return Removal(
        before=len(old),
        gone=tuple(sorted((name, one) for one, name in old.items() if one not in new)),
        replaced=(gone & fresh).total(),
        is_emptied=bool(old) and not new,
    )


def _by_certificate(entries: Listing) -> dict[str, str]:
    """Return each certificate with the first name that it is listed under."""
    return {one: name for name in sorted(entries, reverse=True) for one in entries[name]}


def is_allowed(annotations: Mapping[str, str]) -> bool:
    """Tell whether the object says that its removals are meant."""
    return annotations.get(ALLOW_REMOVAL) == ALLOWED


def removal_findings(found: Removal, *, allowed: bool) -> list[Finding]:
    """Say what is to be known about a removal; an error where it must not go through."""
    if found.needs_permission:
        return [_allowed(found) if allowed else _refused(found)]
    return [*([_replaced(found)] if found.replaced else []), *([UNUSED_PERMISSION] if allowed else [])]


def _refused(found: Removal) -> Finding:
    return Finding(
        code="removal-not-allowed",
        what=f"The update would remove {_what(found)}",
        why="Nodes would refuse what these signed. So large a removal is more often a mistake than meant",
        next_step=f'Keep them in the list. If it is meant, set annotation {ALLOW_REMOVAL}: "{ALLOWED}" in this update',
    )


def _allowed(found: Removal) -> Finding:
    return Finding(
        code="removal-allowed",
        severity=Severity.WARNING,
        what=f"The update removes {_what(found)}",
        why=f"Annotation {ALLOW_REMOVAL} allows it",
        next_step="Take the annotation away again: it switches this check off",
    )


def _replaced(found: Removal) -> Finding:
    return Finding(
        code="replaced-at-once",
        severity=Severity.WARNING,
        what=f"The update replaces {_what(found)}",
        why="Nodes refuse what these signed as soon as they have the new list",
        next_step="Keep old and new side by side until every registry's certificate is by a new one",
    )


def _what(found: Removal) -> str:
    shown = found.gone[:_SHOWN]
    names = ", ".join(name if name == one else f"{name} ({one[:SHORT]})" for name, one in shown)
    more = f" and {len(found.gone) - _SHOWN} more" if len(found.gone) > _SHOWN else ""
    return f"{len(found.gone)} of {found.before} certificates: {names}{more}"


UNUSED_PERMISSION = Finding(
    code="unused-permission",
    severity=Severity.WARNING,
    what=f"Annotation {ALLOW_REMOVAL} is set, and nothing is removed that needs it",
    why="While it is there, the list can be emptied by mistake",
    next_step="Take the annotation away",
)
