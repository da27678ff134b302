"""Parse a message: unwrap its layers one by one, from the kubelet's down to the innermost statement."""

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from trustplane.diagnosis import index
from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.endpoint import DOCKER_HUB, Facts, failed_endpoint, is_second_host, registry_of
from trustplane.diagnosis.layer import Endpoint, Kind, Layer, Runtime
from trustplane.diagnosis.message_text import first_line, normalise, without_rest
from trustplane.diagnosis.names import image_beside, image_of_url, is_name, named_host, platform_of
from trustplane.diagnosis.pasted import without_colours
from trustplane.diagnosis.statuses import STATUSES, Request, status_statement
from trustplane.diagnosis.template import can_complete, compile_template, compile_wrapper
from trustplane.diagnosis.vocabulary.phrase import Statement
from trustplane.diagnosis.wrappers import Wrapper
from trustplane.diagnosis.wrapping import unwrapped
from trustplane.text import MAX_INPUT

# A tenant can control these messages. Each step tries every known phrase, so the number of steps determines the cost.
_MAX_STEPS: Final = 200  # layers and skipped parts; messages have up to 20
_MAX_ATTEMPTS: Final = 20  # one per pull secret of a pod
_MIN_CUT: Final = 4  # characters of a cut phrase that identify it
_MAX_CUT: Final = 120
_PROGRESS: Final = ("Download complete", "Downloading", "Already exists", "Pull complete", "Pulling from", "Waiting")

_MIRRORS: Final = "(Mirrors also failed: "
_MIRRORS_END: Final = "]): "
_MIRROR: Final = re.compile(r"\]\s{0,80}\[")
_BOUNDARY: Final = re.compile(r""":\s+|\n|="|;\s|,\s|["'”]\s|[(\[]|\s{2,}|\s-\s|":\s?\"""")
_SKIPPED: Final = re.compile(r"""[\s"'`>*•-]*""")
# The kubelet tries one pull secret after the other and lists the failures: `[first, second]`.
_ATTEMPTS: Final = re.compile(
    r", (?=rpc error: code = |failed to pull and unpack image |initializing source docker://|Error response from )"
)
_LIST: Final = re.compile(r"(?:\A|(?<!also failed): )\[(?=[A-Za-z])")
_BELOW: Final = re.compile(r"https?://|x509: |server message: ", re.IGNORECASE)
_RANKS: Final = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_BODY: Final = re.compile(
    r"Server message: |\n(?:errors:\s)?|\serrors:\s", re.IGNORECASE
)  # containerd from 1.6, and from 2.0
_REFUSALS: Final = frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED})
# A proxy's answer to CONNECT is a bare status; logs and quotes may follow it.
_BARE_STATUS: Final = re.compile(
    rf"(?:{'|'.join(sorted((status.phrase for status in HTTPStatus), key=len, reverse=True))})"
    r"""(?=[.\s"'`,;)}\]]{0,20}(?:\Z|\n|(?<=["'`,;)}\]\s])\S))(?!:)"""
)


@dataclass(frozen=True)
class ParsedMessage:
    """A message, parsed.

    Attributes:
        text: The message, without credentials and control characters.
        layers: The layers, outermost first; the last one is the innermost with a known text.
        statement: The statement of the innermost layer; None if no phrase matches.
        image: The image reference, "" if the message has none.
        runtime: The runtime that wrote the message.
        endpoint: The host that failed.
        requested: The host of the last request, which may have failed on the way to it; "" without one.
        platform: The distribution that the message names, such as k3s; "" without one.
    """

    text: str
    layers: tuple[Layer, ...]
    statement: Statement | None
    image: str
    runtime: Runtime
    endpoint: Endpoint
    requested: str = ""
    platform: str = ""


