"""From the `data` of one list entry, base64 of PEM, to certificates.

Accepted as people really send it: wrapped base64, Windows line ends, no final newline, text around the blocks, blocks
glued together, several certificates. PEM is read by RFC 7468's lax rules; what comes out is its strict form.
"""

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from trustplane.certificates.finding import Finding

# Wider than the schema's limit, for lists that came in by an older one; more than an object of the API server holds.
MAX_LENGTH = 1_500_000

_WHITE_SPACE = re.compile(r"\s+")
_BEGIN = b"-----BEGIN "
_DASHES = b"-----"
_CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")  # RFC 7468, section 5.1
_LABEL = re.compile(rb"[A-Z0-9 ]{1,40}")
_DER_SEQUENCE = b"\x30"
_UTF_16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"-\x00": "utf-16-le", b"\x00-": "utf-16-be"}
_PEM_WIDTH = 64
_PARSE_ERRORS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion)


@dataclass(frozen=True)
class Certificate:
    """One certificate; equal when the DER is equal."""

    fingerprint: str  # SHA-256 of the DER, 64 hexadecimal digits
    pem: str  # RFC 7468 strict form, with a final newline
    subject: str  # RFC 4514
    expires: datetime

    @property
    def der(self) -> bytes:
        """The certificate itself."""
        return base64.b64decode("".join(self.pem.splitlines()[1:-1]))


@dataclass(frozen=True)
class Parsed:
    """Result of `parse`: the certificates in their order, each once, and what is wrong."""

    certificates: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """True when the data can be used."""
        return not self.findings


def parse(data: str) -> Parsed:
    """Read the `data` of one entry: base64, once, of one or more PEM certificates.

    Never raises. Any finding means that no part of the entry may be used: half a list would be a list nobody wrote.
    """
    if len(data) > MAX_LENGTH:
        return _bad(TOO_LARGE)
    if _BEGIN.decode() in data:
        return _bad(PRIVATE_KEY if _has_private_key(data.encode(errors="replace")) else PEM_NOT_ENCODED)
    content = decode(data)
    if content is None:
        return _bad(NOT_BASE64)
    return parse_pem(content)


def parse_pem(content: bytes) -> Parsed:
    """Read one or more PEM certificates, as a file of a CA has them. Never raises; findings as of `parse`."""
    return _read_pem(content) if _BEGIN in content else _bad(_name_the_defect(content))


def parse_der(content: bytes) -> Parsed:
    """Read one DER certificate. Never raises; without one, the findings say what the content is."""
    one = _load(content)
    return Parsed((one,)) if one else parse_pem(content)


def _bad(finding: Finding) -> Parsed:
    return Parsed(findings=(finding,))


def decode(text: str | bytes) -> bytes | None:
    """Undo base64, whatever white space is in it; None where it is not base64."""
    try:
        characters = text.encode("ascii") if isinstance(text, str) else text
        return binascii.a2b_base64(_WHITE_SPACE.sub("", characters.decode("ascii")), strict_mode=True)
    except (binascii.Error, UnicodeError):
        return None


def _name_the_defect(content: bytes) -> Finding:
    """Say what content without any PEM block is."""
    if content.startswith(_DER_SEQUENCE):
        if _is_private_key(content):
            return PRIVATE_KEY
        if _load(content):
            return DER
    inner = innermost(content)
    if _has_private_key(inner) or _is_private_key(inner):
        return PRIVATE_KEY
    if inner is not content and (_BEGIN in inner or _load(inner)):
        return DOUBLE_BASE64
    return UTF_16 if utf_16_text(content) else NO_CERTIFICATE


def innermost(content: bytes) -> bytes:
    """Undo base64 as often as it can be undone; every round leaves less than it found."""
    while content.strip() and (inner := decode(content)):
        content = inner
    return content


def utf_16_text(content: bytes) -> bytes:
    """Return PEM that an editor of Windows saved as UTF-16 as plain PEM, or b""."""
    encoding = next((name for begin, name in _UTF_16.items() if content.startswith(begin)), "")
    text = content.decode(encoding, errors="replace").encode() if encoding else b""
    return text if _BEGIN in text else b""


def _is_private_key(der: bytes) -> bool:
    try:
        load_der_private_key(der, password=None)
    except TypeError:  # it is one, encrypted
        return True
    except _PARSE_ERRORS:
        return False
    return True


def _has_private_key(content: bytes) -> bool:
    return any(label.endswith(b"PRIVATE KEY") for label, _ in blocks(content))


