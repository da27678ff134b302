"""HTTP statuses in the words of runtimes, and the causes that fit by what was asked for."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Statement

# containerd 1.5 and 1.6, 1.7 and 2.x, its token requests; containers/image; moby.
STATUSES: Final = (
    "pulling from host <host> failed with status code <name>: <status>",
    "unexpected status code <url>: <status>",
    "unexpected status code [<name>]: <status>",
    "unexpected HEAD status code <url>: <status>",
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
class Question:
    """What was asked when a status came back.

    Attributes:
        kind: `TOKEN`, `BLOB`, or `RESOLVE`.
        host: Who answered.
        anonymous: Whether credentials were used, None where the words do not tell it.
        elsewhere: Another host than the registry answered: a token service or a blob store.
        is_plain: That it was asked in plain HTTP.
        ping: That `/v2/` was asked for, which every registry has.
    """

    kind: Kind
    host: str = ""
    anonymous: bool | None = None
    elsewhere: bool = False
    is_plain: bool = False
    ping: bool = False


def statement(status: int, words: str, question: Question) -> Statement:
    """Say what fits a status."""
    by_kind = _token if question.kind is Kind.TOKEN else _content
    codes, reason = _common(status) or by_kind(status, question)
    if _is_page(words) and status < _SERVER_ERROR:
        codes = tuple(dict.fromkeys((Code.NOT_A_REGISTRY, *codes)))
        reason = "what came is not the JSON of a registry"
    # What 403 means is a registry's habit; every other status that leaves one cause decides.
    confidence = Confidence.MEDIUM if status == HTTPStatus.FORBIDDEN else Confidence.HIGH
    return Statement(Kind.ANSWER, words, codes, reason, confidence)


def _is_page(words: str) -> bool:
    return any(mark in words.lower() for mark in ("<html", "<!doctype", "<head", "error parsing http"))


def _common(status: int) -> tuple[tuple[Code, ...], str] | None:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return (Code.RATE_LIMITED,), "429 says so"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return (Code.PROXY_FAILED,), "407 comes from a proxy"
    return None


def _token(status: int, question: Question) -> tuple[tuple[Code, ...], str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return _credentials(question.anonymous)
    if status == HTTPStatus.FORBIDDEN and question.anonymous is not False:
        return (
            Code.AUTH_MISSING,
            Code.ACCESS_DENIED,
            Code.IMAGE_NOT_FOUND,
        ), "no token is given for this repository"
    if status == HTTPStatus.FORBIDDEN:
        return (Code.ACCESS_DENIED, Code.AUTH_REJECTED), "no token is given to these credentials"
    if status < _SERVER_ERROR and status != HTTPStatus.NOT_FOUND and question.anonymous is False:
        return (Code.TOKEN_SERVICE_BROKEN, Code.AUTH_REJECTED), "the token service does not take the request"
    return (Code.TOKEN_SERVICE_BROKEN,), f"the token service answers with {status}"


def _credentials(anonymous: bool | None) -> tuple[tuple[Code, ...], str]:  # noqa: FBT001 - three-valued
    if anonymous is None:
        return (Code.AUTH_REJECTED, Code.AUTH_MISSING), "the words do not say whether credentials were used"
    if anonymous:
        return (Code.AUTH_MISSING,), "the runtime asked for a token without credentials"
    return (Code.AUTH_REJECTED,), "the runtime asked for a token with credentials"


def _content(status: int, question: Question) -> tuple[tuple[Code, ...], str]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            # Harbor answers 401 to an account that may not pull, too.
            codes = (Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED)
            return codes, "the words do not say whether credentials were used"
        case HTTPStatus.FORBIDDEN:
            return _forbidden(question)
        case HTTPStatus.NOT_FOUND:
            return _absent(question)
        case HTTPStatus.PRECONDITION_FAILED:
            return (Code.ACCESS_DENIED,), "412 is how Harbor says that its policy forbids the pull"
        case _ if status >= _SERVER_ERROR:
            return (Code.REGISTRY_ERROR,), f"the registry answers with {status}"
        case _:
            return _odd(status, question)


def _odd(status: int, question: Question) -> tuple[tuple[Code, ...], str]:
    codes = (Code.NOT_A_REGISTRY, Code.REGISTRY_ERROR)
    if status == HTTPStatus.BAD_REQUEST and question.is_plain:
        return (Code.PLAIN_HTTP, *codes), "TLS servers answer plain HTTP so"
    return codes, f"a registry does not answer this with {status}"


def _absent(question: Question) -> tuple[tuple[Code, ...], str]:
    if question.ping:
        return (Code.NOT_A_REGISTRY,), "there is no /v2/ at this host"
    return (Code.BLOB_MISSING if question.kind is Kind.BLOB else Code.IMAGE_NOT_FOUND,), "404 says so"


def _forbidden(question: Question) -> tuple[tuple[Code, ...], str]:
    if question.kind is Kind.BLOB and question.elsewhere:
        return (Code.ACCESS_DENIED, Code.REGISTRY_ERROR), "the blob store does not take the registry's signed URL"
    if question.host.endswith(_GOOGLE):
        return (
            Code.AUTH_MISSING,
            Code.ACCESS_DENIED,
            Code.IMAGE_NOT_FOUND,
        ), "Google's habit for each of these"
    if question.host.endswith(_AMAZON):
        return (Code.ACCESS_DENIED, Code.AUTH_REJECTED), "ECR answers so to expired tokens, too"
    return (Code.ACCESS_DENIED,), "the registry understood the request and refuses it"
