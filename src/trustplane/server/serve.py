"""Run an ASGI application over TLS until it is told to stop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from trustplane.errors import HostError
from trustplane.kube.tasks import beside

# Cluster API gives a hook at most 30 s; nothing that still runs after that is waited for.
_GRACE_SECONDS = 30


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 means any free one.

    Raises:
        HostError: The address cannot be used.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise HostError(
            f"Cannot listen on {host} port {port}",
            why=error.strerror or type(error).__name__,
            next_step="Stop what uses that port, or choose another one",
        ) from error


async def serve(app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext, stop: asyncio.Event) -> None:
    """Answer requests on the socket until `stop` is set; requests in flight are answered first."""
    server = _Server(
        uvicorn.Config(
            app,
            ssl_context_factory=lambda *_: tls,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    async def exit_when_told() -> None:
        await stop.wait()
        server.should_exit = True

    async with beside(exit_when_told()):
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command, which stops more than this server."""
        yield
