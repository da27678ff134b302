"""API server errors: one class per kind of refusal.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and metav1.Status.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from trustplane.errors import TransientError, TrustplaneError, UserError
from trustplane.text import clean

MAX_MESSAGE: Final = 1024  # characters kept of a server's message
RETRY_STEP: Final = "Trustplane retries; check the API server if the error persists"
_MAX_PAGE: Final = 200  # characters kept of a body that is not a Status, such as a proxy's error page


class ApiError(TrustplaneError):
    """An API server refused a request for a reason without its own class."""


class NotFoundError(ApiError):
    """The object or its namespace does not exist."""


class AlreadyExistsError(ApiError):
    """An object with this name already exists."""


class ConflictError(ApiError):
    """Another client changed the object or owns one of its fields: read it again and decide again."""


class GoneError(ApiError):
    """The resource version or the list's continue token is too old: list again from the start."""


class InvalidError(ApiError):
    """The body is malformed, or refused by schema, CEL rule or webhook."""


class ForbiddenError(ApiError):
    """The credentials are unknown (401) or lack a right (403)."""


class UnreadableError(ApiError):
    """The server's response does not have the shape of its kind."""


class OversizedError(ApiError):
    """The server's response exceeds the read limit."""


class RedirectError(ApiError):
    """The server redirected the request; Trustplane does not follow redirects."""


class RefusedAccessError(ApiError, UserError):
    """A tenant's kubeconfig names a forbidden address or uses an unsupported field."""


class UnavailableError(ApiError, TransientError):
    """The API server is down, overloaded, hanging, or does not serve the kind yet."""


class Status(msgspec.Struct, rename="camel"):
    """metav1.Status: the body of an error response, and the object of an ERROR watch event."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: dict[str, Any] | None = None


_BY_REASON: dict[str, type[ApiError]] = {
    "AlreadyExists": AlreadyExistsError,
    "Expired": GoneError,
    "Gone": GoneError,
    "NotFound": NotFoundError,
}
_BY_CODE: dict[int, type[ApiError]] = {
    HTTPStatus.BAD_REQUEST: InvalidError,
    HTTPStatus.UNAUTHORIZED: ForbiddenError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: GoneError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidError,
    HTTPStatus.TOO_MANY_REQUESTS: UnavailableError,
}
# A server-side apply with a field that the kind's definition lacks, such as one of an older version: an error 500.
_UNKNOWN_FIELD: Final = "field not declared in schema"
_NEXT_STEP: dict[type[ApiError], str] = {
    ForbiddenError: "Check the kubeconfig's user and its RBAC roles",
    UnavailableError: RETRY_STEP,
}


def parse_status(code: int, body: bytes) -> Status:
    """Parse the body of an error response; the text of any other body, such as a proxy's page, becomes the message.

    Args:
        code: HTTP status; 0: use the body's code.
        body: of the response.
    """
    try:
        status = msgspec.json.decode(body, type=Status)
        status.message = clean(status.message, MAX_MESSAGE)
    except (ValueError, RecursionError):  # msgspec and Unicode errors are ValueErrors
        status = Status(message=clean(body[: 4 * _MAX_PAGE].decode(errors="replace"), _MAX_PAGE))
    status.code = code or status.code
    return status


def api_error(status: Status, what: str) -> ApiError:
    """Return the error for a refused request, with the class that fits the status.

    Args:
        status: the server's response.
        what: the request, such as `GET /api/v1/namespaces/a/secrets/b at https://127.0.0.1:6443`.
    """
    kind = _BY_REASON.get(status.reason) or _BY_CODE.get(status.code) or ApiError
    if _field_is_unknown(status):
        kind = InvalidError
    elif status.code >= HTTPStatus.INTERNAL_SERVER_ERROR or _kind_not_served(status):
        kind = UnavailableError
    why = status.message or f"HTTP status {status.code}"
    return kind(f"{what} was refused", why=why, next_step=_NEXT_STEP.get(kind, ""))


def _field_is_unknown(status: Status) -> bool:
    # A server-side apply of a field that the CRD lacks (an older release of its project) is answered with status 500,
    # and every retry with the same. Source: structured-merge-diff, typed/validate.go.
    return status.code == HTTPStatus.INTERNAL_SERVER_ERROR and _UNKNOWN_FIELD in status.message


def _kind_not_served(status: Status) -> bool:
    # A 404 for an absent object names the object; for an absent kind (CRD not established yet) it is plain. The
    # distinction keeps a missing CRD from being read as a deleted object.
    return status.code == HTTPStatus.NOT_FOUND and not (
        status.reason == "NotFound" and (status.details or {}).get("name")
    )
