"""Pasted text, split into messages: prompts, log lines, events and blank lines end one; frames are removed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from trustplane.api.image_reference import is_image
from trustplane.text import MAX_INPUT

# The frame of k9s and other boxes, with the one blank that they add.
_FRAME: Final = re.compile(r"^[ \t]{0,8}[│┃║] ?|[ ]?[│┃║][ \t]{0,8}$")
_BORDER: Final = re.compile(r"^[\s─━═┌┐└┘├┤╭╮╰╯┏┓┗┛╔╗╚╝│┃║]{3,}$")
_JSON_ESCAPES: Final = {"22": '"', "26": "&", "27": "'", "3c": "<", "3e": ">", "2f": "/"}
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]{0,20}m")
_JSON_ESCAPE: Final = re.compile(r"\\{1,8}u00(?P<code>22|26|27|2f|3c|3e)", re.IGNORECASE)

_TOOLS: Final = (
    "kubectl|docker|crictl|ctr|nerdctl|podman|skopeo|buildah|curl|wget|journalctl|systemctl|helm|sudo|cat|oc|kubeadm"
)
_PROMPT: Final = re.compile(
    r"(?:\([\w.-]{1,60}\) ?)?(?:"
    r"\[?[\w.-]{1,64}@[\w.-]{1,64}[:\] ][^$#%>\n]{0,120}[$#%>](?: |$)"
    r"|PS [A-Za-z]:\\[^>\n]{0,200}>|[A-Za-z]:\\[^>\n]{0,200}>"
    rf"|[$\u276f\u279c\xbb] |[#%] (?=(?:{_TOOLS})\b)"
    r"|(?=(?:sudo )?(?:docker|crictl|nerdctl|podman) pull(?: [^\s:]\S{0,511}(?<!:)){1,5}\s*$))"
    r"(?P<command>[^\n]{0,2000})"
)
_PULL: Final = re.compile(r"\b(?:docker|crictl|nerdctl|podman|ctr)\b[^\n|;&]{0,300}? pull (?P<rest>[^\n|;&>]{1,1000})")
_TRYING: Final = re.compile(r"Trying to pull (?P<image>\S{1,512}?)\.{3}")
_EVENT: Final = re.compile(r"^(?:[^\n]{0,200}?\s)?(?:Warning|Normal)\s{1,40}(?P<reason>[A-Z]\w{2,60})\s")
# The time of a log line. A certificate's message has times as well, which a broken line may begin with.
_LOG: Final = re.compile(
    r"[\s\[(]{0,4}(?:[IWEF]\d{4} |[^\s\d]{1,12} {1,2}\d{1,2} |\d{1,2}\S{1,3} \d{1,2} |\d{4}[-/]\d\d[-/]\d\d[T ])?"
    r"\d\d:\d\d:\d\d(?!\S{0,40} is (?:after|before))\S{0,40}\s{1,8}\S"
    r'|(?:TRAC|DEBU|INFO|WARN|ERRO|FATA)\[|#\d{1,4} |time="|level=|\{"'
)
# The beginning of a message, at the beginning of a line.
_START: Final = re.compile(
    r"""[\s>*•"'`(-]{0,12}(?:Failed to pull image|(?:docker: )?Error response from daemon: |ctr: |Error: )"""
    r"|Unable to find image "
)
# The beginning of a message, anywhere in a line.
_PHRASE: Final = re.compile(
    r"[^\n]{0,400}?(?:failed to pull|initializing source docker|PullImage|Error response from daemon)", re.IGNORECASE
)
_UNFINISHED: Final = re.compile(r"(?:[:=,(\[<]|current time|is after|is before|errors occurred:)\s*\Z")
_TAIL: Final = 60  # characters at the end of a line that show whether it continues
_CONTINUED: Final = re.compile(r"[\s*)\]]|\(Mirrors also failed")
_RELEVANT: Final = re.compile(
    r"pull|image|/v2/|manifest|registry|layer|snapshot|unpack|oauth|docker|blob|denied|hosts\.toml|x509: |tls: ",
    re.IGNORECASE,
)
_PROBES: Final = ("robe failed", "/healthz", "/readyz", "/livez")
_WRAPPED: Final = range(40, 201)  # the length of a line that a terminal broke, in characters
# The pod of `kubectl get events`, and its namespace with -A.
_OBJECT: Final = re.compile(r"\s{0,80}(?:pod|Pod)/(?P<pod>[a-z0-9][a-z0-9.-]{0,252})\s{1,80}")
_NAMESPACE: Final = re.compile(r"(?P<namespace>[a-z][a-z0-9-]{0,62})\s{1,80}(?:\d{1,5}[smhd]){1,2}\s")
_DESCRIBED: Final = re.compile(r"(?P<key>Name|Namespace):\s{1,40}(?P<value>[a-z0-9][a-z0-9.-]{0,252})\s{0,80}$")


