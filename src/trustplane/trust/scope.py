"""Scopes of a list's entries: annotation `trustplane.dev/registry-scope`. Pure.

The value is `NAME=HOST, NAME=HOST, ...`. A name may have several hosts, and a host several names. An entry that the
annotation does not name is node-wide. An invalid value makes the whole list invalid (rule P10): otherwise whole nodes
would trust the entry that the value was meant to limit.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.configuration import TrustedCA
from trustplane.certificates.finding import Finding
from trustplane.trust import entries
from trustplane.trust.entries import ParsedList, is_entry_name
from trustplane.trust.memory import ListCache
from trustplane.trust.node_files import is_registry_host

_MEMORY: ListCache[ParsedList] = ListCache()
_SEPARATOR = re.compile(r"[,\n]")


def parse_scoped_list(listed: Sequence[TrustedCA], annotations: Mapping[str, str], *, where: str) -> ParsedList:
    """Parse a list together with its object's annotations. Never raises; see `entries.parse_list`."""
    pairs = [(entry.name, entry.data) for entry in listed]
    return parse_scoped_entries(pairs, annotations.get(REGISTRY_SCOPE, ""), where=where)


def parse_scoped_entries(listed: Sequence[tuple[str, str]], scopes: str, *, where: str) -> ParsedList:
    """Parse entries, each a name and base64 of PEM, with the value of the annotation, as `parse_scoped_list` does."""
    parts = (where, scopes, *(part for pair in listed for part in pair))
    return _MEMORY.get_or_parse(parts, lambda: _read(listed, scopes, where))


def _read(listed: Sequence[tuple[str, str]], scopes: str, where: str) -> ParsedList:
    reading = entries.parse_entries(listed, where=where)
    hosts, findings = parse_scopes(scopes, {name for name, _ in listed})
    if findings:
        return ParsedList(findings=(*reading.findings, *findings))
    return ParsedList(reading.trust.with_scopes(hosts), reading.findings)


def parse_scopes(text: str, names: Collection[str]) -> tuple[dict[str, tuple[str, ...]], tuple[Finding, ...]]:
    """Return the hosts by entry name, and the errors of the value.

    Args:
        text: Value of the annotation; a value without names equals a missing annotation.
        names: Of the entries of the list.
    """
    hosts: dict[str, set[str]] = {}
    findings: list[Finding] = []
    for index, part in enumerate(part.strip() for part in _SEPARATOR.split(text)):
        if not part:
            continue
        name, _, host = (side.strip() for side in part.partition("="))
        finding = _check(name, host, names)
        if finding:
            findings.append(finding.at(f"{REGISTRY_SCOPE}[{index}]"))
        else:
            hosts.setdefault(name, set()).add(host)
    return {name: tuple(sorted(scope)) for name, scope in sorted(hosts.items())}, tuple(findings)


def render_scopes(hosts: Mapping[str, Sequence[str]]) -> str:
    """Return the value of the annotation for these hosts by entry name."""
    return ", ".join(f"{name}={host}" for name, scope in sorted(hosts.items()) for host in scope)


def _check(name: str, host: str, names: Collection[str]) -> Finding | None:
    if not is_entry_name(name) or not host:
        return BAD_SCOPE
    if not is_registry_host(host):
        return _bad_host(name)
    return None if name in names else _unknown_entry(name)


BAD_SCOPE = Finding(
    code="bad-scope",
    what="is not NAME=HOST",
    why="It limits an entry of the trust list to a registry, as in corp-apps=apps.corp.test:5000",
    next_step="Correct the annotation, or remove it to make all entries node-wide",
)


def _bad_host(name: str) -> Finding:
    return Finding(
        code="bad-scope-host",
        what=f"has no valid registry host for entry {name}",
        why="It must be a host as in an image reference, host or host:port, with brackets around an IPv6 address",
        next_step="Write it without https:// and without a path",
    )


def _unknown_entry(name: str) -> Finding:
    return Finding(
        code="unknown-scope-entry",
        what=f"names entry {name}, which is not in the list of this object",
        why="An object can scope only the entries of its own list",
        next_step="Correct the name, or remove it from the annotation",
    )
