"""Extract the messages of failed pulls from piped input: text, `kubectl describe`, JSON and YAML of events and pods."""

import enum
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trustplane.diagnosis.pasted import Segment, segments_of, without_colours

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
_BLANKS: Final = re.compile(r"\s*")
_ABOUT_IMAGES: Final = re.compile(r"image|pull", re.IGNORECASE)
_MAX_OBJECTS: Final = 100_000


_YAML: Final = re.compile(r"(?:---[^\n]*\n)?(?:#[^\n]*\n)*(?:apiVersion|kind|items|metadata):")
_MAX_YAML: Final = 8 << 20  # bytes; larger input is read as text
_MAX_DEPTH: Final = 64


class Origin(enum.StrEnum):
    """The command that printed the input."""

    TEXT = ""
    DESCRIBE = "kubectl describe"
    PODS = "kubectl get pods"


@dataclass(frozen=True)
class Message:
    """A message about one pull.

    Attributes:
        text: The message.
        subject: The pod as namespace/name, "" if the input names none.
        image: The image that the input names outside the message, such as in the command line above; "" without one.
        origin: The command that printed the message.
    """

    text: str
    subject: str = ""
    image: str = ""
    origin: Origin = Origin.TEXT


def messages_in(content: str) -> list[Message]:
    """Return the messages in an input; text may have several: events of a table, lines of a log, a session."""
    documents = _documents(content) or _yaml_document(content)
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


def _yaml_document(content: str) -> list[Any] | None:
    if not _YAML.match(content):
        return None
    from trustplane import plain_yaml  # noqa: PLC0415 - importing yaml takes a tenth of the time of a run without YAML

    try:
        document = plain_yaml.read(content.encode(errors="replace"), most=_MAX_YAML, depth=_MAX_DEPTH)
    except plain_yaml.PlainYamlError:
        return None
    return [document] if _is_kubernetes(document) else None


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
                text = f"{reason}: {_text(waiting.get('message'))}"
                yield Message(text, _subject(pod.get("metadata")), origin=Origin.PODS)


def _subject(metadata: object) -> str:
    fields = _mapping(metadata)
    return "/".join(str(fields[part]) for part in ("namespace", "name") if fields.get(part))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_messages(content: str) -> list[Message]:
    segments = segments_of(without_colours(content))
    has_events = any(segment.reason for segment in segments)
    origin = Origin.DESCRIBE if any(segment.is_described for segment in segments) else Origin.TEXT
    messages = [
        Message(segment.text, segment.subject, segment.image, origin)
        for segment in segments
        if (_is_failed_event(segment) if segment.reason else segment.is_relevant)
        and (segment.reason or segment.has_start or not has_events)
    ]
    if messages or has_events or not content.strip():
        return messages
    return [Message(content.strip())]


def _is_failed_event(segment: Segment) -> bool:
    return segment.reason in _EVENT_REASONS and bool(_ABOUT_IMAGES.search(segment.text))
