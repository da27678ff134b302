"""Certificates of issuers, fetched from where a certificate says (authority information access, RFC 5280, 4.2.2.1)."""

import http.client
from urllib.parse import urlsplit

TIMEOUT = 10.0  # seconds
_MAX_BODY = 1 << 18  # octets; a certificate has a few thousand


def fetch(url: str) -> bytes:
    """Fetch a URL over plain HTTP, as such certificates are published; b"" where that fails.

    What comes back is evidence, not trust: it counts only if its signature leads to a trusted CA.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return b""
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path or "/", headers={"User-Agent": "trustplane"})
        answer = connection.getresponse()
        return answer.read(_MAX_BODY) if answer.status == http.client.OK else b""
    except (OSError, ValueError, http.client.HTTPException):
        return b""
    finally:
        connection.close()
