"""Findings of a trust list before it is stored: errors, oddities, and the trust that the list drops."""

import datetime as dt
from collections.abc import Mapping, Sequence

from trustplane.api.configuration import TrustedCA
from trustplane.certificates.finding import Finding
from trustplane.certificates.lint import lint
from trustplane.trust import scope
from trustplane.trust.entries import parse_list
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import OVERRIDE
from trustplane.trust.removal import (
    FingerprintsByName,
    allows_removal,
    check_removal,
    compare_fingerprints,
    fingerprints_by_name,
)


def review_list(
    after: Sequence[TrustedCA],
    before: Sequence[TrustedCA],
    annotations: Mapping[str, str],
    *,
    where: str,
    at: dt.datetime,
) -> list[Finding]:
    """Return the findings of a list; reject the list if any of them is an error.

    The check for removed trust skips a broken list, because its intended content is unknown.

    Args:
        after: The list to store.
        before: The list that it replaces; empty without one. The user may repair or remove its unreadable entries
            freely, unless that leaves the list empty: the last good list is in force in their place.
        annotations: Of the object to store.
        where: Path of the list in the object, such as `spec.trust.additionalTrustedCAs`.
        at: The time for which certificates are checked.
    """
    merged = merge_lists(scope.parse_scoped_list(after, annotations, where=where), None, OVERRIDE)
    lint_findings = lint([(entry.name, entry.data) for entry in after], at, where=where)
    if not merged.is_valid:
        return [*merged.findings, *lint_findings]
    removed = compare_fingerprints(_listed_before(before, by_name=not after), fingerprints_by_name(merged.trust))
    findings = check_removal(removed, allowed=allows_removal(annotations))
    return [*merged.findings, *(finding.at(where) for finding in findings), *lint_findings]


def _listed_before(entries: Sequence[TrustedCA], *, by_name: bool) -> FingerprintsByName:
    """Return the certificates of a stored list; with `by_name`, include unreadable entries under their names."""
    readable = fingerprints_by_name(parse_list(entries).trust)
    return {**({entry.name: (entry.name,) for entry in entries} if by_name else {}), **readable}
