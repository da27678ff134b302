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
    error_of,
    status_of,
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
    error = error_of(status_of(code, body), "GET /x")
    assert type(error) is expected
    assert str(error).startswith("GET /x was refused. ")
    assert isinstance(error, TransientError) == (expected is UnavailableError)


def test_a_proxys_page_is_cut_short() -> None:
    assert error_of(status_of(502, b"<html>" * 1000), "GET /x").why == ("<html>" * 1000)[:199] + "…"
    assert error_of(status_of(502, b""), "GET /x").why == "HTTP status 502"


def test_what_a_server_says_is_redacted_and_printable() -> None:
    body = b'{"kind":"Status","message":"token=hunter2hunter2 \\u001b[31mred","reason":"InternalError"}'
    for told in (body, b"password=hunter2hunter2 \x1b[31m\xff"):
        why = error_of(status_of(500, told), "GET /x").why
        assert "hunter2" not in why
        assert "\x1b" not in why


def test_a_refusal_that_cannot_be_read_is_still_one() -> None:
    deep = b'{"message":"x","details":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"
    for body in (deep, b'{"message":"\xff"}', b'{"message":7}', b"\x00"):
        assert isinstance(error_of(status_of(409, body), "PATCH /x"), ConflictError)
    assert isinstance(error_of(status_of(0, b'{"code":410,"reason":"Expired"}'), "The watch"), GoneError)
