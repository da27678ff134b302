"""Parse the `data` of one entry, base64 of PEM, into certificates.

Accept what users actually paste: wrapped base64, Windows line endings, no final newline, text around the blocks, blocks
glued together, several certificates. PEM is read by RFC 7468's lax rules and returned in its strict form.
"""

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from gox509 import GoCertificate, MalformedError
from gox509.instants import Instant
from trustplane.certificates import defects, typography
from trustplane.certificates.containers import LABELS, is_keystore, is_keystore_with_key, is_pkcs12, pkcs7_certificates
from trustplane.certificates.defects import MAX_LENGTH
from trustplane.certificates.finding import Finding
from trustplane.certificates.placeholders import is_placeholder, is_template
from trustplane.text import marked_encoding

BEGIN = b"-----BEGIN "
CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")  # RFC 7468, section 5.1

_WHITE_SPACE = re.compile(r"\s+")
_DASHES = b"-----"
_LINE_END = re.compile(rb"[\r\n]")
# The first or last line of a private key: PEM with any label, OpenPGP, SSH2, PuTTY.
_PRIVATE_KEY = re.compile(rb"---- ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PRIVATE KEY(?: BLOCK)? ?----|PuTTY-User-Key-File-")
_DER_SEQUENCE = b"\x30"
_UNMARKED = {b"-\x00": "utf-16-le", b"\x00-": "utf-16-be"}  # how PEM begins
_PEM_WIDTH = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARSE_ERRORS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion)


@dataclass(frozen=True)
class Certificate:
    """One certificate. Certificates with the same DER are equal."""

    fingerprint: str  # SHA-256 of the DER, 64 hexadecimal digits
    pem: str  # RFC 7468 strict form, with a final newline
    subject: str  # RFC 4514
    expires: datetime

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return base64.b64decode("".join(self.pem.splitlines()[1:-1]))


@dataclass(frozen=True)
class Parsed:
    """Result of `parse`: the certificates in order, each once, and the findings."""

    certificates: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the data can be used."""
        return not self.findings


def parse(data: str) -> Parsed:
    """Read the `data` of one entry: base64, once, of one or more PEM certificates.

    Never raises. With any finding, no part of the entry may be used: the author did not write half a list.
    """
    if len(data) > MAX_LENGTH:
        return _bad(defects.too_large(MAX_LENGTH))
    if _PRIVATE_KEY.search(data.encode(errors="replace")):
        return _bad(defects.PRIVATE_KEY)
    if not data.strip():
        return _bad(defects.EMPTY)
    if BEGIN.decode() in data:
        return _bad(defects.PEM_NOT_ENCODED)
    content = decode(data)
    if content is None:
        return _bad(_diagnose_text(data))
    parsed = parse_pem(content)
    is_text = parsed.findings == (defects.NO_CERTIFICATE,) and is_placeholder(data)
    return _bad(_placeholder(data)) if is_text else parsed


def _diagnose_text(data: str) -> Finding:
    """Return the finding for data that is not base64."""
    content = data.encode(errors="replace")
    if typography.has_typographic_dashes(content):
        return defects.PRIVATE_KEY if _PRIVATE_KEY.search(typography.undo(content)) else defects.TYPOGRAPHIC_DASHES
    return _placeholder(data) if is_placeholder(data) else defects.NOT_BASE64


def _placeholder(data: str) -> Finding:
    return defects.TEMPLATE if is_template(data) else defects.PLACEHOLDER


def parse_pem(content: bytes) -> Parsed:
    """Read a file of one or more PEM certificates. Never raises; findings as in `parse`."""
    return _read_pem(content) if BEGIN in content else _bad(_diagnose(content))


def parse_der(content: bytes) -> Parsed:
    """Read one DER certificate. Never raises; for anything else, return what `parse_pem` does."""
    certificate = _load(content)
    return Parsed((certificate,)) if certificate else parse_pem(content)


def parse_pkcs7(content: bytes) -> Parsed:
    """Read the certificates of a PKCS#7 container, DER or PEM. Never raises; no finding and no certificate if none."""
    bodies = [body for label, body in blocks(content) if label in LABELS and body]
    containers = [decode(body) or b"" for body in bodies] or [content]
    ders = [der for container in containers for der in pkcs7_certificates(container)]
    certificates = {certificate.fingerprint: certificate for certificate in map(_load, ders) if certificate}
    return Parsed(tuple(certificates.values()))


def _bad(finding: Finding) -> Parsed:
    return Parsed(findings=(finding,))


def decode(text: str | bytes) -> bytes | None:
    """Decode base64, ignoring white space; None if it is not base64."""
    try:
        characters = text.encode("ascii") if isinstance(text, str) else text
        return binascii.a2b_base64(_WHITE_SPACE.sub("", characters.decode("ascii")), strict_mode=True)
    except (binascii.Error, UnicodeError):
        return None


def _diagnose(content: bytes) -> Finding:
    """Return the finding for content without any PEM block."""
    if holds_private_key(content):
        return private_key_finding(content)
    if typography.has_typographic_dashes(content):
        return defects.TYPOGRAPHIC_DASHES
    inner = innermost(content)
    if pkcs7_certificates(content) or is_keystore(inner):
        return defects.KEYSTORE if is_keystore(inner) else defects.PKCS7
    if content.startswith(_DER_SEQUENCE) and _load(content):
        return defects.DER
    if inner is not content and (BEGIN in inner or _load(inner)):
        return defects.DOUBLE_BASE64
    return defects.UTF_16 if utf_16_text(content) else defects.NO_CERTIFICATE