def parse_message(message: str, image: str = "") -> tuple[ParsedMessage, ...]:
    """Parse a message, which may be any text; characters beyond `text.MAX_INPUT` are ignored.

    Args:
        message: The message.
        image: The image that the surroundings of the message name, "" if they name none.

    Returns:
        One result; or, if the kubelet lists several attempts, one per pull secret that it tried.
    """
    plain = without_colours(message[:MAX_INPUT])
    best = _parse_text(normalise(plain), image)
    # Lines may have been broken anywhere: keep the reading with the most known layers.
    for candidate in unwrapped(plain) if "\n" in plain else ():
        parsed = _parse_text(normalise(candidate), image)
        best = max(best, parsed, key=lambda parsers: parsers[0].understanding)
    return tuple(parser.result() for parser in best)


def _parse_text(text: str, image: str) -> tuple["_Parser", ...]:
    first, *others = _ATTEMPTS.split(text)[:_MAX_ATTEMPTS] if _is_list(text) else [text]
    parsers = (_Parser(first, text, image), *(_Parser(attempt, attempt, image) for attempt in others))
    for parser in parsers:
        parser.parse()
    return parsers


def _is_list(text: str) -> bool:
    """Return whether the kubelet lists attempts. Text below a URL is untrusted and may imitate a list."""
    bracket = _LIST.search(text)
    return bracket is not None and _BELOW.search(text, 0, bracket.start()) is None


