"""What a failed pull says about trust, read from the words of the kubelet.

The words are those of containerd 1.x and 2.x (`core/remotes/docker`), of CRI-O (`containers/image`) and of Go's
`crypto/x509`, `crypto/tls` and `net`; the kubelet hands them on.

One message may tell of several attempts: mirrors, a fall back to plain HTTP, a token service, a host that keeps the
blobs. Only what was said over TLS by the registry itself, or by a second host, counts. A second host is named: it is
as good as the registry where nobody but that can have sent the client to it.

What a client writes comes first. Strangers' words (a certificate's names, a proxy's status text, an error's body) run
from there to the end and are free to imitate a client. So whatever of its own the client writes first decides.
An HTTP proxy's status text stands where the transport's error does: it can say that TLS was refused, as its own
certificate in the registry's place would, and never that it was accepted.

Words never show that a certificate was verified, nor who was asked: `not found` may be a mirror's answer, and reads the
same with `skip_verify` and over HTTP. So `Trusted` is what the words allow at best. `trust.standing` decides, by how
the node's runtime reaches the registry (`nodes.registries`).
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias

from trustplane.diagnosis.proxy import is_localhost
from trustplane.text import MAX_INPUT, clean


class RefusalReason(enum.StrEnum):
    """Why a client does not trust a server."""

    UNKNOWN_AUTHORITY = "UnknownAuthority"
    EXPIRED = "Expired"
    NOT_YET_VALID = "NotYetValid"
    NAME_MISMATCH = "NameMismatch"
    INVALID_CHAIN = "InvalidChain"  # a rule of RFC 5280 that Go enforces: key usage, constraints, path length, ...
    CA_FILE = "CAFile"  # the node's own file of CAs for this host cannot be used


@dataclass(frozen=True)
class Trusted:
    """TLS was accepted, as far as words can tell.

    Attributes:
        pulled: Whether the image came as well.
        answered_by: A second host that answered; empty where it was the registry, by its name at least.
    """

    pulled: bool = False
    second_host: str = ""


@dataclass(frozen=True)
class NotTrusted:
    """TLS was refused by the client.

    Attributes:
        reason: The kind of refusal.
        detail: The client's own words.
        host: Whose certificate it was: the registry, or a second host that it needs (token service, blobs).
    """

    reason: RefusalReason
    detail: str
    host: str


@dataclass(frozen=True)
class Unreachable:
    """No TLS session could be tried: this says nothing about trust."""

    detail: str


@dataclass(frozen=True)
class Unclear:
    """The words fit nothing that is known, or prove nothing about TLS with this registry.

    Attributes:
        detail: What was said, or why that proves nothing and what to do.
        is_final: Whether nothing that the same kubelet adds can say more.
    """

    detail: str
    is_final: bool = False


ProofVerdict: TypeAlias = Trusted | NotTrusted | Unreachable | Unclear

_DETAIL_LENGTH: Final = 300
_ALIASES: Final = {"registry-1.docker.io": "docker.io", "index.docker.io": "docker.io"}

# net/http says `Get "https://host/path": reason` (before Go 1.14 without quotes); containerd says
# `unexpected status from HEAD request to https://host/path: 403 Forbidden`. Logs escape quotes.
_ASKED: Final = re.compile(r'\b(?:Get|Head|Post|request to|status code) \\*"?https?://')
_ATTEMPT: Final = re.compile(
    r'\b(?P<kind>Get|Head|Post|request to|status code) \\*"?'
    r'(?P<scheme>https?)://(?P<host>[^/\s"\\?]+)(?P<rest>[^\s"\\]*?)\\*"?: '
)
_MIRRORS: Final = "(Mirrors also failed: ["  # containers/image
_MIRRORS_END: Final = "]): "
_STATUS: Final = re.compile(r"\d{3}\b")
# Whoever sees too many requests, or wants a proxy's password, has not looked at this one: it may be anybody on the way.
_BEFORE_ANYTHING: Final = re.compile(r"(?:429|407)\b")
_RATE_LIMITED: Final = re.compile(r"toomanyrequests|too many requests|: 429\b", re.IGNORECASE)

_X509: Final = re.compile(r"x509: ")
_REFUSED: Final = re.compile(r"(?:tls: failed to (?:verify certificate|parse certificate from server): )?x509: ")
_REFUSALS: Final = (
    (re.compile(r"x509: certificate signed by unknown authority"), RefusalReason.UNKNOWN_AUTHORITY),
    (re.compile(r"x509: certificate has expired or is not yet valid: .*? is before "), RefusalReason.NOT_YET_VALID),
    (re.compile(r"x509: certificate has expired"), RefusalReason.EXPIRED),
    (
        re.compile(
            r"x509: (?:certificate is (?:not )?valid for\b|cannot validate certificate for "
            r"|certificate relies on legacy Common Name)"
        ),
        RefusalReason.NAME_MISMATCH,
    ),
)
_CA_FILE: Final = re.compile(r"unable to (?:read|load) CA cert ")
_PROXY: Final = re.compile(r"proxyconnect |socks connect ")
_NETWORK: Final = re.compile(
    r"connection refused|connection reset|connection timed out|operation timed out|i/o timeout|TLS handshake timeout"
    r"|no such host|server misbehaving|[Tt]emporary failure in name resolution|no route to host"
    r"|network is unreachable|host is down|broken pipe|use of closed network connection|\bEOF\b"
    r"|context deadline exceeded|Client\.Timeout|operation not permitted"
)
_PHRASES: Final = frozenset(status.phrase for status in HTTPStatus)

# The registry sent the client on: to a token service, or to the host that keeps the blobs.
_SENT_ON: Final = re.compile(
    r"failed to authorize|fetch (?:anonymous|oauth) token|auth token|failed to copy|httpReadSeeker"
    r"|(?:reading|writing|fetching) blob"
)
_TOKEN_QUERY: Final = re.compile(r"[?&](?:scope|service)=")

# Answers that come over HTTP only after TLS was accepted. HOST stands for the registry.
_ANSWERS: Final = (
    r"HOST/[^\s\"\\]+: not found",
    r"reading manifest \S+ in HOST/\S+: (?!Get |Head |Post )",
    r"manifest for HOST/\S+ not found",
    r"pulling from host HOST failed with status code \[[^\]\n]*\]: \d{3}\b",
    r"pinging container registry HOST: StatusCode: \d{3}",
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
# What follows was written by whoever answered; the client does not say who that was.
_QUOTED: Final = re.compile(
    r"\b(?:unknown|toomanyrequests|unsupported|server message|errors): |errors:\n|too many requests"
    r"|status(?: ?code)?:? (?:[^:\n]{0,80}: )?[1-5]\d\d\b|error parsing HTTP \d{3} response body",
    re.IGNORECASE,
)


class _Mark(enum.Enum):
    """What of its own a client writes first. Where two begin at one place, the one above counts."""

    ASKED = enum.auto()
    ANSWERED = enum.auto()  # by the registry, which it names
    ANSWERED_BY_ANY = enum.auto()
    QUOTED = enum.auto()
    CA_FILE = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True)
class _Attempt:
    is_answer: bool  # an HTTP status came back; else the error is of the transport
    is_https: bool
    is_mirror: bool
    host: str
    is_sent_on: bool
    words: str


def parse_verdict(message: str, host: str) -> ProofVerdict:
    """Judge what a kubelet says of a pull.

    Args:
        message: Of a container's state `ErrImagePull` or `ImagePullBackOff`, or of an event `Failed`.
        host: The registry that was asked, as in the image's name: `host` or `host:port`.
    """
    text = _without_mirrors(message)
    words = Unclear(_short(message)) if text is None else _read(text, host)
    return accepted_verdict(host) if isinstance(words, Trusted) and is_localhost(host) else words


def accepted_verdict(host: str, *, pulled: bool = False) -> ProofVerdict:
    """Return what it means that a registry answered as one does that was asked over TLS."""
    if is_localhost(host):
        return Unclear(
            f"a registry of localhost proves nothing: containerd neither asks {host} for TLS nor verifies it. "
            "Name the registry as other computers reach it",
            is_final=True,
        )
    return Trusted(pulled)


def _without_mirrors(message: str) -> str | None:
    """Cut out what mirrors said; None where it is open where that ends, as their words may imitate the end."""
    text = message[:MAX_INPUT]
    start = text.find(_MIRRORS)
    if start < 0 or _begins(_ASKED, text) < start or _begins(_X509, text) < start:
        return text  # what a stranger wrote is no list of the client's
    before, after = text[:start], text[start:]
    _, end, rest = after.partition(_MIRRORS_END)
    is_cut = len(message) > MAX_INPUT or message.endswith(("...", "…"))  # the end may be what is missing
    return before + rest if end and _MIRRORS_END not in rest and not is_cut else None


def _read(text: str, host: str) -> ProofVerdict:
    attempts = tuple(_attempts(text))
    mark = _first_mark(text, host)
    if mark is _Mark.ASKED:
        return _judge_attempts(text, host, attempts)
    if not _names(text, host):
        return Unclear(_short(text))
    if mark is _Mark.CA_FILE:
        return NotTrusted(RefusalReason.CA_FILE, _short(text[_begins(_CA_FILE, text) :]), host)
    if mark is _Mark.REFUSED:
        return _refused(text, host)
    is_answer = mark is _Mark.ANSWERED or (mark is _Mark.ANSWERED_BY_ANY and not _ASKED.search(text))
    if _RATE_LIMITED.search(text):
        return _too_early(text)
    return Trusted(second_host="a second host" if _SENT_ON.search(text) else "") if is_answer else Unclear(_short(text))


def _first_mark(text: str, host: str) -> _Mark | None:
    answers = re.compile("|".join(_ANSWERS).replace("HOST", _pattern(host)), re.IGNORECASE)
    patterns = (_ASKED, answers, _ANSWERS_ANYWHERE, _QUOTED, _CA_FILE, _X509)
    places = [(_begins(pattern, text), index) for index, pattern in enumerate(patterns)]
    place, index = min(places)
    return list(_Mark)[index] if place < len(text) else None


def _attempts(text: str) -> Iterator[_Attempt]:
    """Find what reads as attempts. Only the first one is the client's for sure, and only if its URL is a plain one."""
    begun = list(_ATTEMPT.finditer(text))
    if not begun or begun[0].start() != _begins(_ASKED, text):
        return
    ends = [*(one.start() for one in begun[1:]), len(text)]
    sent = _begins(_SENT_ON, text)
    for one, end in zip(begun, ends, strict=True):
        yield _Attempt(
            is_answer=one["kind"] in ("request to", "status code"),
            is_https=one["scheme"] == "https",
            is_mirror="ns=" in one["rest"].partition("?")[2],  # containerd tells a mirror whose image it wants
            host=one["host"],
            is_sent_on=bool(_TOKEN_QUERY.search(one["rest"]) or sent < one.start()),
            words=text[one.end() : end].strip(),
        )


