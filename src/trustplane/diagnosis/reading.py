"""A message, read: its layers unwrapped one by one, from the kubelet down to what the innermost one says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from trustplane.diagnosis import index
from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.endpoint import Facts, failed, is_elsewhere
from trustplane.diagnosis.layer import Endpoint, Kind, Layer, Runtime
from trustplane.diagnosis.statuses import STATUSES, Question, statement
from trustplane.diagnosis.template import compiled, may_follow, wrapping
from trustplane.diagnosis.vocabulary.phrase import Statement
from trustplane.diagnosis.wrappers import Wrapper
from trustplane.text import MAX_INPUT, redact

# Whoever makes pods writes what is read here. Each step tries all words that are known: it is their number that costs.
_MAX_STEPS: Final = 200  # layers and words that are skipped; messages have up to 20
_MAX_TRIES: Final = 20  # pull secrets of one pod
_MIN_CUT: Final = 4  # characters that a cut phrase must have to be recognised
_MAX_CUT: Final = 120

_MIRRORS: Final = "(Mirrors also failed: "
_MIRRORS_END: Final = "]): "
_BOUNDARY: Final = re.compile(r""":\s+|\n|="|;\s|,\s|["'”]\s|[(\[]|\s{2,}""")
_SKIPPED: Final = re.compile(r"""[\s"']*""")
# The kubelet tries one pull secret after the other and lists what failed: `[first, second]`.
_TRIES: Final = re.compile(
    r", (?=rpc error: code = |failed to pull and unpack image |initializing source docker://|Error response from )"
)
_LIST: Final = re.compile(r"(?:\A|(?<!also failed): )\[(?=[A-Za-z])")
_BELOW: Final = re.compile(r"https?://|x509: |server message: ", re.IGNORECASE)
_FOLDED: Final = re.compile(r"\n[ \t]+")  # YAML, and what was copied from a page, break lines at spaces
_ESCAPED: Final = re.compile(r"""(?<!\\)\\++(?=["'])""")  # begins and ends once in a row of them
_RANKS: Final = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_BODY: Final = re.compile(r"Server message: |\n(?:errors:\n)?", re.IGNORECASE)  # containerd from 1.6, and from 2.0
_REFUSALS: Final = frozenset({Code.AUTH_MISSING, Code.AUTH_REJECTED, Code.ACCESS_DENIED})
_STATUS_PHRASES: Final = frozenset(status.phrase for status in HTTPStatus)


@dataclass(frozen=True)
class Reading:
    """What a message says.

    Attributes:
        message: Without credentials and control characters.
        layers: Outermost first; the last one is the innermost that was understood.
        statement: What the innermost layer said; None where nothing known was said.
        image: The image's name, "" where the message has none.
        runtime: Who wrote the message.
        endpoint: The host that failed.
    """

    message: str
    layers: tuple[Layer, ...]
    statement: Statement | None
    image: str
    runtime: Runtime
    endpoint: Endpoint


def read(message: str) -> tuple[Reading, ...]:
    """Read a message. Any text may be given; what is beyond `text.MAX_INPUT` is not read.

    Returns:
        One reading, or one for each pull secret that the kubelet tried, where it lists them.
    """
    text = _ESCAPED.sub("", redact(message[:MAX_INPUT]).replace("\\n", "\n"))
    text = _FOLDED.sub(" ", text).rstrip().removesuffix("...").removesuffix("…")
    first, *others = _TRIES.split(text)[:_MAX_TRIES] if _is_list(text) else [text]
    return (_Unwrapping(first, text).reading(), *(_Unwrapping(one, one).reading() for one in others))


def _is_list(text: str) -> bool:
    """Tell whether the kubelet lists tries. What strangers write stands below a URL, and may imitate a list."""
    opened = _LIST.search(text)
    return opened is not None and _BELOW.search(text, 0, opened.start()) is None


