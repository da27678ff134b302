"""A trust set: named entries of certificates, compared by certificates alone.

How a list was encoded, wrapped or ordered says nothing about what is trusted, so it does not count (rule P7).
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
from trustplane.certificates.parsing import Certificate, holds_private_key, parse

SHORT = 10  # hexadecimal digits of a digest that name an object: 40 bits, among the few sets of one cluster

_MAX_SHOWN = 40  # characters of a name that is none
_NAME = re.compile(NAME_PATTERN.removesuffix("$"))


@dataclass(frozen=True)
class Entry:
    """What every node trusts: for all that it does, or for some registries only."""

    name: str
    certificates: tuple[Certificate, ...]  # at least one, each once, in the author's order
    hosts: tuple[str, ...] = ()  # registries that it is for, sorted; none: it is for the whole node

    @property
    def pem(self) -> str:
        """Content of the file."""
        return "".join(one.pem for one in self.certificates)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 fingerprints, sorted."""
        return tuple(sorted(one.fingerprint for one in self.certificates))


@dataclass(frozen=True, eq=False)
class TrustSet:
    """Entries by name; equal to another when names, certificates and registries are."""

    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=lambda entry: entry.name)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, certificates and registries, 64 hexadecimal digits."""
        return hashlib.sha256("".join(map(_line, self.entries)).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The digest's first digits, for names."""
        return self.digest[:SHORT]

    @property
    def names(self) -> list[str]:
        """Names of the entries, sorted."""
        return [entry.name for entry in self.entries]

    @property
    def hosts(self) -> dict[str, tuple[str, ...]]:
        """Registries by name, of the entries that are for some only."""
        return {entry.name: entry.hosts for entry in self.entries if entry.hosts}

    @property
    def node_wide(self) -> "TrustSet":
        """The entries for the whole node: containerd loads them when it starts."""
        return TrustSet(tuple(entry for entry in self.entries if not entry.hosts))

    def serving(self, host: str) -> "TrustSet":
        """Return the entries that count for a registry."""
        return TrustSet(tuple(entry for entry in self.entries if not entry.hosts or host in entry.hosts))

    def scoped(self, hosts: Mapping[str, Iterable[str]]) -> "TrustSet":
        """Return the same entries, each for the registries that are given for its name, and for no others."""
        return TrustSet(
            tuple(replace(entry, hosts=tuple(sorted(set(hosts.get(entry.name, ()))))) for entry in self.entries)
        )

    def pems(self) -> dict[str, str]:
        """Return the certificates of each entry by its name."""
        return {entry.name: entry.pem for entry in self.entries}

    def __len__(self) -> int:
        return len(self.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustSet) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


EMPTY = TrustSet()


def _line(entry: Entry) -> str:
    # Without registries it is the line of releases that knew none: their clusters stay as they are.
    return " ".join([entry.name, *entry.fingerprints, *(["@", *entry.hosts] if entry.hosts else [])]) + "\n"


@dataclass(frozen=True)
class Reading:
    """What a list says: the entries that can be used, and what is wrong with the others.

    With any error the set is not the list that somebody wrote: it must not be put in force (rule P10).
    """

    trust: TrustSet = EMPTY
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """True when the whole list can be used."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def read(entries: Sequence[TrustedCA], *, where: str = "additionalTrustedCAs") -> Reading:
    """Parse a list. Never raises; findings carry `where`, index and name of their entry."""
    good: dict[str, Entry] = {}
    findings: list[Finding] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        place = f"{where}[{index}] ({shown(entry.name)})"
        parsed = parse(entry.data)
        named = judge_name(entry.name, seen)
        wrong = (named, *parsed.findings) if named else parsed.findings
        seen.add(entry.name)
        findings.extend(finding.at(place) for finding in wrong)
        if not wrong:
            good[entry.name] = Entry(entry.name, parsed.certificates)
    return Reading(TrustSet(tuple(good.values())), tuple(findings))


def judge_name(name: str, seen: Container[str]) -> Finding | None:
    """Return what is wrong about an entry's name; `seen`: the names before it in its list."""
    if holds_private_key(name.encode(errors="replace")):
        return KEY_AS_NAME
    if not is_name(name):
        return BAD_NAME
    return DUPLICATE_NAME if name in seen else None


def is_name(name: str) -> bool:
    """Tell whether an entry may be called so: as a file name it stays in its folder on every node."""
    return len(name) <= MAX_NAME_LENGTH and bool(_NAME.fullmatch(name))


def shown(name: str) -> str:
    """Return a name for messages. What may be a private key, pasted into the wrong field, is not repeated."""
    is_short = len(name) <= (MAX_NAME_LENGTH if is_name(name) else _MAX_SHOWN)
    return name if is_short and not holds_private_key(name.encode(errors="replace")) else f"{len(name)} characters"


BAD_NAME = error(
    "bad-name",
    "name cannot be part of a file name",
    f"Nodes keep the entry in /etc/ssl/certs/tkg-<name>.pem; letters, digits, '-', '_' and '.' are allowed, "
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
class Difference:
    """What it takes to get from one set to another, by names of entries."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    text: str = ""  # for people: each name with the short fingerprints of its certificates

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(current: TrustSet, wanted: TrustSet) -> Difference:
    """Compare two sets by names, certificates and registries."""
    old = {entry.name: entry for entry in current.entries}
    new = {entry.name: entry for entry in wanted.entries}
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    changed = tuple(name for name in new if name in old and _line(new[name]) != _line(old[name]))
    parts = (
        *(f"add {described(new[name])}" for name in added),
        *(f"remove {described(old[name])}" for name in removed),
        *(f"change {described(old[name])} to {_brief(new[name], old[name])}" for name in changed),
    )
    return Difference(added, removed, changed, "; ".join(parts))


def take_it(change: Difference, command: str) -> str:
    """Return the advice to take a change now; nobody is led to remove trust without being told."""
    lost = f", which removes trust in {', '.join(change.removed)}" if change.removed else ""
    return f"Take it now{lost}: `{command}`"


def described(entry: Entry) -> str:
    """Return an entry in words: its name, the short fingerprints of its certificates, and its registries."""
    return f"{entry.name} ({_brief(entry, entry)})"


def _brief(entry: Entry, before: Entry) -> str:
    words = " ".join(one[:SHORT] for one in entry.fingerprints)
    if entry.hosts:
        return f"{words} for {' '.join(entry.hosts)}"
    return f"{words} for the whole node" if before.hosts else words