def _counts(attempt: _Attempt, host: str, *, is_named: bool) -> bool:
    return _same(attempt.host, host) or (attempt.is_sent_on and is_named)


def _same(one: str, other: str) -> bool:
    return _plain(one) == _plain(other)


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
    # After a mirror's the registry's own attempt may follow. A stranger may have written that: it proves nothing.
    others = (_judge(one, host) for one in later if _is_proof(one, host, is_named=is_named))
    unreachable = (one for one in others if isinstance(one, Unreachable))
    hindered = _hindered(text, first) if is_named else None
    return next(unreachable, None) or hindered or Unclear(_short(text))


def _is_proof(attempt: _Attempt, host: str, *, is_named: bool) -> bool:
    return attempt.is_https and not attempt.is_mirror and _counts(attempt, host, is_named=is_named)


def _judge(attempt: _Attempt, host: str) -> ProofVerdict:
    words = attempt.words
    if attempt.is_answer and _STATUS.match(words):
        by = "" if _same(attempt.host, host) else _short(attempt.host)
        return _too_early(words) if _BEFORE_ANYTHING.match(words) else Trusted(second_host=by)
    if not attempt.is_answer and _REFUSED.match(words):
        return _refused(words, attempt.host)
    if words.rstrip(".") in _PHRASES or _PROXY.match(words):
        return _by_proxy(words, host)
    if "tls: " in words or "http: server gave HTTP response" in words:
        return Unclear(_short(words))
    return Unreachable(_short(words)) if _NETWORK.search(words) else Unclear(_short(words))


