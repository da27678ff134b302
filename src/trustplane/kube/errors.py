"""What an API server answers when it does not do what it was asked, as errors.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and metav1.Status.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from trustplane.errors import TransientError, TrustplaneError, UserError
from trustplane.text import clean

MAX_MESSAGE: Final = 1024  # characters of what a server says that are passed on
_MAX_PAGE: Final = 200  # characters of a body that is no Status: a proxy's page


class ApiError(TrustplaneError):
    """An API server refused a request, and nothing more specific is known."""


class NotFoundError(ApiError):
    """No object of that name, or no namespace of that name."""


class AlreadyExistsError(ApiError):
    """An object of that name exists already."""


class ConflictError(ApiError):
    """Somebody else changed the object, or owns a field of it: read again, decide again."""


class GoneError(ApiError):
    """The resource version or the list's continuation is too old: list again from the start."""


class InvalidError(ApiError):
    """The body was refused: schema, CEL rule, webhook or malformed."""


class ForbiddenError(ApiError):
    """The credentials are unknown (401) or lack a right (403)."""


class UnreadableError(ApiError):
    """The server's answer does not have the shape that its kind promises."""


class OversizedError(ApiError):
    """The server's answer is larger than any that is read."""


class RedirectError(ApiError):
    """The server sends us elsewhere, and we do not go."""


class RefusedAccessError(ApiError, UserError):
    """A stranger's kubeconfig leads where we do not go, or asks for what we do not do."""


class UnavailableError(ApiError, TransientError):
    """The API server is down, overloaded, hangs, or does not serve the kind yet."""


class Status(msgspec.Struct, rename="camel"):
    """metav1.Status: the body of a refusal, and the object of a watch event of type ERROR."""

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
    UnavailableError: "It is tried again by itself; look at the API server if this lasts",
}


def status_of(code: int, body: bytes) -> Status:
    """Read the body of a refusal; a body that is no Status (a proxy's page) becomes the message.

    Args:
        code: HTTP's; 0: it is what the body says.
        body: Of the answer.
    """
    try:
        status = msgspec.json.decode(body, type=Status)
        status.message = clean(status.message, MAX_MESSAGE)
    except (ValueError, RecursionError):  # msgspec's errors, and Unicode's, are ValueErrors
        status = Status(message=clean(body[: 4 * _MAX_PAGE].decode(errors="replace"), _MAX_PAGE))
    status.code = code or status.code
    return status


def error_of(status: Status, what: str) -> ApiError:
    """Choose the class of a refusal.

    Args:
        status: the server's answer.
        what: what was tried, such as `GET /api/v1/namespaces/a/secrets/b at https://127.0.0.1:6443`.
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
    # An absent object's refusal names the object; an absent kind (its CRD is not established yet) has a plain 404.
    # Telling them apart keeps "the CRD is not there" from being read as "the object was deleted".
    return status.code == HTTPStatus.NOT_FOUND and not (
        status.reason == "NotFound" and (status.details or {}).get("name")
    )
