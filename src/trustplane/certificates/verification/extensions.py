"""Certificate extensions as Go's crypto/x509 parses them: refused, handled, or left unhandled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trustplane.certificates.verification.addresses import IPV4_OCTETS, IPV6_OCTETS
from trustplane.certificates.verification.der import (
    BOOLEAN,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    BitString,
    DerReader,
    MalformedError,
)
from trustplane.certificates.verification.domains import is_domain
from trustplane.certificates.verification.name_constraints import NameConstraints, read_name_constraints
from trustplane.certificates.verification.quoting import quote
from trustplane.certificates.verification.uris import URI, URIError, read_uri

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
INHIBIT_ANY_POLICY = "2.5.29.54"
AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"
CA_ISSUERS = "1.3.6.1.5.5.7.48.2"

ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
KEY_CERT_SIGN = 5  # bit of KeyUsage, RFC 5280, section 4.2.1.3

_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87  # context-specific tags of GeneralName
_KEY_USAGE_BITS = 9


@dataclass(frozen=True)
class Extension:
    """One extension, undecoded."""

    oid: str
    critical: bool
    value: bytes


@dataclass
class Extensions:
    """The parsed extensions of one certificate; absent ones have the defaults."""

    raw: dict[str, Extension] = field(default_factory=dict)  # by object identifier, in order
    unhandled_critical: list[str] = field(default_factory=list)
    key_usage: frozenset[int] = frozenset()  # the set bits
    has_basic_constraints: bool = False
    is_ca: bool = False
    max_path_length: int = -1  # -1: no limit
    dns_names: list[str] = field(default_factory=list)
    email_addresses: list[str] = field(default_factory=list)
    ip_addresses: list[bytes] = field(default_factory=list)
    uris: list[URI] = field(default_factory=list)
    name_constraints: NameConstraints = field(default_factory=NameConstraints)
    subject_key_id: bytes = b""
    authority_key_id: bytes = b""
    extended_key_usage: list[str] = field(default_factory=list)
    policies: list[bytes] = field(default_factory=list)  # content of the object identifiers
    policy_mappings: list[tuple[bytes, bytes]] = field(default_factory=list)  # (issuer's, subject's)
    require_explicit_policy: int | None = None
    inhibit_policy_mapping: int | None = None
    inhibit_any_policy: int | None = None
    ca_issuers: list[str] = field(default_factory=list)  # URLs of the issuer's certificate


def read_extensions(content: bytes) -> Extensions:
    """Parse the content of a SEQUENCE of extensions. Raises MalformedError if Go refuses the certificate."""
    out = Extensions()
    reader = DerReader(content)
    while reader:
        extension = _read_extension(reader.sequence("x509: malformed extension"))
        if extension.oid in out.raw:
            raise MalformedError(f'x509: certificate contains duplicate extension with OID "{extension.oid}"')
        out.raw[extension.oid] = extension
    for extension in out.raw.values():
        handler = _HANDLERS.get(extension.oid)
        handled = handler(out, extension) if handler else False
        if extension.critical and not handled:
            out.unhandled_critical.append(extension.oid)
    return out


def _read_extension(reader: DerReader) -> Extension:
    oid = reader.oid("x509: malformed extension OID field")
    critical = reader.next_is(BOOLEAN) and reader.boolean("x509: malformed extension critical field")
    return Extension(oid, critical, reader.read(OCTET_STRING, "x509: malformed extension value field"))


def _key_usage(out: Extensions, extension: Extension) -> bool:
    bits: BitString = DerReader(extension.value).bit_string("x509: invalid key usage")
    out.key_usage = frozenset(bit for bit in range(_KEY_USAGE_BITS) if bits.has(bit))
    return True


def _basic_constraints(out: Extensions, extension: Extension) -> bool:
    error = "x509: invalid basic constraints"
    reader = DerReader(extension.value).sequence(error)
    if reader.next_is(BOOLEAN):
        out.is_ca = reader.boolean(error)
    if reader.next_is(INTEGER):
        out.max_path_length = reader.int64(error)
        if out.max_path_length < 0:
            raise MalformedError(error)
    out.has_basic_constraints = True
    return True


def _subject_alternative_name(out: Extensions, extension: Extension) -> bool:
    reader = DerReader(extension.value).sequence("x509: invalid subject alternative names")
    while reader:
        tag, value = reader.any("x509: invalid subject alternative name")
        if tag == _EMAIL:
            out.email_addresses.append(_ia5(value, "rfc822Name"))
        elif tag == _DNS:
            out.dns_names.append(_ia5(value, "dNSName"))
        elif tag == _URI:
            out.uris.append(_uri(_ia5(value, "uniformResourceIdentifier")))
        elif tag == _IP:
            if len(value) not in {IPV4_OCTETS, IPV6_OCTETS}:
                raise MalformedError(f"x509: cannot parse IP address of length {len(value)}")
            out.ip_addresses.append(value)
    return bool(out.dns_names or out.email_addresses or out.ip_addresses or out.uris)


def _ia5(value: bytes, kind: str) -> str:
    if not value.isascii():
        raise MalformedError(f"x509: SAN {kind} is malformed")
    return value.decode("ascii")


def _uri(text: str) -> URI:
    try:
        uri = read_uri(text)
    except URIError as error:
        raise MalformedError(f"x509: cannot parse URI {quote(text)}: {error}") from None
    if uri.host and not is_domain(uri.host):
        raise MalformedError(f"x509: cannot parse URI {quote(text)}: invalid domain")
    return uri


def _name_constraints(out: Extensions, extension: Extension) -> bool:
    out.name_constraints = read_name_constraints(extension.value)
    return not out.name_constraints.has_other_kinds


def _crl_distribution_points(_: Extensions, extension: Extension) -> bool:
    error = "x509: invalid CRL distribution point"
    for point in _items(DerReader(extension.value).sequence(f"{error}s"), error):
        name = point.optional(0xA0, error)
        if name is not None:
            names = DerReader(DerReader(name).read(0xA0, error))
            while names.next_is(_URI):
                names.read(_URI, error)
    return True


def _items(reader: DerReader, error: str) -> Iterator[DerReader]:
    while reader:
        yield reader.sequence(error)


def _authority_key_identifier(out: Extensions, extension: Extension) -> bool:
    if extension.critical:
        raise MalformedError("x509: authority key identifier incorrectly marked critical")
    error = "x509: invalid authority key identifier"
    out.authority_key_id = DerReader(extension.value).sequence(error).optional(0x80, error) or b""
    return True


def _subject_key_identifier(out: Extensions, extension: Extension) -> bool:
    if extension.critical:
        raise MalformedError("x509: subject key identifier incorrectly marked critical")
    out.subject_key_id = DerReader(extension.value).read(OCTET_STRING, "x509: invalid subject key identifier")
    return True


def _policy_constraints(out: Extensions, extension: Extension) -> bool:
    error = "x509: invalid policy constraints extension"
    reader = DerReader(extension.value).sequence(error)
    if reader.next_is(0x80):
        out.require_explicit_policy = reader.int64(error, 0x80)
    if reader.next_is(0x81):
        out.inhibit_policy_mapping = reader.int64(error, 0x81)
    return True


def _inhibit_any_policy(out: Extensions, extension: Extension) -> bool:
    out.inhibit_any_policy = DerReader(extension.value).int64("x509: invalid inhibit any policy extension")
    return True


def _extended_key_usage(out: Extensions, extension: Extension) -> bool:
    error = "x509: invalid extended key usages"
    reader = DerReader(extension.value).sequence(error)
    while reader:
        out.extended_key_usage.append(reader.oid(error))
    return True


def _certificate_policies(out: Extensions, extension: Extension) -> bool:
    error = "x509: invalid certificate policies"
    unique: set[bytes] = set()
    for policy in _items(DerReader(extension.value).sequence(error), error):
        oid = policy.read(OBJECT_IDENTIFIER, error)
        if oid in unique or not _is_minimal_oid(oid):
            raise MalformedError(error)
        unique.add(oid)
        out.policies.append(oid)
    return True


def _is_minimal_oid(content: bytes) -> bool:
    """Return whether every part of an object identifier is complete and without leading zero bits; its size is free."""
    starts = [0, *(at + 1 for at, octet in enumerate(content[:-1]) if octet < 0x80)]  # noqa: PLR2004 - marks the last octet of a part
    return bool(content) and content[-1] < 0x80 and all(content[at] != 0x80 for at in starts)  # noqa: PLR2004


def _policy_mappings(out: Extensions, extension: Extension) -> bool:
    error = "x509: invalid policy mappings extension"
    for mapping in _items(DerReader(extension.value).sequence(error), error):
        out.policy_mappings.append((mapping.read(OBJECT_IDENTIFIER, error), mapping.read(OBJECT_IDENTIFIER, error)))
    return True


def _authority_information_access(out: Extensions, extension: Extension) -> bool:
    if extension.critical:
        raise MalformedError("x509: authority info access incorrectly marked critical")
    error = "x509: invalid authority info access"
    for description in _items(DerReader(extension.value).sequence(error), error):
        method = description.oid(error)
        if description.next_is(_URI):
            location = description.read(_URI, error)
            if method == CA_ISSUERS:
                out.ca_issuers.append(location.decode("latin-1"))
    return True


_HANDLERS: dict[str, Callable[[Extensions, Extension], bool]] = {
    SUBJECT_KEY_IDENTIFIER: _subject_key_identifier,
    KEY_USAGE: _key_usage,
    SUBJECT_ALTERNATIVE_NAME: _subject_alternative_name,
    BASIC_CONSTRAINTS: _basic_constraints,
    NAME_CONSTRAINTS: _name_constraints,
    CRL_DISTRIBUTION_POINTS: _crl_distribution_points,
    CERTIFICATE_POLICIES: _certificate_policies,
    POLICY_MAPPINGS: _policy_mappings,
    AUTHORITY_KEY_IDENTIFIER: _authority_key_identifier,
    POLICY_CONSTRAINTS: _policy_constraints,
    EXTENDED_KEY_USAGE: _extended_key_usage,
    INHIBIT_ANY_POLICY: _inhibit_any_policy,
    AUTHORITY_INFORMATION_ACCESS: _authority_information_access,
}
