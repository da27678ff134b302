"""Extract the messages of failed pulls from piped input: plain text, `kubectl describe`, JSON of events and pods."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# The kubelet's reasons in events, and in the states of waiting containers.
_EVENT_REASONS: Final = frozenset(
    {"Failed", "BackOff", "InspectFailed", "ErrImageNeverPull", "FailedToRetrieveImagePullSecret"}
)
WAITING_REASONS: Final = frozenset(
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
# A line of `kubectl describe pod` or `kubectl get events`, starting at the event's type.
_EVENT_LINE: Final = re.compile(
    r"^(?:[^\n]{0,200}?\s)?(?:Warning|Normal)\s{1,40}(?P<reason>[A-Z]\w{2,60})\s", re.MULTILINE
)
# The first line of a message in a log; messages may have several lines.
_LOG_LINE: Final = re.compile(
    r"^[^\n]{0,400}?(?:failed to pull|initializing source docker|PullImage|Error response from daemon)",
    re.IGNORECASE | re.MULTILINE,
)
_BLANKS: Final = re.compile(r"\s*")
_ABOUT_IMAGES: Final = re.compile(r"image|pull", re.IGNORECASE)
_MAX_OBJECTS: Final = 100_000


@dataclass(frozen=True)
class Message:
    """A message about one pull; `subject` is the pod as namespace/name, "" if the input names none."""

    text: str
    subject: str = ""


def messages_in(content: str) -> list[Message]:
    """Return the messages in an input; plain text is one message, or one per event of a table."""
    documents = _documents(content)
    if documents is None:
        return _text_messages(content)
    return [message for document in documents for item in _items(document) for message in _item_messages(item)]


def _documents(content: str) -> list[Any] | None:
    """Parse JSON: one document, or several in a row as `kubectl get --watch` writes them. None: not JSON."""
    decoder, at = json.JSONDecoder(), _skip_blanks(content, 0)
    documents: list[Any] = []
    while content[at : at + 1] in {"{", "["} and len(documents) < _MAX_OBJECTS:
        try:
            document, end = decoder.raw_decode(content, at)
        except (ValueError, RecursionError):
            return None
        documents.append(document)
        at = _skip_blanks(content, end)
    is_whole = bool(documents) and at == len(content)
    return documents if is_whole and any(map(_is_kubernetes, documents)) else None


def _skip_blanks(content: str, at: int) -> int:
    blanks = _BLANKS.match(content, at)
    return blanks.end() if blanks else at


def _is_kubernetes(document: object) -> bool:
    return isinstance(document, list) or (isinstance(document, dict) and "kind" in document)


def _items(document: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, list):
        yield from (item for item in document if isinstance(item, dict))
    elif isinstance(document, dict):
        items = document.get("items")
        yield from (item for item in items if isinstance(item, dict)) if isinstance(items, list) else (document,)


def _item_messages(item: Mapping[str, Any]) -> Iterator[Message]:
    if "involvedObject" in item or "regarding" in item:
        yield from _event_messages(item)
    else:
        yield from _pod_messages(item)


def _event_messages(event: Mapping[str, Any]) -> Iterator[Message]:
    """Yield the message of an event of the core API, or of events.k8s.io, which calls it a note."""
    text = _text(event.get("message")) or _text(event.get("note"))
    if _ABOUT_IMAGES.search(text) and _text(event.get("reason")) in _EVENT_REASONS:
        yield Message(text, _subject(event.get("involvedObject") or event.get("regarding")))


def _pod_messages(pod: Mapping[str, Any]) -> Iterator[Message]:
    status = _mapping(pod.get("status"))
    for statuses in (status.get(name) for name in _STATUSES):
        for container in statuses if isinstance(statuses, list) else ():
            waiting = _mapping(_mapping(_mapping(container).get("state")).get("waiting"))
            reason = _text(waiting.get("reason"))
            if reason in WAITING_REASONS:
                yield Message(f"{reason}: {_text(waiting.get('message'))}", _subject(pod.get("metadata")))


def _subject(metadata: object) -> str:
    fields = _mapping(metadata)
    return "/".join(str(fields[part]) for part in ("namespace", "name") if fields.get(part))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_messages(content: str) -> list[Message]:
    events = list(_EVENT_LINE.finditer(content))
    if not events:
        return [Message(text.strip()) for text in _split_log(content) if text.strip()]
    ends = [*(event.start() for event in events[1:]), len(content)]
    texts = (
        content[event.end() : end] for event, end in zip(events, ends, strict=True) if event["reason"] in _EVENT_REASONS
    )
    return [Message(text.strip()) for text in texts if _ABOUT_IMAGES.search(text)]


def _split_log(content: str) -> list[str]:
    """Split a log into messages; a single message extends to the end of the input."""
    starts = [match.start() for match in _LOG_LINE.finditer(content)]
    if len(starts) < 2:  # noqa: PLR2004 - one message
        return [content]
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]