def private_key_finding(content: bytes) -> Finding:
    """Return the finding for content that holds a private key."""
    inner = innermost(content)
    if is_pkcs12(inner):
        return defects.PKCS12
    return defects.KEYSTORE_WITH_KEY if is_keystore(inner) else defects.PRIVATE_KEY


def innermost(content: bytes) -> bytes:
    """Decode base64 until the content is no longer base64; every round shortens it, so the loop ends."""
    while content.strip() and (inner := decode(content)):
        content = inner
    return content


def utf_16_text(content: bytes) -> bytes:
    """Convert PEM in UTF-16 or UTF-32, as Windows editors save it, to UTF-8; b"" if the content is not that."""
    unmarked = next((encoding for start, encoding in _UNMARKED.items() if content.startswith(start)), "")
    encoding = marked_encoding(content) or unmarked
    text = content.decode(encoding, errors="replace").encode() if encoding else b""
    return text if BEGIN in text else b""


def holds_private_key(content: bytes) -> bool:
    """Return whether the content holds a private key: PEM, DER or UTF-16, encrypted or not, in any layers of base64."""
    inner = innermost(content)
    texts = (content, utf_16_text(inner) or typography.undo(inner))
    return any(map(_PRIVATE_KEY.search, texts)) or _is_der_key(inner) or _is_container_with_key(inner)


def _is_container_with_key(content: bytes) -> bool:
    return is_pkcs12(content) or is_keystore_with_key(content)


def _is_der_key(der: bytes) -> bool:
    if not der.startswith(_DER_SEQUENCE):
        return False
    try:
        load_der_private_key(der, password=None)
    except TypeError:  # an encrypted key
        return True
    except _PARSE_ERRORS:
        return False
    return True


def blocks(content: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield label and body of each PEM block, in linear time.

    The body is None if the END line is missing, or the BEGIN line is damaged; then the label is the rest of that line.
    """
    for part in content.split(BEGIN)[1:]:
        label, dashes, rest = part.partition(_DASHES)
        line = _LINE_END.split(part, maxsplit=1)[0].rstrip()
        if dashes and len(label) <= len(line):
            body, end, _ = rest.partition(b"-----END " + label + _DASHES)
            yield label, body if end else None
        else:
            yield line, None


def _read_pem(content: bytes) -> Parsed:
    if _PRIVATE_KEY.search(content):
        return _bad(defects.PRIVATE_KEY)
    pem_blocks = list(blocks(content))
    bodies = [body for label, body in pem_blocks if label in CERTIFICATE_LABELS]
    if not bodies:
        return _bad(_without_certificate(pem_blocks))
    certificates: dict[str, Certificate] = {}
    for number, body in enumerate(bodies, start=1):
        der = decode(body) if body is not None else None
        certificate = _load(der) if der else None
        if certificate is None:
            return _bad(_unparsable(content, der, number, len(bodies), cut=body is None))
        certificates.setdefault(certificate.fingerprint, certificate)
    return Parsed(tuple(certificates.values()))


def _without_certificate(pem_blocks: list[tuple[bytes, bytes | None]]) -> Finding:
    containers = (decode(body or b"") for label, body in pem_blocks if label in LABELS)
    if any(pkcs7_certificates(der) for der in containers if der):
        return defects.PKCS7
    return defects.without_certificate([label for label, _ in pem_blocks])


def _unparsable(content: bytes, der: bytes | None, number: int, count: int, *, cut: bool) -> Finding:
    """Return the finding for unreadable certificate `number` of `count`."""
    if der is not None and _is_der_key(der):
        return defects.PRIVATE_KEY
    if typography.has_literal_newlines(content) and _read_pem(typography.undo(content)).ok:
        return defects.LITERAL_NEWLINES
    if typography.has_typographic_dashes(content):
        return defects.TYPOGRAPHIC_DASHES
    return defects.unparsable(number, count, cut=cut)


def _load(der: bytes) -> Certificate | None:
    """Read a DER certificate; None if it is not one.

    Go decides, as on nodes. What only OpenSSL can read is a certificate as well: `lint` reports it with Go's reason.
    """
    try:
        certificate = GoCertificate.read(der)
    except MalformedError:
        return _load_with_openssl(der)
    return _certificate(der, certificate.subject.rfc4514, _datetime(certificate.not_after))


def _load_with_openssl(der: bytes) -> Certificate | None:
    try:
        with warnings.catch_warnings():  # the library warns about oddities; `lint` reports them
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            return _certificate(der, certificate.subject.rfc4514_string(), certificate.not_valid_after_utc)
    except _PARSE_ERRORS:
        return None


def _certificate(der: bytes, subject: str, expires: datetime) -> Certificate:
    return Certificate(hashlib.sha256(der).hexdigest(), _pem(der), subject, expires)


def _datetime(instant: Instant) -> datetime:
    """Convert an instant; Go's calendar has more years than Python's."""
    try:
        return _EPOCH + timedelta(seconds=instant.seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if instant.seconds > 0 else datetime.min.replace(tzinfo=UTC)


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = (text[start : start + _PEM_WIDTH] for start in range(0, len(text), _PEM_WIDTH))
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))
