"""Name constraints of a chain, checked as Go 1.26 does.

Go sorts the constraints, drops those covered by others, and finds the nearest one by binary search. Comparing with all
constraints would give the same result except in corner cases, such as networks with host bits. This module searches as
Go does to match it in those cases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trustplane.certificates.verification.addresses import (
    IPV4_OCTETS,
    address_text,
    is_address,
    network_text,
    unmapped,
)
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.domains import Mailbox, is_domain, lower_ascii, read_mailbox
from trustplane.certificates.verification.name_constraints import Network, Subtrees
from trustplane.certificates.verification.quoting import quote
from trustplane.certificates.verification.uris import URI

C = TypeVar("C")
V = TypeVar("V")


class ConstraintError(ValueError):
    """A constraint forbids a name, or cannot be compared with it. The message is Go's."""


def constraint_error(chain: Sequence[GoCertificate]) -> str:
    """Return Go's message for the first name that violates a constraint of a certificate above it, or ""."""
    rules = [(index, _Rules(issuer)) for index, issuer in enumerate(chain) if issuer.has_name_constraints]
    try:
        for index, certificate in enumerate(chain):
            above = [rule for at, rule in rules if at > index]
            if certificate.has_san and above:
                _check(certificate, above)
    except ConstraintError as error:
        return str(error)
    return ""


def _check(certificate: GoCertificate, rules: Sequence["_Rules"]) -> None:
    uris = [(uri, _uri_domain(uri)) for uri in certificate.uris]
    mailboxes = [_mailbox(address) for address in certificate.email_addresses]
    for rule in rules:
        rule.check(certificate, uris, mailboxes)


class _Rules:
    """The name constraints of one certificate."""

    def __init__(self, certificate: GoCertificate) -> None:
        permitted, excluded = certificate.name_constraints.permitted, certificate.name_constraints.excluded
        self._networks = _Pair("IP address", _networks(permitted), _networks(excluded))
        self._domains = _Pair("DNS name", *_both(permitted.domains, excluded.domains))
        self._uris = _Pair("URI", *_both(permitted.uri_domains, excluded.uri_domains))
        self._emails = _Pair("email address", _emails(permitted, permits=True), _emails(excluded, permits=False))

    def check(self, certificate: GoCertificate, uris: list[tuple[URI, str]], mailboxes: list[Mailbox]) -> None:
        for address in certificate.ip_addresses:
            self._networks.check(address, address_text(address))
        for name in certificate.dns_names:
            if not is_domain(name):
                raise ConstraintError(f"x509: cannot parse dnsName {quote(name)}")
            self._domains.check(name, name)
        for uri, domain in uris:
            if not is_domain(domain):
                raise ConstraintError(f"x509: internal error: URI SAN {quote(uri.text)} failed to parse")
            self._uris.check(domain, uri.text)
        for mailbox in mailboxes:
            if not is_domain(mailbox.domain):
                raise ConstraintError(f"x509: cannot parse rfc822Name {quote(str(mailbox))}")
            self._emails.check(mailbox, str(mailbox))


Query = Callable[[V], str | None]  # returns the text of the constraint that covers a value


@dataclass(frozen=True)
class _Pair(Generic[V]):
    """The constraints on one kind of name; None: no constraints."""

    kind: str
    permitted: Query[V] | None
    excluded: Query[V] | None

    def check(self, value: V, text: str) -> None:
        if self.permitted and self.permitted(value) is None:
            raise ConstraintError(f"{self.kind} {quote(text)} is not permitted by any constraint")
        exclusion = self.excluded(value) if self.excluded else None
        if exclusion is not None:
            raise ConstraintError(f"{self.kind} {quote(text)} is excluded by constraint {quote(exclusion)}")


def _search(ordered: Sequence[C], compare: Callable[[C], int], covers: Callable[[C], bool]) -> C | None:
    """Find the constraint equal to a value, or else the preceding one if it covers the value."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if compare(ordered[middle]) < 0:
            low = middle + 1
        else:
            high = middle
    if low < len(ordered) and compare(ordered[low]) == 0:
        return ordered[low]
    nearest = ordered[max(low - 1, 0)] if ordered else None
    return nearest if nearest is not None and covers(nearest) else None


def _prune(ordered: Sequence[C], covers: Callable[[C, C], bool]) -> list[C]:
    kept: list[C] = []
    for constraint in ordered:
        if not kept or not covers(kept[-1], constraint):
            kept.append(constraint)
    return kept


def _both(permitted: list[str], excluded: list[str]) -> tuple[Query[str] | None, Query[str] | None]:
    return _domains(permitted, permits=True), _domains(excluded, permits=False)


def _domains(names: Sequence[str], *, permits: bool) -> Query[str] | None:
    if not names:
        return None
    if "" in names:
        return lambda _: ""
    ordered = _prune(sorted(names, key=_domain_key), _is_below)
    parents = {} if permits else dict(_parents(ordered))

    def query(name: str) -> str | None:
        key = _domain_key(name)
        domain = _search(
            ordered,
            lambda candidate: _compare(_domain_key(candidate), key),
            lambda candidate: _is_below(candidate, name),
        )
        if domain is None and name.startswith("*"):
            return parents.get(_without_first_label(name.lower()))
        return domain

    return query


def _parents(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (".b.c", "a.b.c") for an excluded a.b.c, which a wildcard *.b.c covers."""
    for name in names:
        parent = _without_first_label(name.lower())
        if parent:
            yield parent, name.lower()


