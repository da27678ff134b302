"""Lists, watch events and names out of JSON that nobody has looked at yet.

msgspec reads them fast, but gives up on all of a list for one object: where it nests deeper than Python recurses (an
API server keeps objects of 10,000 levels, and any tenant may write one), or has half of a surrogate pair. What msgspec
gives up on is split here without recursion and in linear time, so that such an object is alone in being unreadable.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # one that does not end goes on to the end
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]++|[\]}]++', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,\[\]{}:\"]++")


class Listing(NamedTuple):
    """One page of a list, split."""

    items: list[msgspec.Raw]
    version: str
    next: str  # the continuation; empty: this is the last page


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str  # ADDED, MODIFIED, DELETED, BOOKMARK or ERROR
    object: msgspec.Raw


class Identity(NamedTuple):
    """Which object, and which state of it; a part that cannot be read is empty."""

    namespace: str
    name: str
    uid: str
    version: str


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _Names(msgspec.Struct, rename="camel"):
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""


class _Named(msgspec.Struct):
    metadata: _Names


def list_of(data: bytes) -> Listing:
    """Split one page of a list into its objects.

    Raises:
        ValueError: It is no list of objects.
    """
    try:
        found = msgspec.json.decode(data, type=_List)
    except Exception:  # noqa: BLE001  whatever a decoder raises, it is the data's doing
        parts = _members(data)
        metadata = msgspec.json.decode(parts.get("metadata", b""), type=_ListMetadata)
        array = parts.get("items", b"[]")
        found = _List(metadata, [msgspec.Raw(array[start:end]) for _, start, end in _children(array)])
    return Listing(found.items or [], found.metadata.resource_version, found.metadata.continue_)


def event_of(line: bytes) -> WatchEvent:
    """Split a line of a watch.

    Raises:
        ValueError: It is no event; the connection may have broken within the line.
    """
    try:
        return msgspec.json.decode(line, type=WatchEvent)
    except Exception:  # noqa: BLE001  as above
        parts = _members(line)
        _expect("object" in parts)
        return WatchEvent(msgspec.json.decode(parts.get("type", b""), type=str), msgspec.Raw(parts["object"]))


def identity_of(data: bytes | msgspec.Raw) -> Identity:
    """Read which object this is, as far as it can be read, whatever the rest of it is like."""
    try:
        names = msgspec.json.decode(data, type=_Named).metadata
    except Exception:  # noqa: BLE001  as above
        parts = _parts_of_metadata(bytes(data))
        names = _Names(*(_text(parts.get(one, b"")) for one in ("namespace", "name", "uid", "resourceVersion")))
    return Identity(names.namespace, names.name, names.uid, names.resource_version)


def _parts_of_metadata(data: bytes) -> dict[str, bytes]:
    try:
        return _members(_members(data).get("metadata", b""))
    except ValueError:
        return {}


def _text(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=str)
    except Exception:  # noqa: BLE001  as above
        return ""


def _members(data: bytes) -> dict[str, bytes]:
    return {_text(key): data[start:end] for key, start, end in _children(data)}


def _children(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield key (of an object's members), start and end of each value in an object or an array."""
    at = _after_space(data, 0)
    is_object, at = data[at : at + 1] == b"{", _after_space(data, at + 1)
    while data[at : at + 1] not in {b"]", b"}"}:
        key = b""
        if is_object:
            end = _end(data, at)
            key, at = data[at:end], _after_space(data, end)
            _expect(data[at : at + 1] == b":")
            at = _after_space(data, at + 1)
        end = _end(data, at)
        yield key, at, end
        at = _after_space(data, end)
        _expect(data[at : at + 1] in {b",", b"]", b"}"})
        if data[at : at + 1] == b",":
            at = _after_space(data, at + 1)


def _end(data: bytes, at: int) -> int:
    """Return where the value that begins there ends."""
    first = data[at : at + 1]
    if first in {b"{", b"["}:
        return _end_of_nest(data, at)
    found = (_STRING if first == b'"' else _SCALAR).match(data, at)
    _expect(found is not None)
    return found.end() if found else at


def _end_of_nest(data: bytes, at: int) -> int:
    depth = 0
    for token in _STRUCTURE.finditer(data, at):
        start, end = token.span()
        if data[start] in b"[{":
            depth += end - start
        elif data[start] in b"]}":
            if end - start >= depth:
                return start + depth
            depth -= end - start
    raise ValueError("JSON ends early")


def _after_space(data: bytes, at: int) -> int:
    found: Any = _SPACE.match(data, at)
    return int(found.end())


def _expect(holds: bool) -> None:  # noqa: FBT001  it is the check
    if not holds:
        raise ValueError("no JSON")
