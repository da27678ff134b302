"""Lists, watch events and names out of JSON that nobody has looked at yet.

msgspec reads them fast, but gives up on all of a list for one object: where it nests deeper than Python recurses (an
API server keeps objects of 10,000 levels, and any tenant may write one), or has half of a surrogate pair. What msgspec
gives up on is split here without recursion, so that such an object is alone in being unreadable.

That is slower, and blocks whoever waits for it: it goes on for a number of steps and no further. Who writes an object
of still more structure hides with it what stands behind: of a page, ask for fewer objects; the last one alone is as
good as its beginning, which says which object it is.
"""

import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_STEPS: Final = 50_000  # of one answer: some hundredths of a second
_STEPS_OF_A_VALUE: Final = 5  # that is read, rather than skipped as part of another one
_BYTES: Final = 2 << 20  # of one answer; etcd keeps no object of more than 1.5 MiB
# Levels that the pattern below skips by itself. Before Python 3.11.5 (Debian 12 has 3.11.2) a possessive group goes
# wrong where groups in it can be left again (python/cpython#106052): there each level is a step.
_HEIGHT: Final = 2 if sys.version_info >= (3, 11, 5) else 0

_STRING_PATTERN: Final = rb'"(?:[^"\\]++|\\.)*+"?'  # one that does not end goes on to the end


def _shallow(height: int) -> bytes:
    """Return a pattern of anything that nests no deeper than that; nothing of it is ever tried again."""
    nest = rb"|[\[{]" + _shallow(height - 1) + rb"[\]}]" if height else b""
    return rb'(?:[^"\[\]{}]++|' + _STRING_PATTERN + nest + rb")*+"


_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(_STRING_PATTERN, re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,\[\]{}:\"]++")
_STEP: Final = re.compile(_shallow(_HEIGHT) + rb"(?:([\[{]++)|([\]}]++))", re.DOTALL)


class ExhaustedError(ValueError):
    """There is more structure than is followed."""


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


_NAMES: Final = ("namespace", "name", "uid", "resourceVersion")
_OPENERS: Final = frozenset({b"{", b"["})
_CLOSERS: Final = frozenset({b"}", b"]"})


def list_of(data: bytes, *, is_last_resort: bool = False) -> Listing:
    """Split one page of a list into its objects.

    Args:
        data: The page.
        is_last_resort: It is a page of one object, which goes on to the end where it cannot be followed.

    Raises:
        ExhaustedError: There is too much structure: ask for fewer objects.
        ValueError: It is no list of objects.
    """
    try:
        found = msgspec.json.decode(data, type=_List)
    except Exception:  # noqa: BLE001  whatever a decoder raises, it is the data's doing
        found = _slowly_listed(data, is_last_resort=is_last_resort)
    return Listing(found.items or [], found.metadata.resource_version, found.metadata.continue_)


def _slowly_listed(data: bytes, *, is_last_resort: bool) -> _List:
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


def event_of(line: bytes) -> WatchEvent:
    """Split a line of a watch; an object that cannot be followed goes on to the line's end.

    Raises:
        ValueError: It is no event; the connection may have broken within the line.
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
        _expect(line.rstrip().endswith(b"}"))  # else the connection broke, and it is sent again
    _expect(start > 0)
    return WatchEvent(msgspec.json.decode(type_, type=str), msgspec.Raw(line[start:end]))


def identity_of(data: bytes | msgspec.Raw) -> Identity:
    """Read which object this is, as far as it can be read, whatever the rest of it is like."""
    try:
        names = msgspec.json.decode(data, type=_Named).metadata
    except Exception:  # noqa: BLE001  as above
        parts = _parts_of_metadata(bytes(data))
        names = _Names(*(_text(parts.get(one, b"")) for one in _NAMES))
    return Identity(names.namespace, names.name, names.uid, names.resource_version)


def _parts_of_metadata(data: bytes) -> dict[str, bytes]:
    """Return the members of an object's metadata, and nothing of what comes after that."""
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
    """Reads JSON from left to right, in a bounded number of steps."""

    def __init__(self, data: bytes) -> None:
        self.at = 0  # the start of the value that is read next, or was not read to its end
        self._data = data
        self._end = min(len(data), _BYTES)
        self._left = _STEPS

    def values(self) -> Iterator[str]:
        """Yield the key (empty in an array) of each value in a nest: read or skip the value before you go on."""
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
        """Leave the next value out; `at` stays at its start where it cannot be followed."""
        self._step()
        first = self.peek()
        if first in _OPENERS:
            self.at = self._end_of_nest()
        else:
            found = (_STRING if first == b'"' else _SCALAR).match(self._data, self.at, self._end)
            self._expect(found is not None)
            self.at = found.end() if found else self.at

    def peek(self) -> bytes:
        """Go to the next character that is no space, and return it; nothing at the end."""
        found = _SPACE.match(self._data, self.at, self._end)
        self.at = found.end() if found else self.at
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

    def _expect(self, holds: bool) -> None:  # noqa: FBT001  it is the check
        if not holds and self._end < len(self._data):
            raise ExhaustedError("JSON is too long")
        _expect(holds)


def _expect(holds: bool) -> None:  # noqa: FBT001  it is the check
    if not holds:
        raise ValueError("no JSON")
