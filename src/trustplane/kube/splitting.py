"""Splitting of untrusted JSON into lists, watch events and object identities.

msgspec decodes these fast, but rejects a whole list for one bad object: one nested deeper than Python's recursion limit
(an API server stores 10,000 levels, and any tenant may write such an object), or one with half a surrogate pair. If
msgspec fails, this module splits the data without recursion and isolates the bad object.

That is slower and blocks the event loop, so it stops after a fixed number of steps. An object with more structure than
that hides the objects after it: retry with fewer objects per page. In a page with a single object, its beginning is
enough to identify it.
"""

import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_STEPS: Final = 50_000  # per response: some hundredths of a second
_STEPS_OF_A_VALUE: Final = 5  # for a value read, rather than skipped as part of another value
_BYTES: Final = 2 << 20  # per response; etcd stores no object above 1.5 MiB
# Levels skipped by the pattern below in one step. Before Python 3.11.5 (Debian 12 has 3.11.2) nested possessive groups
# are broken (python/cpython#106052); there each level is a step.
_HEIGHT: Final = 2 if sys.version_info >= (3, 11, 5) else 0

_STRING_PATTERN: Final = rb'"(?:[^"\\]++|\\.)*+"?'  # an unterminated string extends to the end


def _shallow(height: int) -> bytes:
    """Return a pattern for JSON nested at most `height` levels; it never backtracks."""
    nest = rb"|[\[{]" + _shallow(height - 1) + rb"[\]}]" if height else b""
    return rb'(?:[^"\[\]{}]++|' + _STRING_PATTERN + nest + rb")*+"


_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(_STRING_PATTERN, re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,\[\]{}:\"]++")
_STEP: Final = re.compile(_shallow(_HEIGHT) + rb"(?:([\[{]++)|([\]}]++))", re.DOTALL)


class ExhaustedError(ValueError):
    """The JSON is too long or has too much structure."""


class ListPage(NamedTuple):
    """One page of a list, split into objects."""

    items: list[msgspec.Raw]
    version: str
    next: str  # the continue token; empty: last page


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str  # ADDED, MODIFIED, DELETED, BOOKMARK or ERROR
    object: msgspec.Raw


class Identity(NamedTuple):
    """Name, UID and version of an object; unreadable parts are empty."""

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


_NAMES: Final = ("namespace", "name", "uid", "resourceVersion")
_OPENERS: Final = frozenset({b"{", b"["})
_CLOSERS: Final = frozenset({b"}", b"]"})


def split_list(data: bytes, *, is_last_resort: bool = False) -> ListPage:
    """Split one page of a list into its objects.

    Args:
        data: the page.
        is_last_resort: the page has a single object; if too complex, treat all remaining bytes as this object.

    Raises:
        ExhaustedError: too much structure: retry with fewer objects per page.
        ValueError: the data is not a list of objects.
    """
    try:
        page = msgspec.json.decode(data, type=_List)
    except Exception:  # noqa: BLE001  any error of the decoder is due to the data
        page = _split_slowly(data, is_last_resort=is_last_resort)
    return ListPage(page.items or [], page.metadata.resource_version, page.metadata.continue_)


def _split_slowly(data: bytes, *, is_last_resort: bool) -> _List:
    if len(data) > _BYTES and not is_last_resort:
        raise ExhaustedError("JSON is too long")
    reader, metadata, items, is_within = _Reader(data), b"", list[msgspec.Raw](), False
    try:
        for key in reader.values():
            if key == "metadata":
                metadata = reader.value()
            elif key == "items" and reader.peek() == b"[":
                items, is_within = [], True
                for _ in reader.values():
                    items.append(msgspec.Raw(reader.value()))
                is_within = False
            else:
                reader.skip()
    except ExhaustedError:
        if not (is_last_resort and is_within and metadata) or items:
            raise
        items = [msgspec.Raw(data[reader.at :])]
    return _List(msgspec.json.decode(metadata, type=_ListMetadata), items)


