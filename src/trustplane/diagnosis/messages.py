"""Messages of failed pulls in what people pipe in: plain text, `kubectl describe`, and JSON of events and pods."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# The kubelet's reasons, of events and of containers that wait.
_EVENTS: Final = frozenset(
    {"Failed", "BackOff", "InspectFailed", "ErrImageNeverPull", "FailedToRetrieveImagePullSecret"}
)
WAITING: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
# A line of `kubectl describe pod` or `kubectl get events`, from the event's type on.
_EVENT_LINE: Final = re.compile(
    r"^(?:[^\n]{0,200}?\s)?(?:Warning|Normal)\s{1,40}(?P<reason>[A-Z]\w{2,60})\s", re.MULTILINE
)
# A line of a log that begins a message; messages themselves may have several lines.
_LOG_LINE: Final = re.compile(
    r"^[^\n]{0,400}?(?:failed to pull|initializing source docker|PullImage|Error response from daemon)",
    re.IGNORECASE | re.MULTILINE,
)
_BLANKS: Final = re.compile(r"\s*")
_OF_IMAGES: Final = re.compile(r"image|pull", re.IGNORECASE)
_MAX_OBJECTS: Final = 100_000


@dataclass(frozen=True)
class Message:
    """What was said about one pull; `subject` is the pod as namespace/name, "" where the input names none."""

    text: str
    subject: str = ""


def messages_in(content: str) -> list[Message]:
    """Find the messages in an input. Plain text is one message, or one for each event of a table."""
    documents = _documents(content)
    if documents is None:
        return _lines(content)
    return [message for document in documents for item in _items(document) for message in _of(item)]


def _documents(content: str) -> list[Any] | None:
    """Read one JSON document or several in a row, as `kubectl get --watch` writes them. None: this is no JSON."""
    decoder, at = json.JSONDecoder(), _after_blanks(content, 0)
    documents: list[Any] = []
    while content[at : at + 1] in {"{", "["} and len(documents) < _MAX_OBJECTS:
        try:
            document, end = decoder.raw_decode(content, at)
        except (ValueError, RecursionError):
            return None
        documents.append(document)
        at = _after_blanks(content, end)
    is_whole = bool(documents) and at == len(content)
    return documents if is_whole and any(_is_kubernetes(one) for one in documents) else None


def _after_blanks(content: str, at: int) -> int:
    blanks = _BLANKS.match(content, at)
    return blanks.end() if blanks else at


def _is_kubernetes(document: object) -> bool:
    return isinstance(document, list) or (isinstance(document, dict) and "kind" in document)


def _items(document: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, list):
        yield from (one for one in document if isinstance(one, dict))
    elif isinstance(document, dict):
        items = document.get("items")
        yield from (one for one in items if isinstance(one, dict)) if isinstance(items, list) else (document,)


def _of(item: Mapping[str, Any]) -> Iterator[Message]:
    if "involvedObject" in item or "regarding" in item:
        yield from _of_event(item)
    else:
        yield from _of_pod(item)


def _of_event(event: Mapping[str, Any]) -> Iterator[Message]:
    """Read an event of the core API, or of events.k8s.io, whose text is the note."""
    text = _text(event.get("message")) or _text(event.get("note"))
    if _OF_IMAGES.search(text) and _text(event.get("reason")) in _EVENTS:
        yield Message(text, _subject(event.get("involvedObject") or event.get("regarding")))


def _of_pod(pod: Mapping[str, Any]) -> Iterator[Message]:
    status = _mapping(pod.get("status"))
    for statuses in (status.get(name) for name in _STATUSES):
        for container in statuses if isinstance(statuses, list) else ():
            waiting = _mapping(_mapping(_mapping(container).get("state")).get("waiting"))
            reason = _text(waiting.get("reason"))
            if reason in WAITING:
                yield Message(f"{reason}: {_text(waiting.get('message'))}", _subject(pod.get("metadata")))


def _subject(metadata: object) -> str:
    named = _mapping(metadata)
    return "/".join(str(named[part]) for part in ("namespace", "name") if named.get(part))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lines(content: str) -> list[Message]:
    found = list(_EVENT_LINE.finditer(content))
    if not found:
        return [Message(text.strip()) for text in _log(content) if text.strip()]
    ends = [*(one.start() for one in found[1:]), len(content)]
    texts = (content[one.end() : end] for one, end in zip(found, ends, strict=True) if one["reason"] in _EVENTS)
    return [Message(text.strip()) for text in texts if _OF_IMAGES.search(text)]


def _log(content: str) -> list[str]:
    """Divide a log into messages. One message has no end but that of the input."""
    starts = [one.start() for one in _LOG_LINE.finditer(content)]
    if len(starts) < 2:  # noqa: PLR2004 - one message
        return [content]
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]
