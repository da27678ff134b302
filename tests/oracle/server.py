"""A real HTTPS server on loopback that answers as a registry, a token service or a blob store does."""

import contextlib
import http.server
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oracle.keyring import Key
from oracle.pem import pem


@dataclass(frozen=True)
class Reply:
    """What a path answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@contextlib.contextmanager
def serving(
    chain: Sequence[bytes], key: Key, replies: Mapping[str, Reply], *, newest: ssl.TLSVersion | None = None
) -> Iterator[int]:
    """Serve while the block runs; yields the port. Paths that are not known answer 404."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(replies))
    server.socket = _context(chain, key, newest).wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _context(chain: Sequence[bytes], key: Key, newest: ssl.TLSVersion | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    if newest:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.write_text(pem(*chain) + key.private.decode())
        context.load_cert_chain(file)
    return context


def _handler(replies: Mapping[str, Reply]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = replies.get(self.path.partition("?")[0], Reply(404))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # clients that only look at the certificate hang up
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
