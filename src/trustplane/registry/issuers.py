"""Certificates of issuers, fetched from where a certificate says (authority information access, RFC 5280, 4.2.2.1)."""

import http.client
from urllib.parse import urlsplit

from trustplane.registry.address import Address
from trustplane.registry.dial import connect
from trustplane.registry.exchange import exchange
from trustplane.registry.reach import Target, target

TIMEOUT = 10.0  # seconds
_HTTP_PORT = 80
_MAX_BODY = 1 << 18  # octets; a certificate has a few thousand


def fetch(url: str, registry: Address, timeout: float = TIMEOUT) -> bytes:
    """Fetch a URL over plain HTTP, as such certificates are published; b"" where that fails, or where nobody should.

    What comes back is evidence, not trust: it counts only if its signature leads to a trusted CA. Call it where the
    operator wants it: the URL is the choice of whoever made the certificate.

    Args:
        url: As the certificate says.
        registry: That served the certificate: only for one on this machine, or its link, such an address is asked.
        timeout: Seconds, for connecting and again for the answer.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            return b""
        where = target(registry, Address(parts.hostname, parts.port or _HTTP_PORT), anywhere=True)
        if not isinstance(where, Target):
            return b""
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        with connect(where, timeout) as connected:
            answer = exchange(connected, where.address, path, {}, seconds=timeout, limit=_MAX_BODY)
    except (OSError, ValueError, http.client.HTTPException):
        return b""
    return answer.body if answer.status == http.client.OK else b""
