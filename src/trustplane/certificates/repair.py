"""Correction of an entry's `data`, if its intended content is certain."""

import base64

from trustplane.certificates import typography
from trustplane.certificates.parsing import (
    Certificate,
    Parsed,
    holds_private_key,
    innermost,
    parse_der,
    parse_pkcs7,
    utf_16_text,
)


def repair(data: str) -> str | None:
    """Return base64 of canonical PEM: once, unwrapped, certificates only, each once. None if beyond repair.

    Accepts PEM, DER and PKCS#7, each in any layers of base64, and PEM in UTF-16, with typographic dashes, or with line
    ends as in JSON. Data with a private key beside certificates is not repaired: the key must be replaced, not hidden.
    """
    parsed = read_any(data.encode(errors="replace"))
    return encode(parsed.certificates) if parsed.ok and parsed.certificates else None


def read_any(content: bytes) -> Parsed:
    """Read certificates in any encoding that `repair` accepts. Never raises."""
    inner = innermost(content)
    plain = utf_16_text(inner) or typography.undo(inner)
    if holds_private_key(plain):
        return parse_der(plain)
    container = parse_pkcs7(plain)
    return container if container.certificates else parse_der(plain)


def encode(certificates: tuple[Certificate, ...]) -> str:
    """Encode certificates as the `data` of an entry."""
    return base64.b64encode("".join(certificate.pem for certificate in certificates).encode()).decode()
