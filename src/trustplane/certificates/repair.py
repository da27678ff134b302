"""Correction of an entry's `data`, if its intended content is certain."""

import base64

from trustplane.certificates.parsing import Certificate, Parsed, innermost, parse_der, utf_16_text


def repair(data: str) -> str | None:
    """Return base64 of canonical PEM: once, unwrapped, certificates only, each once. None if beyond repair.

    Accepts PEM, DER, either in any layers of base64, and PEM in UTF-16. Data with a private key beside certificates is
    not repaired: the key must be replaced, not hidden.
    """
    parsed = read_any(data.encode(errors="replace"))
    return encode(parsed.certificates) if parsed.ok and parsed.certificates else None


def read_any(content: bytes) -> Parsed:
    """Read certificates in any encoding that `repair` accepts. Never raises."""
    plain = innermost(content)
    return parse_der(utf_16_text(plain) or plain)


def encode(certificates: tuple[Certificate, ...]) -> str:
    """Encode certificates as the `data` of an entry."""
    return base64.b64encode("".join(certificate.pem for certificate in certificates).encode()).decode()
