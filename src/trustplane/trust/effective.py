"""The set that a cluster should have: the service's list and the cluster's own, by the merge policy."""

from trustplane.api.limits import MAX_CONTENT, MAX_ENTRIES, MAX_PEM_BYTES
from trustplane.certificates.finding import Finding, Severity, error
from trustplane.trust.entries import Reading, TrustSet
from trustplane.trust.places import toml
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
    theirs = {entry.name: (entry.fingerprints, entry.hosts) for entry in service.entries}
    return [
        Finding(
            code="name-in-both",
            severity=Severity.WARNING,
            what=f"Entry {entry.name} of the cluster replaces the service's entry of that name",
            why="A set has one entry of a name, and their certificates or registries differ",
            next_step="Rename the cluster's entry to have both",
        )
        for entry in own.entries
        if theirs.get(entry.name, (entry.fingerprints, entry.hosts)) != (entry.fingerprints, entry.hosts)
    ]


def _limited(reading: Reading) -> Reading:
    copies = [(entry, max(1, len(entry.hosts))) for entry in reading.trust.entries]
    tomls = _tomls(reading.trust)
    files = sum(count for _, count in copies) + len(tomls)
    finding = too_many(files, sum(len(entry.pem) * count for entry, count in copies), max(tomls.values(), default=0))
    if finding is None or finding in reading.findings:
        return reading
    return Reading(reading.trust, (*reading.findings, finding))


def _tomls(trust: TrustSet) -> dict[str, int]:
    """Return the length of the file that names the entries of a registry, by registry."""
    hosts = {host for found in trust.hosts.values() for host in found}
    return {host: len(toml(host, [name for name, found in trust.hosts.items() if host in found])) for host in hosts}


def too_many(files: int, octets: int, longest: int = 0) -> Finding | None:
    """Judge a list by what it takes on a node; None where a node can hold it.

    Args:
        files: One for each entry, or for each registry that it is for, and one for each of these registries.
        octets: Of their PEM.
        longest: Characters of the longest file that names the entries of a registry.
    """
    if files <= MAX_ENTRIES and octets <= MAX_PEM_BYTES and longest <= MAX_CONTENT:
        return None
    return error(
        "too-many",
        f"The list takes {files} files and {octets} bytes of PEM on a node",
        f"A node's bootstrap data holds at most {MAX_ENTRIES} files and {MAX_PEM_BYTES} bytes, and "
        f"{MAX_CONTENT} characters of paths for one registry",
        "Remove CAs that sign none of your registries' certificates, or put several into one entry",
    )