@dataclass
class Segment:
    """Lines that belong together.

    Attributes:
        lines: The lines; of an event, the first without the columns before the message.
        reason: The reason of an event, "" for other text.
        image: The image of the command line above.
        subject: The pod of an event, as namespace/name: in its line, or described above.
        is_described: Whether `kubectl describe` printed the event.
    """

    lines: list[str] = field(default_factory=list)
    reason: str = ""
    image: str = ""
    subject: str = ""
    is_described: bool = False

    @property
    def text(self) -> str:
        """Return the lines as one text; several lines keep their lengths, which show where a terminal cut them."""
        text = "\n".join(self.lines).rstrip()
        return text if "\n" in text else text.lstrip()

    @property
    def has_start(self) -> bool:
        """Return whether the text contains the beginning of a message of a pull."""
        return any(_PHRASE.match(line) for line in self.lines)

    @property
    def is_relevant(self) -> bool:
        """Return whether the text may be about a pull."""
        text = self.text
        return _may_concern_pull(text) and not any(probe in text[:MAX_INPUT] for probe in _PROBES)


def without_colours(text: str) -> str:
    """Remove a terminal's colours."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def unescape(text: str) -> str:
    """Undo JSON's escapes of quotes, ampersands and angle brackets."""
    return _JSON_ESCAPE.sub(lambda match: _JSON_ESCAPES[match["code"].lower()], text) if "\\u00" in text else text


def segments_of(content: str) -> list[Segment]:
    """Split pasted text."""
    return [segment for segment in _Splitter(_unframed(content)).split() if segment.text.strip()]


def _unframed(content: str) -> Iterator[str]:
    has_frame = any(bar in content for bar in "│┃║")
    for line in content.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not has_frame:
            yield line
        elif not _BORDER.match(line):
            yield _FRAME.sub("", _FRAME.sub("", line, count=1)) if line.strip("│┃║ \t") else ""


class _Splitter:
    """One pass over the lines of a text."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._current = Segment()
        self._segments = [self._current]
        self._image = ""
        self._names = {"Name": "", "Namespace": ""}
        self._is_blank = False
        self._before = ""
        self._is_relevant = False

    def split(self) -> list[Segment]:
        for line in self._lines:
            self._add(line)
        return self._segments

    def _add(self, line: str) -> None:
        if not line.strip():
            self._is_blank = True
            return
        if (prompt := _PROMPT.match(line)) and not self._is_unfinished():
            self._image = _pulled(prompt["command"])
            self._begin("")
        elif ("Warning" in line or "Normal" in line) and (event := _EVENT.match(line)):
            self._begin_event(line, event)
        elif self._starts(line):
            self._begin(line)
        else:
            self._current.lines.append(line)
        if "Trying to pull " in line and (trying := _TRYING.search(line)):
            self._current.image = trying["image"]
        self._before = line[-_WRAPPED.stop :]
        self._is_blank = False
        self._is_relevant = self._is_relevant or _may_concern_pull(line)
        self._describe(line)

    def _starts(self, line: str) -> bool:
        if self._is_unfinished():
            return False
        if _LOG.match(line) or _START.match(line):
            return True
        if self._is_blank and not _CONTINUED.match(line) and self._is_relevant:
            return True
        return len(self._before) not in _WRAPPED and bool(_PHRASE.match(line))

    def _begin_event(self, line: str, event: re.Match[str]) -> None:
        described = "/".join(filter(None, (self._names["Namespace"], self._names["Name"])))
        listed = _OBJECT.match(line, event.end())
        namespace = _NAMESPACE.match(line)
        end = listed.end() if listed else event.end()
        self._begin(" " * end + line[end:], event["reason"])
        if listed:
            self._current.subject = f"{namespace['namespace']}/{listed['pod']}" if namespace else listed["pod"]
        else:
            self._current.subject, self._current.is_described = described, bool(described)

    def _is_unfinished(self) -> bool:
        return bool(_UNFINISHED.search(self._before[-_TAIL:]))

    def _begin(self, line: str, reason: str = "") -> None:
        self._current = Segment([line], reason, self._image)
        self._is_relevant = False
        self._segments.append(self._current)

    def _describe(self, line: str) -> None:
        if match := _DESCRIBED.match(line):
            if match["key"] == "Name":
                self._names["Namespace"] = ""
            self._names[match["key"]] = match["value"]


def _may_concern_pull(text: str) -> bool:
    head = text[:MAX_INPUT]
    return "image" in head or bool(_START.match(head.lstrip()) or _RELEVANT.search(head))


def _pulled(command: str) -> str:
    """Return the image of a `pull` command, "" for another command."""
    match = _PULL.search(command)
    words = [word.strip("\"'") for word in match["rest"].split()] if match else []
    images = [word for word in words if not word.startswith("-") and is_image(word)]
    return images[-1] if images else ""
