"""HTTP statuses as runtimes report them, and the causes that fit the request."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Statement

# Sources: containerd 1.5 and 1.6, 1.7 and 2.x, its token requests; go-containerregistry; containers/image; moby.
STATUSES: Final = (
    "pulling from host <host> failed with status code <name>: <status>",
    "unexpected status code <url>: <status>",
    "unexpected status code [<name>]: <status>",
    "unexpected HEAD status code <url>: <status>",
    "unexpected status code <status>",
    "unsupported status code <status>",
    "unexpected status from <method> request to <url>: <status>",
    "unexpected status: <status>",
    "received unexpected HTTP status: <status>",
    "invalid status code from registry <status>",
    "StatusCode: <status>",
    "unexpected http code: <status>",
    "unexpected http status code: <status>",
    "login attempt to <url> failed with status: <status>",
    "unexpected response code <status>",
    "HTTP status: <status>",
    "error parsing HTTP <status> response body",
)

_SERVER_ERROR: Final = 500
_GOOGLE: Final = ("gcr.io", "pkg.dev")
_AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True)
class Request:
    """The request that a status answered.

    Attributes:
        kind: `TOKEN`, `BLOB`, or `RESOLVE`.
        host: The host that answered.
        anonymous: Whether it was sent without credentials; None if the message does not say.
        to_second_host: Whether a second host of the registry answered: its token service or its blob store.
        is_plain: Whether it used plain HTTP.
        is_ping: Whether it asked for `/v2/`, which every registry has.
    """

    kind: Kind
    host: str = ""
    anonymous: bool | None = None
    to_second_host: bool = False
    is_plain: bool = False
    is_ping: bool = False


def status_statement(status: int, text: str, request: Request) -> Statement:
    """Return the causes that fit a status; `text` is the rest of the message."""
    by_kind = _token_causes if request.kind is Kind.TOKEN else _content_causes
    codes, reason = _common_causes(status) or by_kind(status, request)
    if _is_page(text) and status < _SERVER_ERROR:
        codes = tuple(dict.fromkeys((Code.NOT_A_REGISTRY, *codes)))
        reason = "the server did not send a registry's JSON"
    # Registries use 403 in different ways; any other status with one cause decides.
    confidence = Confidence.MEDIUM if status == HTTPStatus.FORBIDDEN else Confidence.HIGH
    return Statement(Kind.ANSWER, text, codes, reason, confidence)


def _is_page(text: str) -> bool:
    return any(mark in text.lower() for mark in ("<html", "<!doctype", "<head", "error parsing http"))


def _common_causes(status: int) -> tuple[tuple[Code, ...], str] | None:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return (Code.RATE_LIMITED,), "429 means too many requests"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return (Code.PROXY_FAILED,), "only proxies answer 407"
    return None


def _token_causes(status: int, request: Request) -> tuple[tuple[Code, ...], str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return _credential_causes(request.anonymous)
    if status == HTTPStatus.FORBIDDEN and request.anonymous is not False:
        codes = (Code.AUTH_MISSING, Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND)
        return codes, "the token service issues no token for this repository"
    if status == HTTPStatus.FORBIDDEN:
        return (Code.ACCESS_DENIED, Code.AUTH_REJECTED), "the token service issues no token for these credentials"
    if status < _SERVER_ERROR and status != HTTPStatus.NOT_FOUND and request.anonymous is False:
        return (Code.TOKEN_SERVICE_BROKEN, Code.AUTH_REJECTED), "the token service rejects the request"
    return (Code.TOKEN_SERVICE_BROKEN,), f"the token service answers {status}"


def _credential_causes(anonymous: bool | None) -> tuple[tuple[Code, ...], str]:  # noqa: FBT001 - three-valued
    if anonymous is None:
        return (Code.AUTH_REJECTED, Code.AUTH_MISSING), "the message does not say whether credentials were used"
    if anonymous:
        return (Code.AUTH_MISSING,), "the runtime asked for a token without credentials"
    return (Code.AUTH_REJECTED,), "the runtime asked for a token with credentials"


def _content_causes(status: int, request: Request) -> tuple[tuple[Code, ...], str]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            # Harbor also answers 401 to an account without permission to pull.
            codes = (Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED)
            return codes, "the message does not say whether credentials were used"
        case HTTPStatus.FORBIDDEN:
            return _forbidden_causes(request)
        case HTTPStatus.NOT_FOUND:
            return _not_found_causes(request)
        case HTTPStatus.PRECONDITION_FAILED:
            return (Code.ACCESS_DENIED,), "Harbor answers 412 if its policy blocks the pull"
        case _ if status >= _SERVER_ERROR:
            return (Code.REGISTRY_ERROR,), f"the registry answers {status}"
        case _:
            return _unexpected_causes(status, request)


def _unexpected_causes(status: int, request: Request) -> tuple[tuple[Code, ...], str]:
    codes = (Code.NOT_A_REGISTRY, Code.REGISTRY_ERROR)
    if status == HTTPStatus.BAD_REQUEST and request.is_plain:
        return (Code.PLAIN_HTTP, *codes), "TLS servers answer plain HTTP with 400"
    return codes, f"a registry does not answer this request with {status}"


def _not_found_causes(request: Request) -> tuple[tuple[Code, ...], str]:
    if request.is_ping:
        return (Code.NOT_A_REGISTRY,), "the host has no /v2/"
    return (Code.BLOB_MISSING if request.kind is Kind.BLOB else Code.IMAGE_NOT_FOUND,), "the registry answers 404"


def _forbidden_causes(request: Request) -> tuple[tuple[Code, ...], str]:
    if request.kind is Kind.BLOB and request.to_second_host:
        return (Code.ACCESS_DENIED, Code.REGISTRY_ERROR), "the blob store rejects the registry's signed URL"
    if request.host.endswith(_GOOGLE):
        codes = (Code.AUTH_MISSING, Code.ACCESS_DENIED, Code.IMAGE_NOT_FOUND)
        return codes, "Google gives this answer for all of these"
    if request.host == "ghcr.io":
        return (
            Code.ACCESS_DENIED,
            Code.AUTH_MISSING,
            Code.IMAGE_NOT_FOUND,
        ), "GitHub gives this answer for all of these"
    if request.host.endswith(_AMAZON):
        return (Code.ACCESS_DENIED, Code.AUTH_REJECTED), "ECR gives the same answer for an expired token"
    return (Code.ACCESS_DENIED,), "the registry understands the request and refuses it"
