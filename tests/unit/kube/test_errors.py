import json

import pytest

from trustplane.errors import TransientError
from trustplane.kube.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    api_error,
    parse_status,
)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (404, {"reason": "NotFound", "details": {"name": "a"}}, NotFoundError),
        (404, {"reason": "NotFound", "details": {}}, UnavailableError),
        (404, None, UnavailableError),
        (409, {"reason": "AlreadyExists"}, AlreadyExistsError),
        (409, {"reason": "Conflict"}, ConflictError),
        (410, {"reason": "Expired"}, GoneError),
        (410, None, GoneError),
        (400, {"reason": "BadRequest"}, InvalidError),
        (422, {"reason": "Invalid"}, InvalidError),
        (401, {"reason": "Unauthorized"}, ForbiddenError),
        (403, {"reason": "Forbidden"}, ForbiddenError),
        (429, {"reason": "TooManyRequests"}, UnavailableError),
        (500, {"reason": "InternalError"}, UnavailableError),
        (500, {"message": ".spec.taints: field not declared in schema"}, InvalidError),
        (500, {"message": "failed to create typed patch object: .spec.a: field not declared in schema"}, InvalidError),
        (503, {"message": ".spec.a: field not declared in schema"}, UnavailableError),
        (503, None, UnavailableError),
        (405, {"reason": "MethodNotAllowed"}, ApiError),
    ],
)
def test_classes(code: int, status: dict[str, object] | None, expected: type[ApiError]) -> None:
    body = b"404 page not found" if status is None else json.dumps({"message": "why", **status}).encode()
    error = api_error(parse_status(code, body), "GET /x")
    assert type(error) is expected
    assert str(error).startswith("GET /x was refused. ")
    assert isinstance(error, TransientError) == (expected is UnavailableError)


def test_a_proxys_page_is_shortened() -> None:
    assert api_error(parse_status(502, b"<html>" * 1000), "GET /x").why == ("<html>" * 1000)[:199] + "…"
    assert api_error(parse_status(502, b""), "GET /x").why == "HTTP status 502"


def test_server_messages_are_redacted_and_printable() -> None:
    body = b'{"kind":"Status","message":"token=hunter2hunter2 \\u001b[31mred","reason":"InternalError"}'
    for response in (body, b"password=hunter2hunter2 \x1b[31m\xff"):
        why = api_error(parse_status(500, response), "GET /x").why
        assert "hunter2" not in why
        assert "\x1b" not in why


def test_an_unreadable_error_response_keeps_its_class() -> None:
    deep = b'{"message":"x","details":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"
    for body in (deep, b'{"message":"\xff"}', b'{"message":7}', b"\x00"):
        assert isinstance(api_error(parse_status(409, body), "PATCH /x"), ConflictError)
    assert isinstance(api_error(parse_status(0, b'{"code":410,"reason":"Expired"}'), "The watch"), GoneError)
