"""Failed connections to a host and their causes, with the codes that `diagnosis` uses for image pulls."""

import errno
import http.client
import socket
import ssl
from dataclasses import dataclass

from trustplane.errors import TrustplaneError

_TLS = {
    "UNSUPPORTED_PROTOCOL": "tls-version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls-version",
    "NO_PROTOCOLS_AVAILABLE": "tls-version",
    "WRONG_SSL_VERSION": "tls-version",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "tls-version",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client-certificate-required",  # Trustplane sends none
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "client-certificate-required",
    "HTTP_REQUEST": "plain-http",
    "WRONG_VERSION_NUMBER": "plain-http",
    "PACKET_LENGTH_TOO_LONG": "plain-http",
    "RECORD_LAYER_FAILURE": "plain-http",
    "UNEXPECTED_EOF_WHILE_READING": "connection-closed",
}
_NETWORK = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ECONNRESET: "connection-reset",
    errno.EPIPE: "connection-closed",
    errno.ETIMEDOUT: "connection-timeout",
    errno.ENETUNREACH: "network-unreachable",
    errno.EHOSTUNREACH: "network-unreachable",
}


class RegistryError(TrustplaneError):
    """The operator of a registry must act."""

    exit_code = 2


@dataclass(frozen=True)
class Failure:
    """A host did not answer, or not as a registry does."""

    cause: str
    message: str


def failure_of(error: OSError | http.client.HTTPException, *, connected: bool) -> Failure:
    """Classify an error; `connected`: the TCP connection was already established."""
    return Failure(_cause(error, connected=connected), str(error) or type(error).__name__)


def _cause(error: OSError | http.client.HTTPException, *, connected: bool) -> str:
    if isinstance(error, http.client.HTTPException):
        return "connection-closed" if isinstance(error, http.client.RemoteDisconnected) else "not-a-registry"
    if isinstance(error, ssl.SSLError):
        return _TLS.get(error.reason or "", "unknown")
    if isinstance(error, socket.gaierror):
        missing = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
        return "dns-not-found" if error.errno in missing else "dns-failure"
    if isinstance(error, TimeoutError):
        return "tls-timeout" if connected else "connection-timeout"
    return _NETWORK.get(error.errno or 0, "unknown")
