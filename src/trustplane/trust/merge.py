"""The desired set of a cluster: the service's list and the cluster's own list, combined by the merge policy."""

from trustplane.api.limits import MAX_CONTENT, MAX_ENTRIES, MAX_PEM_BYTES
from trustplane.certificates.finding import Finding, Severity, error
from trustplane.trust.entries import ParsedList, TrustSet
from trustplane.trust.node_files import render_hosts_toml
from trustplane.trust.policy import APPEND


def merge_lists(service: ParsedList, own: ParsedList | None, merge: str) -> ParsedList:
    """Return the desired set of a cluster, with the findings of the lists that contribute to it.

    Args:
        service: The service's list.
        own: The cluster's own list; None without one. An own list without entries trusts no additional CA.
        merge: `Override` (the own list replaces the service's) or `Append` (both are combined; an entry of the own
            list replaces the service's entry of the same name).
    """
    if own is None:
        return _check_size(service)
    if merge != APPEND:
        return _check_size(own)
    entries = {entry.name: entry for entry in (*service.trust.entries, *own.trust.entries)}
    merged = TrustSet(tuple(entries.values()))
    return _check_size(ParsedList(merged, (*service.findings, *own.findings, *_overlaps(service.trust, own.trust))))


def _overlaps(service: TrustSet, own: TrustSet) -> list[Finding]:
    contents = {entry.name: (entry.fingerprints, entry.scope) for entry in service.entries}
    return [
        Finding(
            code="name-in-both",
            severity=Severity.WARNING,
            what=f"Entry {entry.name} of the cluster replaces the service's entry of that name",
            why="A set has one entry per name, and the certificates or registries of the two entries differ",
            next_step="Rename the cluster's entry to keep both",
        )
        for entry in own.entries
        if contents.get(entry.name, (entry.fingerprints, entry.scope)) != (entry.fingerprints, entry.scope)
    ]


def _check_size(reading: ParsedList) -> ParsedList:
    """Add a finding if the set is too large for a node."""
    copies = [(entry, max(1, len(entry.scope))) for entry in reading.trust.entries]
    lengths = _toml_lengths(reading.trust)
    files = sum(count for _, count in copies) + len(lengths)
    octets = sum(len(entry.pem) * count for entry, count in copies)
    finding = check_set_size(files, octets, max(lengths.values(), default=0))
    if finding is None or finding in reading.findings:
        return reading
    return ParsedList(reading.trust, (*reading.findings, finding))


def _toml_lengths(trust: TrustSet) -> dict[str, int]:
    """Return the length of each registry's `hosts.toml`, in characters."""
    hosts = {host for scope in trust.scopes.values() for host in scope}
    return {
        host: len(render_hosts_toml(host, [name for name, scope in trust.scopes.items() if host in scope]))
        for host in hosts
    }


def check_set_size(files: int, octets: int, longest: int = 0) -> Finding | None:
    """Return a finding if a set is too large for a node, else None.

    Args:
        files: Number of files: one per entry and registry, and one `hosts.toml` per registry.
        octets: Bytes of PEM in them.
        longest: Characters of the longest `hosts.toml`.
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
