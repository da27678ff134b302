"""Dial a host by TLS and keep what it serves, whether it can be trusted or not.

Nothing secret is ever sent over such a connection: it is not authenticated.
"""

import socket
import ssl
from dataclasses import dataclass

from trustplane.registry.address import Address
from trustplane.registry.failure import Failure, failure_of

TIMEOUT = 10.0  # seconds for each of connecting, TLS, and an answer
_DER = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True)
class Served:
    """What a host showed."""

    certificates: tuple[bytes, ...] = ()  # DER, as sent: the server's own first
    tls_version: str = ""
    failure: Failure | None = None


def dial(address: Address, timeout: float = TIMEOUT) -> Served:
    """Shake hands with a host. Failures are part of the result."""
    connected = False
    try:
        with socket.create_connection(address, timeout=timeout) as plain:
            connected = True
            with unverified_context().wrap_socket(plain, server_hostname=address.host.rstrip(".")) as tls:
                return Served(_chain(tls), tls.version() or "")
    except (OSError, ValueError) as error:
        return Served(failure=_failure(error, connected=connected))


def _failure(error: OSError | ValueError, *, connected: bool) -> Failure:
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
