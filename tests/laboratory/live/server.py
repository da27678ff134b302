"""Servers with one thing wrong each: HTTPS that answers as a registry does, and ports that do not even do that."""

import contextlib
import http.server
import socket
import ssl
import struct
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oracle.keyring import Key
from oracle.pem import pem


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str  # without the query
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Answer = Callable[[Request], Reply]


@dataclass(frozen=True)
class TLS:
    """How a server speaks TLS: its chain, own certificate first, and the key of that."""

    chain: Sequence[bytes]
    key: Key
    newest: ssl.TLSVersion | None = None
    wants_client: bool = False

    def context(self) -> ssl.SSLContext:
        """Return it for a socket."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        if self.newest:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # old versions are the point
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


@contextlib.contextmanager
def serving(address: tuple[str, int], tls: TLS | None, answer: Answer) -> Iterator[int]:
    """Serve HTTPS, or without TLS plain HTTP, while the block runs; yields the port."""
    server = http.server.ThreadingHTTPServer(address, _handler(answer))
    server.daemon_threads = True  # a client may keep its connection
    if tls:
        server.socket = tls.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with server, _running(lambda: server.serve_forever(poll_interval=0.05), server.shutdown):
        yield server.server_address[1]


@contextlib.contextmanager
def _running(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
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
            with contextlib.suppress(OSError):  # clients that only look at the certificate hang up
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


Conversation = Callable[[socket.socket], None]


@contextlib.contextmanager
def talking(host: str, conversation: Conversation) -> Iterator[int]:
    """Take connections while the block runs, and do one thing with each; yields the port."""
    with socket.create_server((host, 0)) as listener, contextlib.ExitStack() as held:

        def work() -> None:
            with contextlib.suppress(OSError):  # shut down
                while True:
                    connection = held.enter_context(listener.accept()[0])
                    with contextlib.suppress(OSError):
                        conversation(connection)

        with _running(work, lambda: listener.shutdown(socket.SHUT_RDWR)):
            yield listener.getsockname()[1]


def silent(_: socket.socket) -> None:
    """Never answer; the connection stays."""


def closing(connection: socket.socket) -> None:
    """Read the first words, and end the connection as somebody does who has nothing to say."""
    connection.recv(65536)
    connection.close()


def resetting(connection: socket.socket) -> None:
    """Read the first words, and reset the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def dropping(host: str) -> Iterator[int]:
    """Have a port where packets are dropped while the block runs: its queue of connections is full."""
    with socket.create_server((host, 0), backlog=0) as listener, contextlib.ExitStack() as held:
        for _ in range(3):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def nobody(host: str) -> Iterator[int]:
    """Have a port where nobody listens while the block runs: it is taken, and not listened at."""
    with socket.socket() as taken:
        taken.bind((host, 0))
        yield taken.getsockname()[1]