def _without_first_label(name: str) -> str:
    return name[name.index(".") :] if "." in name else ""


_DOT_FIRST = {ord("."): 0}  # sorts a domain directly before its subdomains


def _domain_key(name: str) -> str:
    return lower_ascii(name)[::-1].translate(_DOT_FIRST)


def _compare(left: str, right: str) -> int:
    return (left > right) - (left < right)


def _is_below(constraint: str, name: str) -> bool:
    """Return whether a name is the constraint's domain or a subdomain; with a leading dot, only subdomains match."""
    if not lower_ascii(name).endswith(lower_ascii(constraint)):
        return False
    return constraint[0] == "." or len(name) == len(constraint) or name[-len(constraint) - 1] == "."


def _networks(subtrees: Subtrees) -> Query[bytes] | None:
    if not subtrees.networks:
        return None
    ordered = sorted(subtrees.networks, key=lambda network: (network.address, network.mask))
    families = {
        is_v4: _prune([network for network in ordered if (len(network.address) == IPV4_OCTETS) is is_v4], _covers)
        for is_v4 in (True, False)
    }

    def query(address: bytes) -> str | None:
        family = families[len(address) == IPV4_OCTETS]
        network = _search(
            family,
            lambda candidate: _compare_octets(candidate.address, address),
            lambda candidate: _contains(candidate, address),
        )
        return None if network is None else network_text(network.address, network.mask)

    return query


def _compare_octets(left: bytes, right: bytes) -> int:
    return (left > right) - (left < right)


def _covers(network: Network, other: Network) -> bool:
    last = bytes(octet | ~mask & 0xFF for octet, mask in zip(other.address, other.mask, strict=True))
    return _contains(network, other.address) and _contains(network, last)


def _contains(network: Network, address: bytes) -> bool:
    """Return whether a network contains an address; IPv4 mapped into IPv6 counts as IPv4."""
    base, candidate = unmapped(network.address), unmapped(address)
    mask = network.mask[-len(base) :]
    return len(base) == len(candidate) and all(
        left & bits == right & bits for left, right, bits in zip(base, candidate, mask, strict=True)
    )


def _emails(subtrees: Subtrees, *, permits: bool) -> Query[Mailbox] | None:
    if not subtrees.emails:
        return None
    exact = {_mailbox(address) for address in subtrees.emails if "@" in address}
    domains = _domains([address for address in subtrees.emails if "@" not in address], permits=permits)

    def query(mailbox: Mailbox) -> str | None:
        if mailbox in exact:
            return str(mailbox)
        return domains(mailbox.domain) if domains else None

    return query


def _mailbox(address: str) -> Mailbox:
    mailbox = read_mailbox(address)
    if mailbox is None:
        raise ConstraintError(f"cannot parse rfc822Name {quote(address)}")
    return Mailbox(mailbox.local, lower_ascii(mailbox.domain))


def _uri_domain(uri: URI) -> str:
    host = uri.host.lower()
    if not host:
        raise ConstraintError(f"URI with empty host ({quote(uri.text)}) cannot be matched against constraints")
    if ":" in host and not host.endswith("]"):
        host = _without_port(uri.host)
    if is_address(host) or (host.startswith("[") and host.endswith("]")):
        raise ConstraintError(f"URI with IP ({quote(uri.text)}) cannot be matched against constraints")
    return host


def _without_port(host: str) -> str:
    """Split off a port as Go's net.SplitHostPort does."""
    name, _, _ = host.rpartition(":")
    if host.startswith("["):
        if not name.endswith("]"):
            raise ConstraintError(f"cannot parse URI host {quote(host)}: address {host}: missing port in address")
        name = name[1:-1]
    elif ":" in name:
        raise ConstraintError(f"cannot parse URI host {quote(host)}: address {host}: too many colons in address")
    if "[" in name or "]" in name:
        raise ConstraintError(f"cannot parse URI host {quote(host)}: address {host}: unexpected bracket in address")
    return name
