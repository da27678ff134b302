"""The manager's HTTP server for /healthz, /readyz and /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from trustplane.errors import HostError


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
    runner = web.AppRunner(_application(waiting_for), access_log=None)
    await runner.setup()
    try:
        await _listen(runner, address)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: tuple[str, int]) -> None:
    host, port = address
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise HostError(
            f"The health server cannot listen on {host}:{port}",
            why=error.strerror or str(error),
            next_step="Stop the program using this port, or choose another port",
        ) from error


def _application(waiting_for: Callable[[], list[str]]) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = waiting_for()
        if missing:
            return web.Response(status=503, text=f"waiting for {', '.join(missing)}\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application
