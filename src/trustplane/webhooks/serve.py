"""Serving an ASGI application over TLS."""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from trustplane.errors import HostError
from trustplane.kube.tasks import beside

_GRACE_SECONDS = 30  # the maximum timeout of a webhook
_MAX_CONNECTIONS = 256  # legitimate callers, the API servers, are few; further connections get 503
MAX_CONNECTIONS_OF_ADDRESS = 64  # an API server uses one to three addresses and keeps its connections
HANDSHAKE_SECONDS = 5.0  # asyncio's default is 60
HEAD_SECONDS = 10.0  # from a connection, or the first byte of a further request, to the end of its head


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 means any free port.

    Raises:
        HostError: the address is unavailable.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise HostError(
            f"Cannot listen on {host} port {port}",
            why=error.strerror or type(error).__name__,
            next_step="Stop the program using this port, or choose another port",
        ) from error


async def serve_application(app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext, stop: asyncio.Event) -> None:
    """Answer requests on the socket until `stop` is set, then finish the requests in flight."""
    server = _Server(
        uvicorn.Config(
            app,
            ssl_context_factory=lambda *_: tls,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    async def exit_on_stop() -> None:
        await stop.wait()
        server.should_exit = True

    async with beside(exit_on_stop()):
        await server.serve(sockets=[listener])


class _Protocol(H11Protocol):
    """Closes connections with an incomplete request head; uvicorn's timeout ends with its first byte."""

    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, peers: Counter[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peers = peers  # all connections, by address

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # like uvicorn's signature
        super().connection_made(transport)
        self._peers[self._peer()] += 1
        if self._peers[self._peer()] > MAX_CONNECTIONS_OF_ADDRESS:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()
        self._peers[self._peer()] -= 1
        if not self._peers[self._peer()]:
            del self._peers[self._peer()]

    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._end)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen like uvicorn, with a timeout for TLS handshakes, which uvicorn cannot configure."""
        peers = Counter[str]()
        protocol = partial(_Protocol, config=self.config, server_state=self.server_state, app_state={}, peers=peers)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                protocol, sock=listener, ssl=self.config.ssl, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
            for listener in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command, which stops other services besides this server."""
        yield