class _Parser:
    """One pass over a text, layer by layer."""

    def __init__(self, text: str, message: str, image: str) -> None:
        self._text = text
        self._message = message
        self._image = image
        self._at = 0
        self._skipped = 0
        self._matched = 0  # characters of the innermost phrase
        self._layers: list[Layer] = []
        self._facts = Facts()
        self._runtime = Runtime.UNKNOWN
        self._anonymous: bool | None = None
        self._statement: Statement | None = None
        self._from_wrapper: Statement | None = None
        self._from_cut: Statement | None = None
        self._is_doubtful = False  # unknown or untrusted text was skipped below a known layer

    @property
    def understanding(self) -> tuple[bool, bool, int, int, int]:
        """Return how much of the text is known, to compare readings of one text."""
        has_mirrors = Kind.MIRROR in self._kinds()  # their errors are not the registry's
        return self._statement is not None, has_mirrors, len(self._layers), -self._skipped, self._matched

    def parse(self) -> None:
        """Read the text down to its innermost statement."""
        for _ in range(_MAX_STEPS):
            if self._statement is not None or self._at >= len(self._text):
                break
            self._step()

    def result(self) -> ParsedMessage:
        """Return the parsed layers and facts of the text."""
        innermost = self._innermost() or self._from_cut or self._from_wrapper
        statement = replace(innermost, text=first_line(innermost.text)) if innermost else None
        layers = (*self._layers, *([Layer(statement.kind, statement.text)] if statement else ()))
        text = self._message if self._statement is None else without_rest(self._message, self._text[self._at :])
        facts = replace(self._facts, host=self._facts.host or named_host(statement.text if statement else ""))
        image = facts.image or image_beside(self._text) or image_of_url(facts.url) or self._image
        facts = replace(facts, image=image)
        endpoint = failed_endpoint(facts, layers)
        requested = failed_endpoint(replace(facts, address="", host=""), ()).address
        platform = platform_of(self._message)
        return ParsedMessage(text.strip(), layers, statement, facts.image, self._runtime, endpoint, requested, platform)

    def _innermost(self) -> Statement | None:
        """Return the innermost statement, with lower confidence if doubtful text precedes it."""
        if self._statement is None or not self._is_doubtful:
            return self._statement
        return replace(self._statement, confidence=min(self._statement.confidence, Confidence.MEDIUM, key=_RANKS.index))

    def _step(self) -> None:
        start = self._at
        self._at = _end(_SKIPPED, self._text, start)
        is_known = self._at < len(self._text) and (
            self._parse_mirrors() or self._parse_wrapper() or self._parse_status() or self._parse_phrase()
        )
        if not is_known:
            self._match_cut()
            self._skipped += 1
            self._is_doubtful = bool(self._layers)
            boundary = _BOUNDARY.search(self._text, self._at)
            self._at = boundary.end() if boundary else len(self._text)

    def _parse_mirrors(self) -> bool:
        """Keep the mirrors' errors as layers only: the last host tried decides."""
        if not self._text.startswith(_MIRRORS.rstrip(), self._at):
            return False
        start = self._at + len(_MIRRORS.rstrip())
        end = self._text.rfind(_MIRRORS_END, start)
        # A mirror's answer or a certificate may imitate the end of the list.
        self._is_doubtful = self._is_doubtful or self._text.find(_MIRRORS_END, start) != end
        entries = _MIRROR.split(self._text[start : end if end >= 0 else len(self._text)])
        self._runtime = Runtime.CONTAINERS_IMAGE
        if end >= 0:
            self._at = end + len(_MIRRORS_END)
        elif self._text.rstrip().endswith("])") and (last := entries.pop().strip("[]() \n")):
            # Old versions list the registry itself last.
            reference, _, error = last.partition(": ")
            self._facts = replace(self._facts, host=reference.partition("/")[0])
            self._at = self._text.rfind(error) if error else len(self._text)
        else:
            self._at = len(self._text)
        self._layers += [_mirror_layer(entry) for entry in entries]
        return True

    def _parse_wrapper(self) -> bool:
        for wrapper in index.wrappers_for(self._text[self._at]):
            if match := compile_wrapper(wrapper.template).match(self._text, self._at):
                self._enter(wrapper, match)
                return True
        return False

    def _enter(self, wrapper: Wrapper, match: re.Match[str]) -> None:
        groups = match.groupdict()
        if wrapper.kind is not Kind.DNS:  # the name looked up is part of the URL, or it is the proxy's
            self._record(groups)
        elif Kind.PROXY in self._kinds():
            self._facts = replace(self._facts, address=groups["host"])
        elif not self._facts.url:
            self._facts = replace(self._facts, host=groups["host"])
        self._layers.append(Layer(wrapper.kind, match[0].strip().removesuffix(":"), _host(groups)))
        self._runtime = wrapper.runtime if self._runtime is Runtime.UNKNOWN else self._runtime
        self._anonymous = wrapper.anonymous if wrapper.anonymous is not None else self._anonymous
        if wrapper.codes:
            reason = "this layer of the message fits; the error below it is unknown"
            self._from_wrapper = Statement(
                wrapper.kind, self._text[match.start() :], wrapper.codes, reason, Confidence.MEDIUM
            )
        self._at = match.end()

    def _record(self, groups: dict[str, str | None]) -> None:
        facts = self._facts
        image = _clean_reference(groups.get("image") or groups.get("reference") or "")
        self._facts = Facts(
            _better_image(facts.image, image if is_name(image) else ""),
            groups.get("url") or facts.url,
            groups.get("host") or facts.host,
            (groups.get("address") or facts.address).rpartition("->")[2],
        )

    def _kinds(self) -> list[Kind]:
        return [layer.kind for layer in self._layers]

    def _parse_status(self) -> bool:
        for template in STATUSES:
            if match := compile_template(template).match(self._text, self._at):
                groups = match.groupdict()
                self._doubt_proxy(Kind.ANSWER)
                self._record(groups)
                statement = status_statement(int(groups["status"]), self._rest(), self._request())
                self._statement = self._with_body(statement, match.end())
                return True
        return self._parse_proxy_status()

    def _with_body(self, statement: Statement, end: int) -> Statement:
        """Prefer the body of a refusal to its status."""
        body = _BODY.search(self._text, end)
        if body is None or not _REFUSALS & set(statement.codes) or body.end() == len(self._text):
            return statement
        for kind, phrase in index.phrases_for(self._text[body.end()], is_lookup=False):
            # The registry wrote the body, so certificate errors in it are not the node's.
            if kind is Kind.ANSWER and phrase.match(self._text, body.end()):
                return replace(statement, codes=phrase.codes, reason=phrase.reason, confidence=phrase.confidence)
        return statement

    def _request(self) -> Request:
        endpoint = failed_endpoint(self._facts, self._layers)
        kind = next((kind for kind in reversed(self._kinds()) if kind in {Kind.TOKEN, Kind.BLOB}), Kind.RESOLVE)
        return Request(
            kind,
            host=endpoint.host,
            anonymous=self._anonymous,
            to_second_host=is_second_host(endpoint, self._facts.image),
            is_plain=endpoint.is_plain,
            is_ping=endpoint.path.rstrip("/") == "/v2" or any("pinging" in layer.text for layer in self._layers),
        )

    def _parse_proxy_status(self) -> bool:
        """Parse a proxy's answer to CONNECT: Go reports nothing but the text of the status."""
        status = _BARE_STATUS.match(self._text, self._at)
        if not self._layers or self._layers[-1].kind is not Kind.HTTP or status is None:
            return False
        self._layers.append(Layer(Kind.PROXY, "CONNECT"))
        reason = "a bare status is a proxy's answer to CONNECT"
        self._statement = Statement(Kind.PROXY, status[0], (Code.PROXY_FAILED,), reason, Confidence.MEDIUM)
        return True

    def _doubt_proxy(self, kind: Kind) -> None:
        # Below a failed transport, an answer comes from a token service (Docker), or from a proxy that imitates one.
        self._is_doubtful = self._is_doubtful or (kind is Kind.ANSWER and self._kinds()[-1:] == [Kind.HTTP])

    def _parse_phrase(self) -> bool:
        for kind, phrase in index.phrases_for(self._text[self._at], is_lookup=self._is_lookup()):
            if match := phrase.match(self._text, self._at):
                self._doubt_proxy(kind)
                self._matched = match.end() - match.start()
                groups = match.groupdict()
                self._record({name: groups.get(name) for name in ("reference", "image", "url")})
                self._statement = Statement(kind, self._rest(), phrase.codes, phrase.reason, phrase.confidence)
                return True
        return False

    def _is_lookup(self) -> bool:
        return Kind.DNS in self._kinds()

    def _match_cut(self) -> None:
        """Match the beginning of a known phrase at the end of a text that was cut off."""
        rest = self._rest()
        if self._from_cut or not _MIN_CUT <= len(rest) <= _MAX_CUT:
            return
        layers = (*_PROGRESS, *(wrapper.template for wrapper in index.wrappers_for(rest[0])), *STATUSES)
        phrases = index.phrases_for(rest[0], is_lookup=self._is_lookup())
        candidates = [(kind, phrase) for kind, phrase in phrases if can_complete(phrase.template, rest)]
        codes = tuple(dict.fromkeys(code for _, phrase in candidates for code in phrase.codes))
        if codes and not any(can_complete(template, rest) for template in layers):
            reason = "the message is cut off in the middle of this phrase"
            self._from_cut = Statement(candidates[0][0], rest, codes, reason, Confidence.MEDIUM)

    def _rest(self) -> str:
        return self._text[self._at :].strip()


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _host(groups: dict[str, str | None]) -> str:
    url = groups.get("url")
    return url.split("/")[2] if url else groups.get("host") or groups.get("address") or ""


def _mirror_layer(entry: str) -> Layer:
    error = entry.strip("[]\n ")
    return Layer(Kind.MIRROR, error, error.partition("/")[0])


def _better_image(known: str, image: str) -> str:
    """Prefer the first name, but the same name with a host to one without."""
    is_short = bool(known) and not any(mark in known.partition("/")[0] for mark in ".:") and "/" in known
    is_other = is_short and image.endswith(f"/{known}") and registry_of(image) != DOCKER_HUB
    return image if not known or is_other else known


def _clean_reference(image: str) -> str:
    return image.removeprefix("docker://").rstrip(":,;")
