"""What is to be said about a list before it is stored: what is wrong with it, odd about it, or lost by it."""

import datetime as dt
from collections.abc import Mapping, Sequence

from trustplane.api.configuration import TrustedCA
from trustplane.certificates.finding import Finding
from trustplane.certificates.lint import lint
from trustplane.trust import scope
from trustplane.trust.effective import effective
from trustplane.trust.entries import read
from trustplane.trust.policy import OVERRIDE
from trustplane.trust.removal import Listing, is_allowed, listing, removal, removal_findings


def judge(
    after: Sequence[TrustedCA],
    before: Sequence[TrustedCA],
    annotations: Mapping[str, str],
    *,
    where: str,
    at: dt.datetime,
) -> list[Finding]:
    """Judge a list; errors mean that it must not be stored.

    What it loses is compared only where it can be used: of a broken list nobody knows what was meant.

    Args:
        after: The list that is to be stored.
        before: The one that it replaces; nothing where there is none. Its entries that cannot be read may be mended or
            removed at will, unless nothing is left then: the last good set is in force in their place.
        annotations: Of the object as it is to be stored.
        where: Path of the list in the object, such as `spec.trust.additionalTrustedCAs`.
        at: The time for which certificates are judged.
    """
    reading = effective(scope.read(after, annotations, where=where), None, OVERRIDE)
    odd = lint([(one.name, one.data) for one in after], at, where=where)
    if not reading.ok:
        return [*reading.findings, *odd]
    lost = removal(_known(before, by_name=not after), listing(reading.trust))
    findings = removal_findings(lost, allowed=is_allowed(annotations))
    return [*reading.findings, *(one.at(where) for one in findings), *odd]


def _known(entries: Sequence[TrustedCA], *, by_name: bool) -> Listing:
    """Return what a stored list trusts; with `by_name`, also the entries of which only the name can be read."""
    known = listing(read(entries).trust)
    return {**({one.name: (one.name,) for one in entries} if by_name else {}), **known}
