"""The HTTP server for /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trustplane.kube.http_server import listen, serve
from trustplane.kube.tasks import beside


@asynccontextmanager
async def serve_health(address: tuple[str, int] | None, waiting_for: Callable[[], list[str]]) -> AsyncIterator[None]:
    """Serve health and metrics for the duration of a block.

    Args:
        address: host and port; None: serve nothing.
        waiting_for: returns what is missing for readiness; empty: ready.

    Raises:
        HostError: the port is taken.
    """
    if address is None:
        yield
        return
    stop, stopped = asyncio.Event(), asyncio.Event()
    listener = listen(*address)

    async def run() -> None:
        try:
            await serve(create_health(waiting_for), listener, None, stop)
        finally:
            stopped.set()

    async with beside(run()):
        try:
            yield
        finally:
            stop.set()
            await stopped.wait()


def create_health(waiting_for: Callable[[], list[str]]) -> Starlette:
    """Return the application; `waiting_for` returns what is missing for readiness."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        missing = waiting_for()
        if missing:
            return PlainTextResponse(f"waiting for {', '.join(missing)}\n", status_code=503)
        return PlainTextResponse("ok\n")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
