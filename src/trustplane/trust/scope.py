"""Entries of a list that are for some registries only: annotation `trustplane.dev/registry-scope`. Pure.

Its value is `NAME=HOST, NAME=HOST, ...`: a name may have several hosts, and a host several names. What it does not name
is for the whole node. A value that cannot be understood breaks the whole list (rule P10): the entry that it should have
named would otherwise be trusted by whole nodes.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.configuration import TrustedCA
from trustplane.certificates.finding import Finding
from trustplane.trust import entries
from trustplane.trust.entries import Reading, is_name
from trustplane.trust.memory import Memory
from trustplane.trust.places import is_host

_MEMORY = Memory()
_SEPARATOR = re.compile(r"[,\n]")


def read(listed: Sequence[TrustedCA], annotations: Mapping[str, str], *, where: str) -> Reading:
    """Parse a list together with the annotations of the object that has it. Never raises; see `entries.read`."""
    text = annotations.get(REGISTRY_SCOPE, "")
    parts = (where, text, *(part for one in listed for part in (one.name, one.data)))
    return _MEMORY.reading(parts, lambda: _read(listed, text, where))


def _read(listed: Sequence[TrustedCA], text: str, where: str) -> Reading:
    reading = entries.read(listed, where=where)
    hosts, findings = parse(text, {one.name for one in listed})
    if findings:
        return Reading(findings=(*reading.findings, *findings))
    return Reading(reading.trust.scoped(hosts), reading.findings)


def parse(text: str, names: Collection[str]) -> tuple[dict[str, tuple[str, ...]], tuple[Finding, ...]]:
    """Return hosts by name, and what is wrong with the value.

    Args:
        text: The value of the annotation; one without any name is as good as none.
        names: Of the entries of the list.
    """
    hosts: dict[str, set[str]] = {}
    findings: list[Finding] = []
    for index, part in enumerate(one.strip() for one in _SEPARATOR.split(text)):
        if not part:
            continue
        name, _, host = (one.strip() for one in part.partition("="))
        wrong = _wrong(name, host, names)
        if wrong:
            findings.append(wrong.at(f"{REGISTRY_SCOPE}[{index}]"))
        else:
            hosts.setdefault(name, set()).add(host)
    return {name: tuple(sorted(found)) for name, found in sorted(hosts.items())}, tuple(findings)


def text(hosts: Mapping[str, Sequence[str]]) -> str:
    """Return the value that says so."""
    return ", ".join(f"{name}={host}" for name, found in sorted(hosts.items()) for host in found)


def _wrong(name: str, host: str, names: Collection[str]) -> Finding | None:
    if not is_name(name) or not host:
        return BAD_SCOPE
    if not is_host(host):
        return _bad_host(name)
    return None if name in names else _unknown_entry(name)


BAD_SCOPE = Finding(
    code="bad-scope",
    what="is not NAME=HOST",
    why="It says which registries an entry of the trust list is for, as in corp-apps=apps.corp.test:5000",
    next_step="Correct the annotation, or remove it to trust all entries for whole nodes",
)


def _bad_host(name: str) -> Finding:
    return Finding(
        code="bad-scope-host",
        what=f"names no host of a registry for entry {name}",
        why="It must be the host as in the names of images, host or host:port, an IPv6 address in brackets",
        next_step="Write it without https:// and without a path",
    )


def _unknown_entry(name: str) -> Finding:
    return Finding(
        code="unknown-scope-entry",
        what=f"names entry {name}, which the list of this object does not have",
        why="An entry is scoped by the object whose list has it",
        next_step="Correct the name, or remove it from the annotation",
    )
