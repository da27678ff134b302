"""Removal guard: refuses to drop more than half of a trust list without permission.

A list from a script with an empty source, or the manifest of another environment, contains no error. Only the missing
certificates reveal the mistake.

The guard compares decoded certificates. Encoding, order and names do not matter: a renamed or split entry removes
nothing. A missing certificate counts as *dropped*, unless its entry still exists with a new certificate: this is how
users rotate a CA under its name (rule P5). A new certificate under a new name replaces nothing: a list of other CAs is
more likely the wrong list than a rotation.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trustplane.api.annotations import ALLOW_REMOVAL
from trustplane.certificates.finding import Finding, Severity
from trustplane.trust.entries import SHORT_DIGEST_LENGTH, TrustSet

REMOVAL_ALLOWED = "true"
_SHOWN = 10

# SHA-256 fingerprints by entry name; an unreadable entry has its own name instead of fingerprints.
FingerprintsByName = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Removal:
    """The certificates that an update of a list removes.

    Attributes:
        before: Number of distinct certificates listed before.
        gone: Certificates that no entry has any longer, each as (name, fingerprint) with the first of its names.
        replaced: Number of certificates of `gone` with a new certificate in their place.
        is_emptied: Whether the update removes the last certificate.
    """

    before: int
    gone: tuple[tuple[str, str], ...]
    replaced: int
    is_emptied: bool

    @property
    def dropped(self) -> int:
        """Number of certificates removed without a replacement."""
        return len(self.gone) - self.replaced

    @property
    def needs_permission(self) -> bool:
        """Whether the update drops more than half of the list, or empties it."""
        return self.is_emptied or 2 * self.dropped > self.before


def fingerprints_by_name(trust: TrustSet) -> FingerprintsByName:
    """Return the fingerprints of a set's entries, by name."""
    return {entry.name: entry.fingerprints for entry in trust.entries}


def compare_fingerprints(before: FingerprintsByName, after: FingerprintsByName) -> Removal:
    """Compare a list with its replacement."""
    old, new = _by_certificate(before), _by_certificate(after)
    gone = [(name, fingerprint) for fingerprint, name in old.items() if fingerprint not in new]
    names_gone = Counter(name for name, _ in gone)
    names_new = Counter(name for fingerprint, name in new.items() if fingerprint not in old)
    return Removal(
        before=len(old),
        gone=tuple(sorted(gone)),
        replaced=(names_gone & names_new).total(),
        is_emptied=bool(old) and not new,
    )


def _by_certificate(entries: FingerprintsByName) -> dict[str, str]:
    """Return the first entry name of each certificate."""
    return {fingerprint: name for name in sorted(entries, reverse=True) for fingerprint in entries[name]}


def allows_removal(annotations: Mapping[str, str]) -> bool:
    """Return whether the object's annotations allow any removal."""
    return annotations.get(ALLOW_REMOVAL) == REMOVAL_ALLOWED


def check_removal(removal: Removal, *, allowed: bool) -> list[Finding]:
    """Return the findings of a removal; one of them is an error if the removal must not be stored."""
    if removal.needs_permission:
        return [_allowed(removal) if allowed else _refused(removal)]
    return [*([_replaced(removal)] if removal.replaced else []), *([UNUSED_PERMISSION] if allowed else [])]


def _refused(removed: Removal) -> Finding:
    return Finding(
        code="removal-not-allowed",
        what=f"The update would remove {_describe(removed)}",
        why="Nodes would reject every certificate that they signed. Such a large removal is usually a mistake",
        next_step=f"Keep them in the list. If you intend to remove them, set annotation "
        f'{ALLOW_REMOVAL}: "{REMOVAL_ALLOWED}" in this update',
    )


def _allowed(removed: Removal) -> Finding:
    return Finding(
        code="removal-allowed",
        severity=Severity.WARNING,
        what=f"The update removes {_describe(removed)}",
        why=f"Annotation {ALLOW_REMOVAL} allows it",
        next_step="Remove the annotation after this update: it disables the removal guard",
    )


def _replaced(removed: Removal) -> Finding:
    return Finding(
        code="replaced-at-once",
        severity=Severity.WARNING,
        what=f"The update replaces {_describe(removed)}",
        why="Nodes reject every certificate that they signed as soon as they have the new list",
        next_step="Keep old and new CAs side by side until a new CA has signed every registry's certificate",
    )


def _describe(removed: Removal) -> str:
    shown = removed.gone[:_SHOWN]
    names = ", ".join(name if name == digest else f"{name} ({digest[:SHORT_DIGEST_LENGTH]})" for name, digest in shown)
    more = f" and {len(removed.gone) - _SHOWN} more" if len(removed.gone) > _SHOWN else ""
    return f"{len(removed.gone)} of {removed.before} certificates: {names}{more}"


UNUSED_PERMISSION = Finding(
    code="unused-permission",
    severity=Severity.WARNING,
    what=f"Annotation {ALLOW_REMOVAL} is set, but this update removes nothing that needs it",
    why="While it is set, a mistake can empty the list",
    next_step="Remove the annotation",
)