def blocks(content: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield label and body of each PEM block; the body is None where the block has no end. Linear in the content."""
    for part in content.split(_BEGIN)[1:]:
        label, dashes, rest = part.partition(_DASHES)
        body, end, _ = rest.partition(b"-----END " + label + _DASHES)
        if dashes:
            yield label, body if end else None


def _read_pem(content: bytes) -> Parsed:
    found_blocks = list(blocks(content))
    if any(label.endswith(b"PRIVATE KEY") for label, _ in found_blocks):
        return _bad(PRIVATE_KEY)
    bodies = [body for label, body in found_blocks if label in _CERTIFICATE_LABELS]
    if not bodies:
        return _bad(_without_certificate(found_blocks))
    found: dict[str, Certificate] = {}
    for number, body in enumerate(bodies, start=1):
        der = decode(body) if body is not None else None
        one = _load(der) if der else None
        if one is None:
            return _bad(_unparsable(number, len(bodies), cut=body is None))
        found.setdefault(one.fingerprint, one)
    return Parsed(tuple(found.values()))


def _load(der: bytes) -> Certificate | None:
    """Read a DER certificate; None where it is not one."""
    try:
        with warnings.catch_warnings():  # oddities that the library still reads are not ours to print
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            subject, expires = certificate.subject.rfc4514_string(), certificate.not_valid_after_utc
    except _PARSE_ERRORS:
        return None
    return Certificate(hashlib.sha256(der).hexdigest(), _pem(der), subject, expires)


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = (text[start : start + _PEM_WIDTH] for start in range(0, len(text), _PEM_WIDTH))
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


_ENCODE = "Write the output of `base64 -w0 ca.pem` into `data`"

TOO_LARGE = Finding(
    code="too-large",
    what=f"data is longer than {MAX_LENGTH} characters",
    why="It would not fit into one object of the API server",
    next_step="Keep only the CAs that sign your registries' certificates",
)
PEM_NOT_ENCODED = Finding(
    code="not-base64",
    what="data is PEM itself",
    why="The field takes base64 of PEM",
    next_step=_ENCODE,
)
NOT_BASE64 = Finding(
    code="not-base64",
    what="data is not base64",
    why="It has other characters than A-Z a-z 0-9 + / =, or was cut: without white space its length is a multiple of 4",
    next_step=_ENCODE,
)
DOUBLE_BASE64 = Finding(
    code="double-base64",
    what="data is base64 twice",
    why="Here PEM is encoded once; only the Secret <cluster>-user-trusted-ca-secret takes it twice",
    next_step=_ENCODE,
)
UTF_16 = Finding(
    code="utf-16",
    what="data is PEM in UTF-16, as editors of Windows save it",
    why="Nodes read PEM in ASCII only and would ignore the file without a word",
    next_step="Save the file as ANSI or UTF-8, and " + _ENCODE[0].lower() + _ENCODE[1:],
)
DER = Finding(
    code="der",
    what="data is base64 of a DER certificate",
    why="Nodes read PEM only and would ignore the file without a word",
    next_step="Convert it: `openssl x509 -inform der -in ca.der | base64 -w0`",
)
PRIVATE_KEY = Finding(
    code="private-key",
    what="data holds a private key",
    why="Every reader of this object and of every node can see it now: the key is no longer secret",
    next_step="Remove it at once, replace that key and its certificate, and list only the CA's certificate",
)
NO_CERTIFICATE = Finding(
    code="no-certificate",
    what="data holds no certificate",
    why="Decoded, it has no block that begins with -----BEGIN CERTIFICATE-----",
    next_step=_ENCODE,
)


def _without_certificate(blocks: list[tuple[bytes, bytes | None]]) -> Finding:
    labels = sorted({label.decode() for label, _ in blocks if _LABEL.fullmatch(label)})
    if not labels:
        return NO_CERTIFICATE
    return Finding(
        code="no-certificate",
        what=f"data holds no certificate, only: {', '.join(labels[:5])}",
        why=NO_CERTIFICATE.why,
        next_step=_ENCODE,
    )


def _unparsable(number: int, count: int, *, cut: bool) -> Finding:
    why = "It has a begin line and no end line" if cut else "Its content is damaged, cut, or not an X.509 certificate"
    return Finding(
        code="unparsable-certificate",
        what=f"Certificate {number} of {count} in data cannot be read",
        why=why,
        next_step="Look at the file with `openssl x509 -in ca.pem -noout -subject` and copy it again",
    )
