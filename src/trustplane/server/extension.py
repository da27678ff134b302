"""The runtime extension: Cluster API's hooks over HTTP, decided by `clusterapi.hooks`.

Paths are `/<group>/<version>/<hook in lower case>/<handler name>`; discovery has no handler name.
Source: `GVHToPath` in Cluster API's `api/runtime/catalog`, and the handbook on "Implementing Runtime Extensions",
which also asks that messages are deterministic and carry nothing sensitive: they end in conditions and logs of others.
"""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trustplane.api.meta import Json
from trustplane.clusterapi.hooks import API_VERSION
from trustplane.errors import TrustplaneError
from trustplane.server.limits import BodyError, body_of

_log = structlog.get_logger(__name__)
_requests = Counter("trustplane_hook_requests", "Calls of Cluster API's runtime hooks.", ["hook", "status"])
_seconds = Histogram("trustplane_hook_seconds", "Time to answer a runtime hook, in seconds.", ["hook"])


AnyHook = Callable[[Json], Json | Awaitable[Json]]


def application(hooks: Mapping[str, AnyHook], routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the ASGI application that answers these hooks.

    Args:
        hooks: Decisions by `<Hook>` (such as `Discovery`) or `<Hook>/<handler name>` (such as
            `GeneratePatches/generate-patches`): the body of a request in, the body of the response out, at once or
            awaited.
        routes: Others that the same server answers, such as the API server's webhooks.
    """
    return Starlette(
        routes=[
            *(
                Route(path(name), _endpoint(name.partition("/")[0], hook), methods=["POST"])
                for name, hook in hooks.items()
            ),
            Route("/healthz", _healthy),
            Route("/readyz", _healthy),
            *routes,
        ],
        middleware=[Middleware(_AccessLog)],
    )


def path(name: str) -> str:
    """Return the path at which Cluster API calls `<Hook>` or `<Hook>/<handler name>`."""
    return f"/{API_VERSION}/{name.lower()}"


def _endpoint(name: str, hook: AnyHook) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        with _seconds.labels(name).time():
            code, body = await _answered(name, hook, request)
        _requests.labels(name, body["status"]).inc()
        return Response(msgspec.json.encode(body), code, media_type="application/json")

    return answer


async def _answered(name: str, hook: AnyHook, request: Request) -> tuple[int, Json]:
    try:
        async with body_of(request) as body:
            return await _decide(name, hook, body)
    except BodyError as error:
        return error.status, _failure(name, str(error))


async def _decide(name: str, hook: AnyHook, body: bytes) -> tuple[int, Json]:
    try:
        request = msgspec.json.decode(body, type=Json)
    except (msgspec.MsgspecError, RecursionError):
        return 400, _failure(name, "The request is not a JSON object")
    try:
        answer = hook(request)
        return 200, await answer if isawaitable(answer) else answer
    except TrustplaneError as error:
        return 200, _failure(name, str(error))
    except Exception as error:  # noqa: BLE001  an unforeseen error must not end in an answer that Cluster API retries blindly
        # Only where it happened: the text of an unforeseen error may quote what was in the request.
        _log.error("hook failed", hook=name, error=type(error).__name__, at=traceback.format_tb(error.__traceback__))
        return 200, _failure(name, f"Unexpected {type(error).__name__}. The log of `trustplane extension` says where")


def _failure(name: str, message: str) -> Json:
    return {"apiVersion": API_VERSION, "kind": f"{name}Response", "status": "Failure", "message": message}


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")


class _AccessLog:
    """ASGI middleware: one line for each request, at debug."""

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
