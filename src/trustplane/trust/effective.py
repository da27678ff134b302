"""The set that a cluster should have: the service's list and the cluster's own, by the merge policy."""

from trustplane.api.limits import MAX_ENTRIES, MAX_PEM_BYTES
from trustplane.certificates.finding import Finding, Severity
from trustplane.trust.entries import Reading, TrustSet
from trustplane.trust.policy import APPEND


def effective(service: Reading, own: Reading | None, merge: str) -> Reading:
    """Return the set that a cluster should have, with the findings of the lists that it is made of.

    Args:
        service: The service's list.
        own: The cluster's own list; None where it has none. An own list without entries means: trust none.
        merge: `Override` (the own list replaces the service's) or `Append` (added to it; an entry of the own list
            wins over one of the service's with the same name).
    """
    if own is None:
        return _limited(service)
    if merge != APPEND:
        return _limited(own)
    entries = {entry.name: entry for entry in (*service.trust.entries, *own.trust.entries)}
    merged = TrustSet(tuple(entries.values()))
    return _limited(Reading(merged, (*service.findings, *own.findings, *_overlaps(service.trust, own.trust))))


def _overlaps(service: TrustSet, own: TrustSet) -> list[Finding]:
    theirs = {entry.name: entry.fingerprints for entry in service.entries}
    return [
        Finding(
            code="name-in-both",
            severity=Severity.WARNING,
            what=f"Entry {entry.name} of the cluster replaces the service's entry of that name",
            why="Both would be written to the same file on every node, and their certificates differ",
            next_step="Rename the cluster's entry to have both",
        )
        for entry in own.entries
        if theirs.get(entry.name, entry.fingerprints) != entry.fingerprints
    ]


def _limited(reading: Reading) -> Reading:
    size = sum(len(pem) for pem in reading.trust.pems().values())
    if len(reading.trust) <= MAX_ENTRIES and size <= MAX_PEM_BYTES:
        return reading
    finding = Finding(
        code="too-many",
        what=f"The list has {len(reading.trust)} entries and {size} bytes of PEM",
        why=f"A node's bootstrap data holds at most {MAX_ENTRIES} entries and {MAX_PEM_BYTES} bytes",
        next_step="Remove CAs that sign none of your registries' certificates, or put several into one entry",
    )
    return Reading(reading.trust, (*reading.findings, finding))
