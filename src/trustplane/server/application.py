"""The ASGI application of the webhook server: admission, health and readiness."""

import time
from collections.abc import Sequence

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)


def create_application(routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application for these routes, /healthz and /readyz; anything else is 404."""
    health = (Route(path, _healthy) for path in ("/healthz", "/readyz"))
    return Starlette(routes=[*health, *routes], middleware=[Middleware(_AccessLog)])


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


class _AccessLog:
    """ASGI middleware: log one line per request, at debug level."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 0

        async def record(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, record)
        finally:
            seconds = round(time.monotonic() - start, 4)
            _log.debug("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)
