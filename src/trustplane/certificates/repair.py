"""The corrected `data` of an entry, where it is certain what was meant."""

import base64

from trustplane.certificates.parsing import Certificate, Parsed, innermost, parse_der, utf_16_text


def repair(data: str) -> str | None:
    """Return base64 of canonical PEM: once, unwrapped, certificates only, each once. None where nothing can be saved.

    Accepts PEM, DER, base64 of either however often, and PEM in UTF-16. A private key beside certificates is no reason
    to go on: it must be replaced, not hidden.
    """
    parsed = read_any(data.encode(errors="replace"))
    return encode(parsed.certificates) if parsed.ok and parsed.certificates else None


def read_any(content: bytes) -> Parsed:
    """Read certificates in whatever encoding they come. Never raises."""
    plain = innermost(content)
    return parse_der(utf_16_text(plain) or plain)


def encode(certificates: tuple[Certificate, ...]) -> str:
    """Return what belongs into `data`."""
    return base64.b64encode("".join(one.pem for one in certificates).encode()).decode()
