"""Dial a host by TLS and keep what it serves, whether it can be trusted or not.

Nothing secret is ever sent over such a connection: it is not authenticated.
"""

import socket
import ssl
import time
from dataclasses import dataclass

from trustplane.registry.address import Address
from trustplane.registry.failure import Failure, failure_of
from trustplane.registry.reach import Target, resolve

TIMEOUT = 10.0  # seconds for connecting and TLS, and again for an answer
_DER = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True)
class Served:
    """What a host showed."""

    certificates: tuple[bytes, ...] = ()  # DER, as sent: the server's own first
    tls_version: str = ""
    failure: Failure | None = None


def dial(where: Address | Target, timeout: float = TIMEOUT) -> Served:
    """Shake hands with a host. Failures are part of the result."""
    connected = False
    try:
        with connect(where, timeout) as plain:
            connected = True
            with shake_hands(plain, where) as tls:
                return Served(_chain(tls), tls.version() or "")
    except (OSError, ValueError) as error:
        return Served(failure=failure(error, where, connected=connected))


def connect(where: Address | Target, timeout: float = TIMEOUT) -> socket.socket:
    """Connect to a host; a Target at the addresses that were decided about. What is left of the time is its timeout."""
    until = time.monotonic() + timeout
    address, ips = (where.address, where.ips) if isinstance(where, Target) else (where, resolve(where))
    last: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for ip in ips:
        try:
            plain = socket.create_connection((ip, address.port), timeout=max(0.01, until - time.monotonic()))
        except OSError as error:
            last = error
            continue
        plain.settimeout(max(0.01, until - time.monotonic()))
        return plain
    raise last


def shake_hands(plain: socket.socket, where: Address | Target) -> ssl.SSLSocket:
    """Speak TLS with whoever is there; the socket's timeout is for the whole handshake."""
    host = (where.address if isinstance(where, Target) else where).host
    return unverified_context().wrap_socket(plain, server_hostname=host.rstrip("."))


def failure(error: OSError | ValueError, where: Address | Target, *, connected: bool) -> Failure:
    """Name the cause of an error."""
    if isinstance(where, Target) and where.failure:
        return where.failure
    if isinstance(error, OSError):
        return failure_of(error, connected=connected)
    return Failure("unknown", str(error))  # a name that cannot be encoded for DNS or TLS


def unverified_context() -> ssl.SSLContext:
    """Return a context that completes the handshake with any certificate and, as nodes, needs TLS 1.2 with ECDHE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go's key exchange and ciphers; security level 0, as weak certificates are to be seen, and judged elsewhere.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES@SECLEVEL=0")
    return context


def _chain(tls: ssl.SSLSocket) -> tuple[bytes, ...]:
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return tuple(public())
    return tuple(one.public_bytes(_DER) for one in tls._sslobj.get_unverified_chain())  # type: ignore[attr-defined]  # noqa: SLF001 - before 3.13 the module keeps the chain to itself
