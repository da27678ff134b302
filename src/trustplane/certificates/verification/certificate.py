"""Certificates as Go's crypto/x509 parses them, or the error with which Go refuses them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from trustplane.certificates.verification.der import SEQUENCE, DerReader, MalformedError
from trustplane.certificates.verification.extensions import (
    KEY_CERT_SIGN,
    NAME_CONSTRAINTS,
    SUBJECT_ALTERNATIVE_NAME,
    Extensions,
    read_extensions,
)
from trustplane.certificates.verification.instants import Instant, read_der_time
from trustplane.certificates.verification.keys import PublicKey, read_algorithm, read_key
from trustplane.certificates.verification.name_constraints import NameConstraints
from trustplane.certificates.verification.names import DistinguishedName, read_name
from trustplane.certificates.verification.signatures import Algorithm, algorithm_of
from trustplane.certificates.verification.uris import URI

_VERSION = 0xA0
_ISSUER_UNIQUE_ID = 0x81
_SUBJECT_UNIQUE_ID = 0x82
_EXTENSIONS = 0xA3
_V3 = 3


@dataclass(frozen=True, eq=False)
class GoCertificate:
    """One certificate, parsed by `read`."""

    raw: bytes
    tbs: bytes  # the signed part, with its header
    version: int  # 1 to 3
    serial: int
    algorithm: Algorithm | None  # of the signature; None: unknown to Go
    signature: bytes
    issuer: DistinguishedName
    subject: DistinguishedName
    not_before: Instant
    not_after: Instant
    spki: bytes
    key: PublicKey | None  # None: its algorithm is unknown to Go
    extensions: Extensions

    @classmethod
    def read(cls, der: bytes) -> "GoCertificate":
        """Parse DER. Raises MalformedError with Go's message."""
        outer = DerReader(der)
        raw = outer.element(SEQUENCE, "x509: malformed certificate")
        certificate = cls._read(raw)
        if outer:
            raise MalformedError("x509: trailing data")
        return certificate

    @classmethod
    def _read(cls, raw: bytes) -> "GoCertificate":
        outer = DerReader(raw).sequence("x509: malformed certificate")
        tbs = outer.element(SEQUENCE, "x509: malformed tbs certificate")
        reader = DerReader(tbs).sequence("x509: malformed tbs certificate")
        version, serial = _version(reader), _serial(reader)
        inner = reader.read(SEQUENCE, "x509: malformed signature algorithm identifier")
        if outer.read(SEQUENCE, "x509: malformed algorithm identifier") != inner:
            raise MalformedError("x509: inner and outer signature algorithm identifiers don't match")
        algorithm = algorithm_of(*read_algorithm(DerReader(inner)))
        issuer = read_name(reader.element(SEQUENCE, "x509: malformed issuer"))
        validity = reader.sequence("x509: malformed validity")
        not_before, not_after = read_der_time(validity), read_der_time(validity)
        subject = read_name(reader.element(SEQUENCE, "x509: malformed issuer"))
        spki = reader.element(SEQUENCE, "x509: malformed spki")
        key = read_key(spki)
        extensions = _extensions(reader, version)
        signature = outer.bit_string("x509: malformed signature").right_aligned
        return cls(
            raw=raw,
            tbs=tbs,
            version=version,
            serial=serial,
            algorithm=algorithm,
            signature=signature,
            issuer=issuer,
            subject=subject,
            not_before=not_before,
            not_after=not_after,
            spki=spki,
            key=key,
            extensions=extensions,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, 64 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are equal."""
        return self.issuer.raw == self.subject.raw

    @property
    def has_san(self) -> bool:
        """Whether the certificate has a subject alternative name extension, even an empty one."""
        return SUBJECT_ALTERNATIVE_NAME in self.extensions.raw

    @property
    def san(self) -> bytes | None:
        """Value of the subject alternative name extension."""
        extension = self.extensions.raw.get(SUBJECT_ALTERNATIVE_NAME)
        return extension.value if extension else None

    @property
    def has_name_constraints(self) -> bool:
        """Whether the certificate has a name constraints extension."""
        return NAME_CONSTRAINTS in self.extensions.raw

    @property
    def name_constraints(self) -> NameConstraints:
        """The name constraints extension, parsed."""
        return self.extensions.name_constraints

    @property
    def dns_names(self) -> list[str]:
        """DNS names, as written."""
        return self.extensions.dns_names

    @property
    def ip_addresses(self) -> list[bytes]:
        """IP addresses, 4 or 16 octets."""
        return self.extensions.ip_addresses

    @property
    def email_addresses(self) -> list[str]:
        """Email addresses, as written."""
        return self.extensions.email_addresses

    @property
    def uris(self) -> list[URI]:
        """URIs."""
        return self.extensions.uris

    @property
    def may_sign(self) -> bool:
        """Whether Go lets this certificate sign others, by its basic constraints (since version 3) and key usage."""
        extensions = self.extensions
        if self.version == _V3 and not extensions.has_basic_constraints:
            return False
        if extensions.has_basic_constraints and not extensions.is_ca:
            return False
        return not extensions.key_usage or KEY_CERT_SIGN in extensions.key_usage

    @property
    def is_ca(self) -> bool:
        """Whether the basic constraints mark a CA."""
        return self.extensions.has_basic_constraints and self.extensions.is_ca

    def __str__(self) -> str:
        return str(self.subject)


def _version(reader: DerReader) -> int:
    error = "x509: malformed version"
    content = reader.optional(_VERSION, error)
    if content is None:
        return 1
    inner = DerReader(content)
    version = inner.int64(error)
    if inner or version < 0:
        raise MalformedError(error)
    if version >= _V3:
        raise MalformedError("x509: invalid version")
    return version + 1


def _serial(reader: DerReader) -> int:
    serial = reader.integer("x509: malformed serial number")
    if serial < 0:
        raise MalformedError("x509: negative serial number")
    return serial


def _extensions(reader: DerReader, version: int) -> Extensions:
    if version > 1:
        reader.optional(_ISSUER_UNIQUE_ID, "x509: malformed issuerUniqueID")
        reader.optional(_SUBJECT_UNIQUE_ID, "x509: malformed subjectUniqueID")
    content = reader.optional(_EXTENSIONS, "x509: malformed extensions") if version == _V3 else None
    if content is None:
        return Extensions()
    return read_extensions(DerReader(content).read(SEQUENCE, "x509: malformed extensions"))
