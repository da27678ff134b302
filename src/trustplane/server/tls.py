"""A TLS context that follows its certificate files, so that a renewed certificate needs no restart."""

import ssl
from pathlib import Path

import structlog

from trustplane.errors import HostError

_log = structlog.get_logger(__name__)


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context; each handshake uses the files as they are then.

    Files that do not load (such as a certificate whose key is not written yet) leave the last good pair in use.

    Args:
        certificate: PEM file: the server's certificate, then its intermediates.
        key: PEM file of its private key.

    Raises:
        HostError: The files do not load at the start.
    """
    try:
        pair = _Pair(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise HostError(
            f"Cannot serve TLS with {certificate} and {key}",
            why=error.strerror or type(error).__name__,
            next_step="Name a PEM certificate and its PEM private key, both readable by this user",
        ) from error
    front = pair.load()
    front.sni_callback = pair.choose
    return front


class _Pair:
    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._stamp()
        self._current = self.load()

    def load(self) -> ssl.SSLContext:
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.minimum_version = ssl.TLSVersion.TLSv1_2
        fresh.load_cert_chain(self._certificate, self._key)
        return fresh

    def choose(self, handshake: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        """Put the current context under a handshake; OpenSSL calls this with or without a server name."""
        try:
            if (stamp := self._stamp()) != self._seen:
                self._current = self.load()
                self._seen = stamp
        except OSError as error:
            _log.warning("certificate files do not load: the last good ones stay", reason=error.strerror)
        handshake.context = self._current

    def _stamp(self) -> list[tuple[int, int]]:
        return [(status.st_mtime_ns, status.st_ino) for status in (self._certificate.stat(), self._key.stat())]
