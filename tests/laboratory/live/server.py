"""Ports that behave like no real server, each with one fault."""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator

from oracle.server import TLS, running

Conversation = Callable[[socket.socket], None]


@contextlib.contextmanager
def talking(host: str, conversation: Conversation) -> Iterator[int]:
    """Accept connections during the block, and do one thing with each; yield the port."""
    with socket.create_server((host, 0)) as listener, contextlib.ExitStack() as held:

        def work() -> None:
            with contextlib.suppress(OSError):  # shut down
                while True:
                    connection = held.enter_context(listener.accept()[0])
                    with contextlib.suppress(OSError):
                        conversation(connection)

        with running(work, lambda: listener.shutdown(socket.SHUT_RDWR)):
            yield listener.getsockname()[1]


def silent(_: socket.socket) -> None:
    """Never respond; the connection stays open."""


def closing(connection: socket.socket) -> None:
    """Read the first bytes, and close the connection."""
    connection.recv(65536)
    connection.close()


def resetting(connection: socket.socket) -> None:
    """Read the first bytes, and reset the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def opening(tls: TLS) -> Conversation:
    """Answer CONNECT as a proxy does, and serve TLS in place of the requested host."""
    context = tls.context()

    def conversation(connection: socket.socket) -> None:
        with connection.makefile("rb") as words:
            while words.readline().strip():
                pass
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return conversation


@contextlib.contextmanager
def dropping(host: str) -> Iterator[int]:
    """Yield a port that drops packets during the block: its queue of connections is full."""
    with socket.create_server((host, 0), backlog=0) as listener, contextlib.ExitStack() as held:
        for _ in range(3):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def nobody(host: str) -> Iterator[int]:
    """Yield a port without a listener during the block: it is bound, but does not listen."""
    with socket.socket() as taken:
        taken.bind((host, 0))
        yield taken.getsockname()[1]
