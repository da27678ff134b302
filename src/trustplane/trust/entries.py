"""Trust set: named entries of certificates, compared by certificates alone.

Encoding, line lengths and order of a list do not change the trust, so comparisons ignore them (rule P7).
"""

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from trustplane.api.configuration import TrustedCA
from trustplane.api.limits import MAX_NAME_LENGTH, NAME_PATTERN
from trustplane.certificates.defects import PRIVATE_KEY
from trustplane.certificates.finding import Finding, Severity, error
from trustplane.certificates.parsing import Certificate, holds_private_key, parse, parse_pem

SHORT_DIGEST_LENGTH = (
    10  # hexadecimal digits of a digest that name an object: 40 bits, among the few sets of one cluster
)

_MAX_SHOWN = 40  # characters of an invalid name
_NAME = re.compile(NAME_PATTERN.removesuffix("$"))


@dataclass(frozen=True)
class TrustListEntry:
    """Trust anchors under one name, trusted by the whole node or for some registries only."""

    name: str
    certificates: tuple[Certificate, ...]  # at least one, no duplicates, in the author's order
    scope: tuple[str, ...] = ()  # the scope, sorted; empty: node-wide

    @property
    def pem(self) -> str:
        """Content of the file."""
        return "".join(certificate.pem for certificate in self.certificates)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 fingerprints, sorted."""
        return tuple(sorted(certificate.fingerprint for certificate in self.certificates))


@dataclass(frozen=True, eq=False)
class TrustSet:
    """Entries sorted by name; two sets are equal if their names, certificates and scopes are equal."""

    entries: tuple[TrustListEntry, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.name)))

    @classmethod
    def from_pem(cls, pem_by_name: Mapping[str, str]) -> "TrustSet | None":
        """Return the set of these node-wide entries; None if a name or its PEM is invalid."""
        parsed = {name: parse_pem(pem.encode()) for name, pem in pem_by_name.items()}
        if not all(is_entry_name(name) and entry.ok for name, entry in parsed.items()):
            return None
        return cls(tuple(TrustListEntry(name, entry.certificates) for name, entry in parsed.items()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names, certificates and scopes, 64 hexadecimal digits."""
        return hashlib.sha256("".join(map(_line, self.entries)).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first digits of the digest, for object names and messages."""
        return self.digest[:SHORT_DIGEST_LENGTH]

    @property
    def names(self) -> list[str]:
        """Names of the entries, sorted."""
        return [entry.name for entry in self.entries]

    @property
    def scopes(self) -> dict[str, tuple[str, ...]]:
        """Scopes of the registry-scoped entries, by name."""
        return {entry.name: entry.scope for entry in self.entries if entry.scope}

    @property
    def node_wide(self) -> "TrustSet":
        """The node-wide entries: containerd loads them when it starts."""
        return TrustSet(tuple(entry for entry in self.entries if not entry.scope))

    def for_host(self, host: str) -> "TrustSet":
        """Return the entries trusted for a registry."""
        return TrustSet(tuple(entry for entry in self.entries if not entry.scope or host in entry.scope))

    def with_scopes(self, hosts: Mapping[str, Iterable[str]]) -> "TrustSet":
        """Return the same entries with these scopes, by name; others become node-wide."""
        return TrustSet(
            tuple(replace(entry, scope=tuple(sorted(set(hosts.get(entry.name, ()))))) for entry in self.entries)
        )

    def pem_by_name(self) -> dict[str, str]:
        """Return the certificates of each entry by its name."""
        return {entry.name: entry.pem for entry in self.entries}

    def __len__(self) -> int:
        return len(self.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustSet) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


EMPTY_SET = TrustSet()


def _line(entry: TrustListEntry) -> str:
    # Without a scope, the line equals that of releases without scopes: an upgrade does not change their digests.
    return " ".join([entry.name, *entry.fingerprints, *(["@", *entry.scope] if entry.scope else [])]) + "\n"


@dataclass(frozen=True)
class ParsedList:
    """A parsed list: its valid entries, and the findings of the others.

    A set with an error differs from the list that the user wrote: do not put it in force (rule P10).
    """

    trust: TrustSet = EMPTY_SET
    findings: tuple[Finding, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the list has no errors."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def parse_list(entries: Sequence[TrustedCA], *, where: str = "additionalTrustedCAs") -> ParsedList:
    """Parse a list. Never raises; each finding has `where`, index and name of its entry."""
    return parse_entries([(entry.name, entry.data) for entry in entries], where=where)


def parse_entries(entries: Iterable[tuple[str, str]], *, where: str = "additionalTrustedCAs") -> ParsedList:
    """Parse entries, each a name and base64 of PEM, as `parse_list` does."""
    valid: dict[str, TrustListEntry] = {}
    findings: list[Finding] = []
    names: set[str] = set()
    for index, (name, data) in enumerate(entries):
        place = f"{where}[{index}] ({printable_name(name)})"
        parsed = parse(data)
        name_finding = check_entry_name(name, names)
        entry_findings = (name_finding, *parsed.findings) if name_finding else parsed.findings
        names.add(name)
        findings.extend(finding.at(place) for finding in entry_findings)
        if not entry_findings:
            valid[name] = TrustListEntry(name, parsed.certificates)
    return ParsedList(TrustSet(tuple(valid.values())), tuple(findings))


def check_entry_name(name: str, earlier: Container[str]) -> Finding | None:
    """Return the error of an entry's name, if any; `earlier`: the names before it in the list."""
    if holds_private_key(name.encode(errors="replace")):
        return KEY_AS_NAME
    if not is_entry_name(name):
        return BAD_NAME
    return DUPLICATE_NAME if name in earlier else None


def is_entry_name(name: str) -> bool:
    """Return whether a name is valid: its file must stay inside its directory on every node."""
    return len(name) <= MAX_NAME_LENGTH and bool(_NAME.fullmatch(name))


def printable_name(name: str) -> str:
    """Return a name for messages, or only its length if it may be a private key pasted into the wrong field."""
    is_short = len(name) <= (MAX_NAME_LENGTH if is_entry_name(name) else _MAX_SHOWN)
    return name if is_short and not holds_private_key(name.encode(errors="replace")) else f"{len(name)} characters"


BAD_NAME = error(
    "bad-name",
    "name cannot be part of a file name",
    f"Nodes store the entry in /etc/ssl/certs/tkg-<name>.pem; letters, digits, '-', '_' and '.' are allowed, "
    f"at most {MAX_NAME_LENGTH} of them, not beginning with '..'",
    "Rename the entry",
)
KEY_AS_NAME = replace(PRIVATE_KEY, what="name holds a private key")
DUPLICATE_NAME = error(
    "duplicate-name",
    "name is used twice in this list",
    "Two entries would be written to the same file on every node",
    "Rename one of them, or put both certificates into one entry",
)


@dataclass(frozen=True)
class SetDifference:
    """The difference between two sets, by entry names."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    text: str = ""  # for messages: each name with the short fingerprints of its certificates

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare_sets(current: TrustSet, desired: TrustSet) -> SetDifference:
    """Compare two sets by names, certificates and scopes."""
    old = {entry.name: entry for entry in current.entries}
    new = {entry.name: entry for entry in desired.entries}
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    changed = tuple(name for name in new if name in old and _line(new[name]) != _line(old[name]))
    parts = (
        *(f"add {describe_entry(new[name])}" for name in added),
        *(f"remove {describe_entry(old[name])}" for name in removed),
        *(f"change {describe_entry(old[name])} to {_brief(new[name], old[name])}" for name in changed),
    )
    return SetDifference(added, removed, changed, "; ".join(parts))


def update_advice(change: SetDifference, command: str) -> str:
    """Return the advice to take a change now, with a warning if the change removes trust."""
    warning = f", which removes trust in {', '.join(change.removed)}" if change.removed else ""
    return f"Take it now{warning}: `{command}`"


def describe_entry(entry: TrustListEntry) -> str:
    """Describe an entry by its name, short fingerprints and scope."""
    return f"{entry.name} ({_brief(entry, entry)})"


def _brief(entry: TrustListEntry, before: TrustListEntry) -> str:
    fingerprints = " ".join(fingerprint[:SHORT_DIGEST_LENGTH] for fingerprint in entry.fingerprints)
    if entry.scope:
        return f"{fingerprints} for {' '.join(entry.scope)}"
    return f"{fingerprints} node-wide" if before.scope else fingerprints