def _by_proxy(words: str, host: str) -> ProofVerdict:
    if _PROXY.match(words):  # an HTTPS proxy's certificate is not the registry's
        return Unreachable(f"proxy: {_short(words)}")
    # A bare status text is a proxy's answer to CONNECT.
    return Unclear(
        f"the node's proxy answers in the registry's place: {_short(words)}. "
        f"Have it let the node through to {_short(host)}, or except that host (NO_PROXY)",
        is_final=True,
    )


def _hindered(text: str, attempt: _Attempt) -> Unclear | None:
    """Return what shows that an answer, if it is one, is none of the registry over TLS."""
    if not attempt.is_https:
        detail = f"{_short(attempt.host)} was asked without TLS. Have the node ask it by HTTPS: {_short(text)}"
        return Unclear(detail, is_final=True)
    if attempt.is_mirror:
        detail = f"a mirror was asked, {_short(attempt.host)}. Have the node ask the registry itself: {_short(text)}"
        return Unclear(detail, is_final=True)
    return _too_early(text) if _RATE_LIMITED.search(text) else None


def _too_early(words: str) -> Unclear:
    return Unclear(
        "turned away before anything was looked at, perhaps by somebody on the way. "
        f"It is asked again: {_short(words)}",
        is_final=True,
    )


def _refused(words: str, host: str) -> NotTrusted:
    detail = words[_begins(_X509, words) :]
    # The hint in parentheses quotes a second error; the first one decides.
    reasons = (reason for pattern, reason in _REFUSALS if pattern.match(detail))
    return NotTrusted(next(reasons, RefusalReason.INVALID_CHAIN), _short(detail), host)


def _begins(pattern: re.Pattern[str], text: str) -> int:
    """Return where a pattern first begins: the text's end where it does not."""
    begun = pattern.search(text)
    return begun.start() if begun else len(text)


def _short(words: str) -> str:
    return clean(words, _DETAIL_LENGTH)
