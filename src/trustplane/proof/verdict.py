"""Verdicts on trust from the messages of failed pulls.

Messages come from containerd 1.x and 2.x (`core/remotes/docker`), CRI-O (`containers/image`) and Go's `crypto/x509`,
`crypto/tls` and `net`; the kubelet passes them on.

One message may report several attempts: mirrors, a fallback to plain HTTP, a token service, a blob host. Only a TLS
response of the registry itself or of a second host counts. The verdict names a second host: it proves as much as the
registry if only the registry can have redirected the client to it.

Clients write their own text first. Untrusted text (a certificate's names, a proxy's status text, an error's body)
extends from there to the end, and can imitate a client. Therefore, the first part written by the client decides.
An HTTP proxy's status text appears in the position of a transport error: it can claim that TLS was refused, just like
the proxy's own certificate in place of the registry's, but never that TLS was accepted. What the decisive part says is
read by the vocabulary of `diagnosis` (module `causes`).

A message never shows whether the certificate was verified, nor which host responded: `not found` may come from a
mirror, and is the same with `skip_verify` and over HTTP. `Trusted` is therefore only the best possible reading. The
module `clusterapi.node_state` decides by how the node's runtime reaches the registry (`nodes.registries`).
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias

from trustplane.diagnosis.proxy import is_localhost
from trustplane.proof.causes import RefusalReason, is_unreachable, refusal_reason
from trustplane.text import MAX_INPUT, clean


@dataclass(frozen=True)
class Trusted:
    """The client accepted TLS, as far as a message can show.

    Attributes:
        pulled: Whether the image was pulled.
        answered_by: The second host that responded; empty if the registry did, at least by name.
    """

    pulled: bool = False
    second_host: str = ""


@dataclass(frozen=True)
class NotTrusted:
    """The client refused TLS.

    Attributes:
        reason: The kind of refusal.
        detail: The client's error.
        host: The host with the refused certificate: the registry, or a second host (token service, blobs).
    """

    reason: RefusalReason
    detail: str
    host: str


@dataclass(frozen=True)
class Unreachable:
    """No TLS session was possible: no information about trust."""

    detail: str


@dataclass(frozen=True)
class Unclear:
    """The message is unknown, or proves nothing about TLS with this registry.

    Attributes:
        detail: The message, or why it proves nothing and what to do.
        is_final: Whether further messages of the same kubelet cannot change the verdict.
    """

    detail: str
    is_final: bool = False


ProofVerdict: TypeAlias = Trusted | NotTrusted | Unreachable | Unclear

_DETAIL_LENGTH: Final = 300
_ALIASES: Final = {"registry-1.docker.io": "docker.io", "index.docker.io": "docker.io"}

# net/http reports `Get "https://host/path": reason` (before Go 1.14 without quotes); containerd reports
# `unexpected status from HEAD request to https://host/path: 403 Forbidden`. Logs escape quotes.
_REQUEST: Final = re.compile(r'\b(?:Get|Head|Post|request to|status code) \\*"?https?://')
_ATTEMPT: Final = re.compile(
    r'\b(?P<kind>Get|Head|Post|request to|status code) \\*"?'
    r'(?P<scheme>https?)://(?P<host>[^/\s"\\?]+)(?P<rest>[^\s"\\]*?)\\*"?: '
)
_MIRRORS: Final = "(Mirrors also failed: ["  # containers/image
_MIRRORS_END: Final = "]): "
_STATUS: Final = re.compile(r"\d{3}\b")
# These come before the request is processed, possibly from any host on the path: rate limit, proxy authentication.
_UNPROCESSED: Final = re.compile(r"(?:429|407)\b")
_RATE_LIMITED: Final = re.compile(r"toomanyrequests|too many requests|: 429\b", re.IGNORECASE)

_X509: Final = re.compile(r"x509: ")
_REFUSED: Final = re.compile(r"(?:tls: failed to (?:verify certificate|parse certificate from server): )?x509: ")
_CA_FILE: Final = re.compile(r"unable to (?:read|load) CA cert ")
_PROXY: Final = re.compile(r"proxyconnect |socks connect ")
_PHRASES: Final = frozenset(status.phrase for status in HTTPStatus)

# The registry redirected the client: to a token service, or to a blob host.
_REDIRECT: Final = re.compile(
    r"failed to authorize|fetch (?:anonymous|oauth) token|auth token|failed to copy|httpReadSeeker"
    r"|(?:reading|writing|fetching) blob"
)
_TOKEN_QUERY: Final = re.compile(r"[?&](?:scope|service)=")

# HTTP responses, which require accepted TLS. HOST stands for the registry.
_ANSWERS: Final = (
    r"HOST/[^\s\"\\]+: not found",
    r"reading manifest \S+ in HOST/\S+: (?!Get |Head |Post )",
    r"manifest for HOST/\S+ not found",
    r"pulling from host HOST failed with status code \[[^\]\n]*\]: \d{3}\b",
    r"pinging container registry HOST: StatusCode: \d{3}",
    r"initializing image from source docker://HOST/[^\s\"\\]+: image ID \\*\"\\*\" is invalid",  # of schema 1
)
_ANSWERS_ANYWHERE: Final = re.compile(
    r"failed to fetch (?:anonymous|oauth) token: unexpected status: \d{3}|no basic auth credentials|insufficient_scope"
    r"|failed to handle basic auth|failed to find supported auth scheme|pull access denied|manifest unknown"
    r"|name unknown: |unauthorized: |authentication required|(?<!permission )\bdenied: "
    r"|access to the resource is denied|invalid username/password"
    r"|unexpected HTTP status: \d{3}"
    r"|invalid status code from registry \d{3}|unexpected status code \[\w+ \S+\]: \d{3}|could not fetch content"
    r"|failed commit on ref|no match for platform",
)
# The text that follows comes from the responding host, which the client does not name.
_QUOTED: Final = re.compile(
    r"\b(?:unknown|toomanyrequests|unsupported|server message|errors): |errors:\n|too many requests"
    r"|status(?: ?code)?:? (?:[^:\n]{0,80}: )?[1-5]\d\d\b|error parsing HTTP \d{3} response body",
    re.IGNORECASE,
)


class _Mark(enum.Enum):
    """The first part of a message written by the client itself; of two at one position, the upper one counts."""

    REQUEST = enum.auto()
    ANSWER = enum.auto()  # of the registry, which the client names
    ANY_ANSWER = enum.auto()
    QUOTE = enum.auto()
    CA_FILE = enum.auto()
    REFUSAL = enum.auto()


@dataclass(frozen=True)
class _Attempt:
    is_answer: bool  # an HTTP response; otherwise a transport error
    is_https: bool
    is_mirror: bool
    host: str
    is_redirected: bool
    text: str


def parse_verdict(message: str, host: str) -> ProofVerdict:
    """Return the verdict of a failed pull.

    Args:
        message: The message of container state `ErrImagePull` or `ImagePullBackOff`, or of an event `Failed`.
        host: The registry, as in the image reference: `host` or `host:port`.
    """
    text = _without_mirrors(message)
    result = Unclear(_short(message)) if text is None else _parse(text, host)
    return accepted_verdict(host) if isinstance(result, Trusted) and is_localhost(host) else result


def accepted_verdict(host: str, *, pulled: bool = False) -> ProofVerdict:
    """Return the verdict for a registry whose response implies TLS."""
    if is_localhost(host):
        return Unclear(
            f"a registry on localhost proves nothing: containerd neither requires TLS of {host} nor verifies it. "
            "Use the name by which other hosts reach the registry",
            is_final=True,
        )
    return Trusted(pulled)


def _without_mirrors(message: str) -> str | None:
    """Remove the errors of mirrors; None if their end is ambiguous, because they may imitate the delimiter."""
    text = message[:MAX_INPUT]
    start = text.find(_MIRRORS)
    if start < 0 or _start_of(_REQUEST, text) < start or _start_of(_X509, text) < start:
        return text  # the list is part of untrusted text
    before, after = text[:start], text[start:]
    _, end, rest = after.partition(_MIRRORS_END)
    is_cut = len(message) > MAX_INPUT or message.endswith(("...", "…"))  # the end may be missing
    return before + rest if end and _MIRRORS_END not in rest and not is_cut else None


def _parse(text: str, host: str) -> ProofVerdict:
    attempts = tuple(_attempts(text))
    mark = _first_mark(text, host)
    if mark is _Mark.REQUEST:
        return _judge_attempts(text, host, attempts)
    if not _names(text, host):
        return Unclear(_short(text))
    if mark is _Mark.CA_FILE:
        return NotTrusted(RefusalReason.CA_FILE, _short(text[_start_of(_CA_FILE, text) :]), host)
    if mark is _Mark.REFUSAL:
        return _refused(text, host)
    is_answer = mark is _Mark.ANSWER or (mark is _Mark.ANY_ANSWER and not _REQUEST.search(text))
    if _RATE_LIMITED.search(text):
        return _unprocessed(text)
    return (
        Trusted(second_host="a second host" if _REDIRECT.search(text) else "") if is_answer else Unclear(_short(text))
    )


def _first_mark(text: str, host: str) -> _Mark | None:
    answers = re.compile("|".join(_ANSWERS).replace("HOST", _pattern(host)), re.IGNORECASE)
    patterns = (_REQUEST, answers, _ANSWERS_ANYWHERE, _QUOTED, _CA_FILE, _X509)
    places = [(_start_of(pattern, text), index) for index, pattern in enumerate(patterns)]
    place, index = min(places)
    return list(_Mark)[index] if place < len(text) else None


def _attempts(text: str) -> Iterator[_Attempt]:
    """Yield everything that resembles an attempt. Only the first one is certain, and only if its URL is complete."""
    matches = list(_ATTEMPT.finditer(text))
    if not matches or matches[0].start() != _start_of(_REQUEST, text):
        return
    ends = [*(match.start() for match in matches[1:]), len(text)]
    redirect = _start_of(_REDIRECT, text)
    for match, end in zip(matches, ends, strict=True):
        yield _Attempt(
            is_answer=match["kind"] in ("request to", "status code"),
            is_https=match["scheme"] == "https",
            is_mirror="ns=" in match["rest"].partition("?")[2],  # containerd passes the origin to a mirror
            host=match["host"],
            is_redirected=bool(_TOKEN_QUERY.search(match["rest"]) or redirect < match.start()),
            text=text[match.end() : end].strip(),
        )


def _counts(attempt: _Attempt, host: str, *, is_named: bool) -> bool:
    return _is_same(attempt.host, host) or (attempt.is_redirected and is_named)


def _is_same(host: str, other: str) -> bool:
    return _plain(host) == _plain(other)


def _plain(host: str) -> str:
    plain = host.lower().removesuffix(":443")
    return _ALIASES.get(plain, plain)


def _names(text: str, host: str) -> bool:
    return re.search(_pattern(host), text, re.IGNORECASE) is not None


def _pattern(host: str) -> str:
    return rf"(?<![\w.-]){re.escape(host)}(?![\w.-]|:\d)"


def _judge_attempts(text: str, host: str, attempts: Sequence[_Attempt]) -> ProofVerdict:
    if not attempts:
        return Unclear(_short(text))
    is_named = _names(text, host)
    first, *later = attempts
    if _is_proof(first, host, is_named=is_named):
        return _judge(first, host)
    # The registry's own attempt may follow that of a mirror. It may also be untrusted text, which proves nothing.
    others = (_judge(attempt, host) for attempt in later if _is_proof(attempt, host, is_named=is_named))
    unreachable = (other for other in others if isinstance(other, Unreachable))
    obstacle = _obstacle(text, first) if is_named else None
    return next(unreachable, None) or obstacle or Unclear(_short(text))


def _is_proof(attempt: _Attempt, host: str, *, is_named: bool) -> bool:
    return attempt.is_https and not attempt.is_mirror and _counts(attempt, host, is_named=is_named)


def _judge(attempt: _Attempt, host: str) -> ProofVerdict:
    text = attempt.text
    if attempt.is_answer and _STATUS.match(text):
        by = "" if _is_same(attempt.host, host) else _short(attempt.host)
        return _unprocessed(text) if _UNPROCESSED.match(text) else Trusted(second_host=by)
    if not attempt.is_answer and _REFUSED.match(text):
        return _refused(text, attempt.host)
    if text.rstrip(".") in _PHRASES or _PROXY.match(text):
        return _by_proxy(text, host)
    if "tls: " in text or "http: server gave HTTP response" in text:
        return Unclear(_short(text))
    return Unreachable(_short(text)) if is_unreachable(text) else Unclear(_short(text))


def _by_proxy(text: str, host: str) -> ProofVerdict:
    if _PROXY.match(text):  # an HTTPS proxy's certificate is not the registry's
        return Unreachable(f"proxy: {_short(text)}")
    # A bare status text is a proxy's response to CONNECT.
    return Unclear(
        f"the node's proxy responded instead of the registry: {_short(text)}. "
        f"Allow the node to reach {_short(host)} through the proxy, or exclude that host (NO_PROXY)",
        is_final=True,
    )


def _obstacle(text: str, attempt: _Attempt) -> Unclear | None:
    """Return why the attempt is not one over TLS with the registry itself; None if it may be."""
    if not attempt.is_https:
        detail = f"the node contacted {_short(attempt.host)} without TLS. Configure HTTPS for it: {_short(text)}"
        return Unclear(detail, is_final=True)
    if attempt.is_mirror:
        detail = f"the node contacted a mirror, {_short(attempt.host)}. Let it use the registry itself: {_short(text)}"
        return Unclear(detail, is_final=True)
    return _unprocessed(text) if _RATE_LIMITED.search(text) else None


def _unprocessed(text: str) -> Unclear:
    return Unclear(
        "rejected before the request was processed, possibly by another host on the path. "
        f"Trustplane retries: {_short(text)}",
        is_final=True,
    )


def _refused(text: str, host: str) -> NotTrusted:
    detail = text[_start_of(_X509, text) :]
    return NotTrusted(refusal_reason(detail), _short(detail), host)


def _start_of(pattern: re.Pattern[str], text: str) -> int:
    """Return the position of the first match; the text's length without one."""
    match = pattern.search(text)
    return match.start() if match else len(text)


def _short(text: str) -> str:
    return clean(text, _DETAIL_LENGTH)
