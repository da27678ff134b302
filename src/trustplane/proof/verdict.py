"""What a failed pull says about trust, read from the words of the kubelet.

The words are those of containerd 1.x and 2.x (`core/remotes/docker`), of CRI-O (`containers/image`) and of Go's
`crypto/x509`, `crypto/tls` and `net`; the kubelet hands them on.

One message may tell of several attempts: mirrors, a fall back to plain HTTP, a token service, a host that keeps the
blobs. Only what was said over TLS by the registry itself, or by a second host, counts. A second host is named: it is
as good as the registry where nobody but that can have sent the client to it.

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


class Refusal(enum.StrEnum):
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
    answered_by: str = ""


@dataclass(frozen=True)
class NotTrusted:
    """TLS was refused by the client.

    Attributes:
        reason: The kind of refusal.
        detail: The client's own words.
        host: Whose certificate it was: the registry, or a second host that it needs (token service, blobs).
    """

    reason: Refusal
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


Verdict: TypeAlias = Trusted | NotTrusted | Unreachable | Unclear

_DETAIL_LENGTH: Final = 300
_ALIASES: Final = {"registry-1.docker.io": "docker.io", "index.docker.io": "docker.io"}

# net/http says `Get "https://host/path": reason` (before Go 1.14 without quotes); containerd says
# `unexpected status from HEAD request to https://host/path: 403 Forbidden`. Logs escape quotes.
_ATTEMPT: Final = re.compile(
    r'\b(?P<kind>Get|Head|Post|request to|status code) \\*"?'
    r'(?P<scheme>https?)://(?P<host>[^/\s"\\?]+)(?P<rest>[^\s"\\]*?)\\*"?: '
)
_MIRRORS: Final = re.compile(r"\(Mirrors also failed: \[.*\]\): ", re.DOTALL)  # containers/image
_STATUS: Final = re.compile(r"\d{3}\b")
# Whoever sees too many requests, or wants a proxy's password, has not looked at this one: it may be anybody on the way.
_BEFORE_ANYTHING: Final = re.compile(r"(?:429|407)\b")
_RATE_LIMITED: Final = re.compile(r"toomanyrequests|too many requests|: 429\b", re.IGNORECASE)

_X509: Final = re.compile(r"x509: ")
_REFUSALS: Final = (
    (re.compile(r"x509: certificate signed by unknown authority"), Refusal.UNKNOWN_AUTHORITY),
    (re.compile(r"x509: certificate has expired or is not yet valid: .*? is before "), Refusal.NOT_YET_VALID),
    (re.compile(r"x509: certificate has expired"), Refusal.EXPIRED),
    (
        re.compile(
            r"x509: (certificate is valid for |certificate is not valid for any names|cannot validate certificate for "
            r"|certificate relies on legacy Common Name|certificate is not valid for )"
        ),
        Refusal.NAME_MISMATCH,
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
    r"HOST/\S+: not found",
    r"reading manifest \S+ in HOST/",
    r"manifest for HOST/\S+ not found",
    r"pulling from host HOST failed with status code .*?: \d{3}\b",
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


@dataclass(frozen=True)
class _Attempt:
    is_answer: bool  # an HTTP status came back; else the error is of the transport
    is_https: bool
    is_mirror: bool
    host: str
    is_sent_on: bool
    words: str


def verdict(message: str, host: str) -> Verdict:
    """Judge what a kubelet says of a pull.

    Args:
        message: Of a container's state `ErrImagePull` or `ImagePullBackOff`, or of an event `Failed`.
        host: The registry that was asked, as in the image's name: `host` or `host:port`.
    """
    text = _MIRRORS.sub("", message[:MAX_INPUT])
    attempts = list(_attempts(text))
    is_named = _names(text, host)
    of_host = [one for one in attempts if one.is_https and not one.is_mirror and _counts(one, host, is_named=is_named)]
    words = _judge(of_host[-1], host) if of_host else _judge_text(text, host, attempts)
    return accepted(host) if isinstance(words, Trusted) and is_localhost(host) else words


def accepted(host: str, *, pulled: bool = False) -> Verdict:
    """Return what it means that a registry answered as one does that was asked over TLS."""
    if is_localhost(host):
        return Unclear(
            f"a registry of localhost proves nothing: containerd neither asks {host} for TLS nor verifies it. "
            "Name the registry as other computers reach it",
            is_final=True,
        )
    return Trusted(pulled)


def _attempts(text: str) -> Iterator[_Attempt]:
    found = list(_ATTEMPT.finditer(text))
    ends = [*(one.start() for one in found[1:]), len(text)]
    sent = _SENT_ON.search(text)
    for one, end in zip(found, ends, strict=False):
        yield _Attempt(
            is_answer=one["kind"] in ("request to", "status code"),
            is_https=one["scheme"] == "https",
            is_mirror="ns=" in one["rest"].partition("?")[2],  # containerd tells a mirror whose image it wants
            host=one["host"],
            is_sent_on=bool(_TOKEN_QUERY.search(one["rest"]) or (sent and sent.end() <= one.start())),
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


def _judge(attempt: _Attempt, host: str) -> Verdict:
    words = attempt.words
    if attempt.is_answer and _STATUS.match(words):
        by = "" if _same(attempt.host, host) else _short(attempt.host)
        return _too_early(words) if _BEFORE_ANYTHING.match(words) else Trusted(answered_by=by)
    if words.rstrip(".") in _PHRASES or _PROXY.search(words):
        return _by_proxy(words, host)
    if _X509.search(words):
        return _refused(words, attempt.host)
    if "tls: " in words or "http: server gave HTTP response" in words:
        return Unclear(_short(words))
    return Unreachable(_short(words)) if _NETWORK.search(words) else Unclear(_short(words))


def _by_proxy(words: str, host: str) -> Verdict:
    if _PROXY.search(words):  # an HTTPS proxy's certificate is not the registry's
        return Unreachable(f"proxy: {_short(words)}")
    # A bare status text is a proxy's answer to CONNECT.
    return Unclear(
        f"the node's proxy answers in the registry's place: {_short(words)}. "
        f"Have it let the node through to {_short(host)}, or except that host (NO_PROXY)",
        is_final=True,
    )


def _judge_text(text: str, host: str, attempts: Sequence[_Attempt]) -> Verdict:
    if not _names(text, host):
        return Unclear(_short(text))
    if _CA_FILE.search(text):
        return NotTrusted(Refusal.CA_FILE, _short(text[_start(_CA_FILE, text) :]), host)
    if _X509.search(text) and not attempts:
        return _refused(text, host)
    return _hindered(text, attempts) or _answered(text, host, attempts) or Unclear(_short(text))


def _hindered(text: str, attempts: Sequence[_Attempt]) -> Unclear | None:
    """Return what shows that an answer, if it is one, is none of the registry over TLS."""
    if plain := next((one.host for one in attempts if not one.is_https), None):
        detail = f"{_short(plain)} was asked without TLS. Have the node ask it by HTTPS: {_short(text)}"
        return Unclear(detail, is_final=True)
    if mirror := next((one.host for one in attempts if one.is_mirror), None):
        detail = f"a mirror was asked, {_short(mirror)}. Have the node ask the registry itself: {_short(text)}"
        return Unclear(detail, is_final=True)
    return _too_early(text) if _RATE_LIMITED.search(text) else None


def _answered(text: str, host: str, attempts: Sequence[_Attempt]) -> Trusted | None:
    by = "a second host" if _SENT_ON.search(text) else ""
    if _ANSWERS_ANYWHERE.search(text) and not attempts:
        return Trusted(answered_by=by)
    pattern = "|".join(_ANSWERS).replace("HOST", _pattern(host))
    return Trusted(answered_by=by) if re.search(pattern, text, re.IGNORECASE) else None


def _too_early(words: str) -> Unclear:
    return Unclear(
        "turned away before anything was looked at, perhaps by somebody on the way. "
        f"It is asked again: {_short(words)}",
        is_final=True,
    )


def _refused(words: str, host: str) -> NotTrusted:
    detail = words[_start(_X509, words) :]
    # The hint in parentheses quotes a second error; the first one decides.
    reasons = (reason for pattern, reason in _REFUSALS if pattern.match(detail))
    return NotTrusted(next(reasons, Refusal.INVALID_CHAIN), _short(detail), host)


def _start(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return found.start() if found else 0


def _short(words: str) -> str:
    return clean(words, _DETAIL_LENGTH)
