"""A TLS context that reloads its certificate files: a renewed certificate needs no restart."""

import ssl
from pathlib import Path

import structlog

from trustplane.errors import HostError

_log = structlog.get_logger(__name__)


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context that uses the current files for each handshake.

    If the files do not load, such as before the key of a new certificate is written, the last good pair stays in use.

    Args:
        certificate: PEM file: the server's certificate, then its intermediates.
        key: PEM file of its private key.

    Raises:
        HostError: the initial files do not load.
    """
    try:
        pair = _Pair(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise HostError(
            f"Cannot serve TLS with {certificate} and {key}",
            why=error.strerror or type(error).__name__,
            next_step="Pass a PEM certificate and its PEM private key, both readable by this user",
        ) from error
    front = pair.load()
    front.sni_callback = pair.choose
    return front


class _Pair:
    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._loaded = self._stamp()
        self._current = self.load()

    def load(self) -> ssl.SSLContext:
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.minimum_version = ssl.TLSVersion.TLSv1_2
        fresh.load_cert_chain(self._certificate, self._key)
        return fresh

    def choose(self, handshake: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        """Set the current context for a handshake; OpenSSL calls this with or without a server name."""
        try:
            if (stamp := self._stamp()) != self._loaded:
                self._current = self.load()
                self._loaded = stamp
        except OSError as error:
            _log.warning("cannot load certificate files, keeping the last good ones", reason=error.strerror)
        handshake.context = self._current

    def _stamp(self) -> list[tuple[int, int]]:
        return [(status.st_mtime_ns, status.st_ino) for status in (self._certificate.stat(), self._key.stat())]
