import json
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Message

from trustplane.errors import UserError
from trustplane.server import extension
from trustplane.server.extension import application
from trustplane.server.limits import MAX_REQUEST_BYTES

BASE = "/hooks.runtime.cluster.x-k8s.io/v1alpha1"


async def call(app: ASGIApp, path: str, *chunks: bytes, method: str = "POST") -> tuple[int, Any]:
    """Send one request to the application as an ASGI server does."""
    sent: list[Message] = []
    left = list(chunks or (b"",))

    async def receive() -> Message:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"timeout=10s"}
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body[:1] == b"{" else body.decode()


def _echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"status": "Success", "items": request["items"]}


def _refuse(_: dict[str, Any]) -> dict[str, Any]:
    raise UserError("Entry a is no certificate", why="it is DER", next_step="Convert it to PEM")


def _break(request: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError(request["secret"])


async def test_a_hook_is_answered_at_the_path_that_cluster_api_calls() -> None:
    app = application({"GeneratePatches/generate-patches": _echo})
    answer = await call(app, f"{BASE}/generatepatches/generate-patches", b'{"items": ', b"[1, 2]}")
    assert answer == (200, {"status": "Success", "items": [1, 2]})


async def test_discovery_has_no_handler_name() -> None:
    app = application({"Discovery": lambda _: {"status": "Success", "handlers": []}})
    assert (await call(app, f"{BASE}/discovery", b"{}"))[1] == {"status": "Success", "handlers": []}


async def test_an_unknown_hook_is_not_found() -> None:
    app = application({"Discovery": _echo})
    assert (await call(app, f"{BASE}/updatemachine/update-machine", b"{}"))[0] == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a":' * 200_000])
async def test_a_body_that_is_no_json_object_is_a_failure(body: bytes) -> None:
    status, answer = await call(application({"Discovery": _echo}), f"{BASE}/discovery", body)
    assert status == 400
    assert answer == {
        "apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
        "kind": "DiscoveryResponse",
        "status": "Failure",
        "message": "The request is not a JSON object",
    }


async def test_a_request_that_is_too_large_is_not_read_to_its_end() -> None:
    half = b" " * (MAX_REQUEST_BYTES // 2 + 1)
    status, answer = await call(application({"Discovery": _echo}), f"{BASE}/discovery", half, half, b"never read")
    assert (status, answer["status"]) == (413, "Failure")


async def test_our_errors_say_what_why_and_what_next() -> None:
    status, answer = await call(application({"GeneratePatches/g": _refuse}), f"{BASE}/generatepatches/g", b"{}")
    assert status == 200
    assert answer["kind"] == "GeneratePatchesResponse"
    assert answer["status"] == "Failure"
    assert answer["message"] == "Entry a is no certificate. it is DER. Convert it to PEM"


async def test_an_unforeseen_error_shows_nothing_of_the_request_anywhere() -> None:
    with structlog.testing.capture_logs() as logs:
        status, answer = await call(
            application({"GeneratePatches/g": _break}), f"{BASE}/generatepatches/g", b'{"secret": "hunter2"}'
        )
    assert (status, answer["status"]) == (200, "Failure")
    assert "RuntimeError" in answer["message"]
    assert "hunter2" not in str((answer, logs))
    assert any(line["event"] == "hook failed" and "test_extension.py" in str(line["at"]) for line in logs)


async def test_health_is_answered_and_metrics_are_elsewhere() -> None:
    app = application({"Discovery": lambda _: {"status": "Success"}})
    await call(app, f"{BASE}/discovery", b"{}")
    assert await call(app, "/healthz", method="GET") == (200, "ok")
    assert await call(app, "/readyz", method="GET") == (200, "ok")
    assert (await call(app, "/metrics", method="GET"))[0] == 404
    assert REGISTRY.get_sample_value("trustplane_hook_requests_total", {"hook": "Discovery", "status": "Success"})


async def test_requests_are_logged_at_debug() -> None:
    with structlog.testing.capture_logs() as logs:
        await call(application({}), "/healthz", method="GET")
    (line,) = logs
    assert (line["log_level"], line["method"], line["path"], line["status"]) == ("debug", "GET", "/healthz", 200)


def test_paths_are_lower_case() -> None:
    assert extension.path("CanUpdateMachineSet/X").endswith("/canupdatemachineset/x")
