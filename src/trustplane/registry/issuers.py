"""Issuers' certificates, fetched from the URL in a certificate (authority information access, RFC 5280, 4.2.2.1)."""

import http.client
from urllib.parse import urlsplit

from trustplane.registry.address import Address
from trustplane.registry.dial import open_connection
from trustplane.registry.exchange import exchange
from trustplane.registry.reach import Target, target

TIMEOUT = 10.0  # seconds
_HTTP_PORT = 80
_MAX_BODY = 1 << 18  # octets; a certificate has a few thousand


def fetch(url: str, registry: Address, timeout: float = TIMEOUT) -> bytes:
    """Fetch a URL over plain HTTP, as issuers publish their certificates; b"" if that fails or is not allowed.

    The result is evidence, not trust: it counts only if its signature leads to a trusted CA. The author of the
    certificate chose the URL, so call this only if the user asked for it.

    Args:
        url: From the certificate.
        registry: The registry that served the certificate. Loopback and link-local addresses are contacted only if
            the registry has such an address.
        timeout: Seconds for connecting, and again for the response.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            return b""
        where = target(registry, Address(parts.hostname, parts.port or _HTTP_PORT), anywhere=True)
        if not isinstance(where, Target):
            return b""
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        with open_connection(where, timeout) as connection:
            answer = exchange(connection, where.address, path, {}, seconds=timeout, limit=_MAX_BODY)
    except (OSError, ValueError, http.client.HTTPException):
        return b""
    return answer.body if answer.status == http.client.OK else b""
