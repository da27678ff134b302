"""Dial a host over TLS and keep the certificates it serves, trusted or not.

Such a connection is not authenticated: never send secrets over it.
"""

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

from trustplane.registry.address import Address
from trustplane.registry.failure import Failure, failure_of
from trustplane.registry.hello import refused_curve
from trustplane.registry.reach import Target, resolve_host

TIMEOUT = 10.0  # seconds for connecting and TLS, and again for a response
_DER = 2  # _ssl.ENCODING_DER
_CERTIFICATE_REQUEST = 13  # RFC 5246, section 7.4


@dataclass(frozen=True)
class Served:
    """The certificates that a host served, or its failure."""

    certificates: tuple[bytes, ...] = ()  # DER, as sent: the server's own first
    tls_version: str = ""
    failure: Failure | None = None


def dial(where: Address | Target, timeout: float = TIMEOUT) -> Served:
    """Complete a TLS handshake with a host. Never raises: a failure is part of the result."""
    connected = False
    handshake = Handshake()
    try:
        with open_connection(where, timeout) as plain:
            connected = True
            with start_tls(plain, where, handshake.context()) as tls:
                return Served(_chain(tls), tls.version() or "")
    except (OSError, ValueError) as error:
        failure = dial_failure(error, where, connected=connected)
        refused = failure.cause == "tls-version" and isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
    if refused and handshake.wants_client:
        return Served(failure=Failure("client-certificate-required", _WANTS_CLIENT))
    curve = _served_curve(where, timeout) if refused else ""
    return Served(failure=Failure("weak-certificate", _odd_curve(curve)) if curve else failure)


_WANTS_CLIENT = (
    "the server asked for a client certificate, and ended the handshake without one; "
    "nodes log: remote error: tls: handshake failure"
)


def _odd_curve(curve: str) -> str:
    return (
        f"the server's key is on {curve}, which nodes do not offer; nodes log: remote error: tls: handshake failure. "
        "The registry's owner must use a key on P-256 or P-384, or RSA"
    )


def _served_curve(where: Address | Target, timeout: float) -> str:
    """Return the curve of the server's key if nodes do not offer it; "" otherwise."""
    host = (where.address if isinstance(where, Target) else where).host
    try:
        with open_connection(where, timeout) as plain:
            return refused_curve(plain, host.rstrip("."), time.monotonic() + timeout)
    except (OSError, ValueError):
        return ""


class Handshake:
    """A handshake, observed to learn what a server asked for before it refused."""

    def __init__(self) -> None:
        self.wants_client = False

    def context(self) -> ssl.SSLContext:
        """Return the context for one connection."""
        context = unverified_context()
        context._msg_callback = self._observe  # type: ignore[attr-defined]  # noqa: SLF001 - Python has no public API
        return context

    def _observe(self, *message: Any) -> None:
        """Take (connection, direction, version, content type, message type, data)."""
        self.wants_client |= message[1] == "read" and message[4] == _CERTIFICATE_REQUEST


def open_connection(where: Address | Target, timeout: float = TIMEOUT) -> socket.socket:
    """Connect to a host; to a Target only at its approved IP addresses. The socket's timeout is the remaining time."""
    deadline = time.monotonic() + timeout
    address, ips = (where.address, where.ips) if isinstance(where, Target) else (where, resolve_host(where))
    last: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for ip in ips:
        try:
            plain = socket.create_connection((ip, address.port), timeout=max(0.01, deadline - time.monotonic()))
        except OSError as error:
            last = error
            continue
        plain.settimeout(max(0.01, deadline - time.monotonic()))
        return plain
    raise last


def start_tls(plain: socket.socket, where: Address | Target, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """Complete a TLS handshake with any server, within the socket's timeout."""
    host = (where.address if isinstance(where, Target) else where).host
    return (context or unverified_context()).wrap_socket(plain, server_hostname=host.rstrip("."))


def dial_failure(error: OSError | ValueError, where: Address | Target, *, connected: bool) -> Failure:
    """Classify an error that dialling a host raised."""
    if isinstance(where, Target) and where.failure:
        return where.failure
    if isinstance(error, OSError):
        return failure_of(error, connected=connected)
    return Failure("unknown", str(error))  # a name that cannot be encoded for DNS or TLS


def unverified_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate and, like nodes, requires TLS 1.2 with ECDHE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go's key exchange and ciphers. Security level 0 lets weak certificates through; `verify` decides about them.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES@SECLEVEL=0")
    return context


def _chain(tls: ssl.SSLSocket) -> tuple[bytes, ...]:
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return tuple(public())
    chain = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - no public API before 3.13
    return tuple(certificate.public_bytes(_DER) for certificate in chain)