def split_event(line: bytes) -> WatchEvent:
    """Split a line of a watch; an object too complex to follow extends to the end of the line.

    Raises:
        ValueError: the line is not an event; the connection may have broken within it.
    """
    try:
        return msgspec.json.decode(line, type=WatchEvent)
    except Exception:  # noqa: BLE001  as above
        reader, type_, start, end = _Reader(line), b"", 0, len(line)
    try:
        for key in reader.values():
            reader.peek()
            before = reader.at
            if key == "object":
                start, end = before, len(line)
            reader.skip()
            if key == "object":
                end = reader.at
            elif key == "type":
                type_ = line[before : reader.at]
    except ExhaustedError:
        _expect(line.rstrip().endswith(b"}"))  # otherwise the connection broke, and the server sends it again
    _expect(start > 0)
    return WatchEvent(msgspec.json.decode(type_, type=str), msgspec.Raw(line[start:end]))


def read_identity(data: bytes | msgspec.Raw) -> Identity:
    """Read the identity of an object as far as possible, regardless of the rest of the object."""
    try:
        names = msgspec.json.decode(data, type=_Named).metadata
    except Exception:  # noqa: BLE001  as above
        parts = _metadata_members(bytes(data))
        names = _Names(*(_text(parts.get(name, b"")) for name in _NAMES))
    return Identity(names.namespace, names.name, names.uid, names.resource_version)


def _metadata_members(data: bytes) -> dict[str, bytes]:
    """Return the identifying members of an object's metadata, without reading beyond the metadata."""
    parts: dict[str, bytes] = {}
    reader = _Reader(data)
    try:
        for key in reader.values():
            if key == "metadata":
                for name in reader.values():
                    value = reader.value()
                    if name in _NAMES:
                        parts[name] = value
                break
            reader.skip()
    except ValueError:
        pass
    return parts


def _text(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=str)
    except Exception:  # noqa: BLE001  as above
        return ""


class _Reader:
    """Reads JSON from left to right in a bounded number of steps."""

    def __init__(self, data: bytes) -> None:
        self.at = 0  # start of the next value, or of the value too complex to follow
        self._data = data
        self._end = min(len(data), _BYTES)
        self._left = _STEPS

    def values(self) -> Iterator[str]:
        """Yield the key (empty in an array) of each value in an object or array; the caller must read or skip it."""
        first = self.peek()
        self._expect(first in _OPENERS)
        self.at += 1
        while self.peek() not in _CLOSERS:
            self._step(_STEPS_OF_A_VALUE)
            yield self._key() if first == b"{" else ""
            self._expect(self.peek() in _CLOSERS or self.peek() == b",")
            self.at += self.peek() == b","
        self.at += 1

    def _key(self) -> str:
        key = _text(self.value())
        self._expect(self.peek() == b":")
        self.at += 1
        return key

    def value(self) -> bytes:
        """Read the next value."""
        self.peek()
        start = self.at
        self.skip()
        return self._data[start : self.at]

    def skip(self) -> None:
        """Skip the next value; `at` stays at its start if it is too complex."""
        self._step()
        first = self.peek()
        if first in _OPENERS:
            self.at = self._end_of_nest()
        else:
            match = (_STRING if first == b'"' else _SCALAR).match(self._data, self.at, self._end)
            self._expect(match is not None)
            self.at = match.end() if match else self.at

    def peek(self) -> bytes:
        """Advance to the next non-space character and return it; empty at the end."""
        match = _SPACE.match(self._data, self.at, self._end)
        self.at = match.end() if match else self.at
        return self._data[self.at : min(self.at + 1, self._end)]

    def _end_of_nest(self) -> int:
        at, depth = self.at + 1, 1
        while token := _STEP.match(self._data, at, self._end):
            self._step()
            at = token.end()
            if token[1]:
                depth += len(token[1])
            elif len(token[2]) >= depth:
                return at - len(token[2]) + depth
            else:
                depth -= len(token[2])
        self._expect(holds=False)
        return at

    def _step(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise ExhaustedError("JSON has too much structure")

    def _expect(self, holds: bool) -> None:  # noqa: FBT001  the condition
        if not holds and self._end < len(self._data):
            raise ExhaustedError("JSON is too long")
        _expect(holds)


def _expect(holds: bool) -> None:  # noqa: FBT001  the condition
    if not holds:
        raise ValueError("not JSON")
