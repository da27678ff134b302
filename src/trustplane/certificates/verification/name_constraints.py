"""The name constraints extension (RFC 5280, section 4.2.1.10) as Go parses it."""

from dataclasses import dataclass, field

from trustplane.certificates.verification.addresses import IPV4_OCTETS, IPV6_OCTETS, read_address
from trustplane.certificates.verification.der import SEQUENCE, DerReader, MalformedError
from trustplane.certificates.verification.domains import is_domain, read_mailbox
from trustplane.certificates.verification.quoting import quote

_INVALID = "x509: invalid NameConstraints extension"
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_PERMITTED, _EXCLUDED = 0xA0, 0xA1


@dataclass(frozen=True)
class Network:
    """An IP constraint: address and mask, 4 or 16 octets each."""

    address: bytes
    mask: bytes


@dataclass
class Subtrees:
    """The permitted or the excluded names of one certificate."""

    domains: list[str] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    uri_domains: list[str] = field(default_factory=list)


@dataclass
class NameConstraints:
    """The names that certificates below a CA may have."""

    permitted: Subtrees = field(default_factory=Subtrees)
    excluded: Subtrees = field(default_factory=Subtrees)
    has_other_kinds: bool = False  # kinds of names that Go does not check, such as directory names


def read_name_constraints(value: bytes) -> NameConstraints:
    """Parse the extension's value. Raises MalformedError."""
    outer = DerReader(value)
    reader = DerReader(outer.read(SEQUENCE, _INVALID))
    permitted = reader.optional(_PERMITTED, _INVALID)
    excluded = reader.optional(_EXCLUDED, _INVALID)
    if outer or reader:
        raise MalformedError(_INVALID)
    if not permitted and not excluded:
        raise MalformedError("x509: empty name constraints extension")
    out = NameConstraints()
    for content, subtrees in ((permitted, out.permitted), (excluded, out.excluded)):
        items = DerReader(content or b"")
        while items:
            tag, base = items.sequence(_INVALID).any(_INVALID)
            out.has_other_kinds |= not _add(subtrees, tag, base)
    return out


def _add(subtrees: Subtrees, tag: int, base: bytes) -> bool:
    if tag == _DNS:
        subtrees.domains.append(_domain(base, "dnsName"))
    elif tag == _IP:
        subtrees.networks.append(_network(base))
    elif tag == _EMAIL:
        subtrees.emails.append(_email(base))
    elif tag == _URI:
        subtrees.uri_domains.append(_uri_domain(base))
    else:
        return False
    return True


def _text(base: bytes) -> str:
    if not base.isascii():
        quoted = quote(base.decode(errors="surrogateescape"))
        raise MalformedError(f"x509: invalid constraint value: x509: {quoted} cannot be encoded as an IA5String")
    return base.decode("ascii")


def _domain(base: bytes, kind: str) -> str:
    text = _text(base)
    if not is_domain(text, constraint=True):
        raise MalformedError(f"x509: failed to parse {kind} constraint {quote(text)}")
    return text


def _email(base: bytes) -> str:
    text = _text(base)
    if "@" not in text:
        return _domain(base, "rfc822Name")
    if read_mailbox(text) is None:
        raise MalformedError(f"x509: failed to parse rfc822Name constraint {quote(text)}")
    return text


def _uri_domain(base: bytes) -> str:
    text = _text(base)
    if read_address(text) is not None:
        raise MalformedError(f"x509: failed to parse URI constraint {quote(text)}: cannot be IP address")
    return _domain(base, "URI")


def _network(base: bytes) -> Network:
    if len(base) not in {2 * IPV4_OCTETS, 2 * IPV6_OCTETS}:
        raise MalformedError(f"x509: IP constraint contained value of length {len(base)}")
    half = len(base) // 2
    mask = base[half:]
    bits = int.from_bytes(mask, "big")
    width = half * 8
    if bits != ((1 << bits.bit_count()) - 1) << (width - bits.bit_count()):
        raise MalformedError(f"x509: IP constraint contained invalid mask {mask.hex()}")
    return Network(base[:half], mask)