class _Unwrapping:
    """One pass over a text, from layer to layer."""

    def __init__(self, text: str, message: str) -> None:
        self._text = text
        self._message = message
        self._at = 0
        self._layers: list[Layer] = []
        self._facts = Facts()
        self._runtime = Runtime.UNKNOWN
        self._anonymous: bool | None = None
        self._fits: Statement | None = None
        self._statement: Statement | None = None
        self._cut: Statement | None = None
        self._skipped = False  # words that are not known, or may be a stranger's, below a layer that is known

    def reading(self) -> Reading:
        for _ in range(_MAX_STEPS):
            if self._statement is not None or self._at >= len(self._text):
                break
            self._step()
        said = self._certain() or self._cut or self._fits
        if said is not None:
            self._layers.append(Layer(said.kind, said.words))
        endpoint = failed(self._facts, self._layers)
        return Reading(
            self._message.strip(), tuple(self._layers), said, _name(self._facts.image), self._runtime, endpoint
        )

    def _certain(self) -> Statement | None:
        """Return the innermost statement, less certain where unknown words stand before it."""
        if self._statement is None or not self._skipped:
            return self._statement
        return replace(self._statement, confidence=min(self._statement.confidence, Confidence.MEDIUM, key=_RANKS.index))

    def _step(self) -> None:
        start = self._at
        self._at = _end(_SKIPPED, self._text, start)
        understood = self._at < len(self._text) and (
            self._mirrors() or self._unwrap() or self._status() or self._phrase()
        )
        if not understood:
            self._recall_cut()
            self._skipped = bool(self._layers)
            boundary = _BOUNDARY.search(self._text, self._at)
            self._at = boundary.end() if boundary else len(self._text)

    def _mirrors(self) -> bool:
        """Set aside what mirrors said: the last host that was tried decides."""
        if not self._text.startswith(_MIRRORS, self._at):
            return False
        start = self._at + len(_MIRRORS)
        end = self._text.rfind(_MIRRORS_END, start)
        # A mirror's words, or a certificate's, may imitate the end of the list.
        self._skipped = self._skipped or self._text.find(_MIRRORS_END, start) != end
        self._layers += _mirror_layers(self._text[start : end if end >= 0 else len(self._text)])
        self._runtime = Runtime.CONTAINERS_IMAGE
        self._at = len(self._text) if end < 0 else end + len(_MIRRORS_END)
        return True

    def _unwrap(self) -> bool:
        for wrapper in index.wrappers(self._text[self._at]):
            if found := wrapping(wrapper.template).match(self._text, self._at):
                self._enter(wrapper, found)
                return True
        return False

    def _enter(self, wrapper: Wrapper, found: re.Match[str]) -> None:
        named = found.groupdict()
        words = found[0].strip().removesuffix(":")
        if wrapper.kind is not Kind.DNS:  # the name that is looked up is a part of the URL, or the proxy's
            self._note(named)
        elif Kind.PROXY in self._kinds():
            self._facts = replace(self._facts, address=named["host"])
        elif not self._facts.url:
            self._facts = replace(self._facts, host=named["host"])
        self._layers.append(Layer(wrapper.kind, words, _host(named)))
        self._runtime = wrapper.runtime if self._runtime is Runtime.UNKNOWN else self._runtime
        self._anonymous = wrapper.anonymous if wrapper.anonymous is not None else self._anonymous
        if wrapper.fits:
            reason = "the layer above says so; what is below is not known"
            self._fits = Statement(wrapper.kind, self._text[found.start() :], wrapper.fits, reason, Confidence.MEDIUM)
        self._at = found.end()

    def _note(self, named: dict[str, str | None]) -> None:
        facts = self._facts
        image = named.get("image") or named.get("reference") or ""
        self._facts = Facts(
            facts.image or image,
            named.get("url") or facts.url,
            named.get("host") or facts.host,
            (named.get("address") or facts.address).rpartition("->")[2],
        )

    def _kinds(self) -> list[Kind]:
        return [one.kind for one in self._layers]

    def _status(self) -> bool:
        for template in STATUSES:
            if found := compiled(template).match(self._text, self._at):
                named = found.groupdict()
                self._doubt_proxy(Kind.ANSWER)
                self._note(named)
                said = statement(int(named["status"]), self._rest(), self._question())
                self._statement = self._with_body(said, found.end())
                return True
        return self._refused_by_proxy()

    def _with_body(self, said: Statement, end: int) -> Statement:
        """Prefer what the registry says to what its status means, where it refuses who asks."""
        body = _BODY.search(self._text, end)
        if body is None or not _REFUSALS & set(said.codes) or body.end() == len(self._text):
            return said
        for kind, phrase in index.phrases(self._text[body.end()], lookup=False):
            # A body is the registry's own: what it says of certificates is no client's.
            if kind is Kind.ANSWER and phrase.match(self._text, body.end()):
                return replace(said, codes=phrase.codes, reason=phrase.reason, confidence=phrase.confidence)
        return said

    def _question(self) -> Question:
        kinds = self._kinds()
        endpoint = failed(self._facts, self._layers)
        kind = next((one for one in reversed(kinds) if one in {Kind.TOKEN, Kind.BLOB}), Kind.RESOLVE)
        return Question(
            kind,
            host=endpoint.host,
            anonymous=self._anonymous,
            elsewhere=is_elsewhere(endpoint, self._facts.image),
            is_plain=endpoint.is_plain,
            ping=endpoint.path.rstrip("/") == "/v2" or any("pinging" in one.words for one in self._layers),
        )

    def _refused_by_proxy(self) -> bool:
        """Recognise the answer of a proxy to CONNECT: Go hands on the bare text of the status."""
        rest = self._rest().rstrip(". \"'")
        if not self._layers or self._layers[-1].kind is not Kind.HTTP or rest not in _STATUS_PHRASES:
            return False
        self._layers.append(Layer(Kind.PROXY, "CONNECT"))
        reason = "a bare status is a proxy's answer to CONNECT"
        self._statement = Statement(Kind.PROXY, rest, (Code.PROXY_FAILED,), reason, Confidence.MEDIUM)
        return True

    def _doubt_proxy(self, kind: Kind) -> None:
        # Below a transport that failed, an answer is a token service's (Docker), or a proxy's text that imitates one.
        self._skipped = self._skipped or (kind is Kind.ANSWER and self._kinds()[-1:] == [Kind.HTTP])

    def _phrase(self) -> bool:
        for kind, phrase in index.phrases(self._text[self._at], lookup=self._is_lookup()):
            if found := phrase.match(self._text, self._at):
                self._doubt_proxy(kind)
                self._note({"reference": found.groupdict().get("reference")})
                self._statement = Statement(kind, self._rest(), phrase.codes, phrase.reason, phrase.confidence)
                return True
        return False

    def _is_lookup(self) -> bool:
        return Kind.DNS in self._kinds()

    def _recall_cut(self) -> None:
        """Recognise the beginning of known words where the text ends in the middle of them."""
        rest = self._rest()
        if self._cut or not _MIN_CUT <= len(rest) <= _MAX_CUT:
            return
        layers = (*(one.template for one in index.wrappers(rest[0])), *STATUSES)
        spoken = index.phrases(rest[0], lookup=self._is_lookup())
        candidates = [(kind, phrase) for kind, phrase in spoken if may_follow(phrase.words, rest)]
        codes = tuple(dict.fromkeys(code for _, phrase in candidates for code in phrase.codes))
        if codes and not any(may_follow(template, rest) for template in layers):
            reason = "the text ends in the middle of these words"
            self._cut = Statement(candidates[0][0], rest, codes, reason, Confidence.MEDIUM)

    def _rest(self) -> str:
        return self._text[self._at :].strip()


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _host(named: dict[str, str | None]) -> str:
    url = named.get("url")
    return url.split("/")[2] if url else named.get("host") or named.get("address") or ""


def _mirror_layers(text: str) -> Iterator[Layer]:
    for entry in text.split("]\n["):
        words = entry.strip("[]\n ")
        yield Layer(Kind.MIRROR, words, words.partition("/")[0])


def _name(image: str) -> str:
    return image.removeprefix("docker://").rstrip(":,;")
