"""A real HTTPS server that acts as a registry, a token service or a blob store."""

import contextlib
import http.server
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oracle.keyring import Key
from oracle.pem import pem


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    method: str
    path: str  # without the query
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """The server's response."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Answer = Callable[[Request], Reply]


@dataclass(frozen=True)
class TLS:
    """A server's TLS settings: its chain, own certificate first, and the key of that certificate."""

    chain: Sequence[bytes]
    key: Key
    newest: ssl.TLSVersion | None = None
    wants_client: bool = False

    def context(self) -> ssl.SSLContext:
        """Return the settings as an SSL context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        if self.newest:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = self.newest
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "server.pem")
            file.write_text(pem(*self.chain) + self.key.private.decode())
            context.load_cert_chain(file)
            if self.wants_client:
                context.load_verify_locations(file)
                context.verify_mode = ssl.CERT_REQUIRED
        return context


def serving(
    chain: Sequence[bytes], key: Key, replies: Mapping[str, Reply], *, newest: ssl.TLSVersion | None = None
) -> contextlib.AbstractContextManager[int]:
    """Serve HTTPS on loopback while the block runs, and yield the port. Other paths are answered with 404."""
    return answering(("127.0.0.1", 0), TLS(chain, key, newest), lambda request: replies.get(request.path, Reply(404)))


@contextlib.contextmanager
def answering(address: tuple[str, int], tls: TLS | None, answer: Answer) -> Iterator[int]:
    """Serve HTTPS, or plain HTTP without `tls`, while the block runs, and yield the port."""
    server = http.server.ThreadingHTTPServer(address, _handler(answer))
    if tls:
        server.socket = tls.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with server, running(lambda: server.serve_forever(poll_interval=0.02), server.shutdown):
        yield server.server_address[1]


@contextlib.contextmanager
def running(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Run `work` in a thread while the block runs; `stop` ends it."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


def _handler(answer: Answer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = answer(Request(self.command, path, query, headers))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = _reply  # noqa: N815 - names of the standard library

        def handle(self) -> None:
            try:
                super().handle()
            except ssl.SSLError:
                self._linger()
            except OSError:  # clients that only fetch the certificate hang up
                pass

        def _linger(self) -> None:
            """Let the client read the alert: on unread data, the kernel would reset the connection instead."""
            with contextlib.suppress(OSError):
                self.connection.settimeout(1)
                self.connection.shutdown(socket.SHUT_WR)
                while self.connection.recv(65536):
                    pass

        def log_message(self, *_: object) -> None:
            pass

    return Handler
