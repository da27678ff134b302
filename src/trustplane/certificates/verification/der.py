"""A strict DER reader that accepts and refuses exactly what Go's parser does.

It follows golang.org/x/crypto/cryptobyte, with which Go's crypto/x509 parses certificates: minimal lengths, tags below
31, minimal integers, object identifiers with parts below 2^31. It ignores content after the known fields where Go does.
Every read takes the message of the error to raise: the one a node would log.
"""

import re
from typing import NamedTuple

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_MAX_LENGTH_OCTETS = 4
_SHORT_FORM = 128
_HIGH_TAG = 0x1F
_OID_PART_BEFORE_LAST_OCTET = 1 << 24  # keeps a part below 2^31


class MalformedError(ValueError):
    """Go's parser refuses the certificate. The message is Go's."""


class BitString(NamedTuple):
    """Content of a BIT STRING: octets, and the number of unused bits in the last one."""

    octets: bytes
    padding: int

    def has(self, bit: int) -> bool:
        """Return whether a bit is set; bit 0 is the first."""
        return bit < len(self.octets) * 8 - self.padding and bool(self.octets[bit // 8] >> (7 - bit % 8) & 1)

    @property
    def right_aligned(self) -> bytes:
        """The bits as octets, padded with leading zero bits."""
        if not self.padding:
            return self.octets
        return (int.from_bytes(self.octets, "big") >> self.padding).to_bytes(len(self.octets), "big")


class DerReader:
    """Reads DER elements one by one from the front of `data`."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Return whether any data remains."""
        return self._at < len(self._data)

    def next_is(self, tag: int) -> bool:
        """Return whether the next element has this tag."""
        return self._at < len(self._data) and self._data[self._at] == tag

    def any(self, error: str) -> tuple[int, bytes]:
        """Read an element with any tag. Return tag and content."""
        start, content, end = self._span(error)
        tag = self._data[start]
        self._at = end
        return tag, self._data[content:end]

    def read(self, tag: int, error: str) -> bytes:
        """Read an element with this tag. Return its content."""
        actual, content = self.any(error)
        if actual != tag:
            raise MalformedError(error)
        return content

    def element(self, tag: int, error: str) -> bytes:
        """Read an element with this tag. Return all of it, including the header."""
        start, _, end = self._span(error)
        if self._data[start] != tag:
            raise MalformedError(error)
        self._at = end
        return self._data[start:end]

    def any_element(self, error: str) -> tuple[int, bytes]:
        """Read an element with any tag. Return the tag, and all of the element including the header."""
        start, _, end = self._span(error)
        self._at = end
        return self._data[start], self._data[start:end]

    def optional(self, tag: int, error: str) -> bytes | None:
        """Read the next element if it has this tag. Return its content, or None."""
        return self.read(tag, error) if self.next_is(tag) else None

    def sequence(self, error: str) -> "DerReader":
        """Read a SEQUENCE. Return a reader of its content."""
        return DerReader(self.read(SEQUENCE, error))

    def integer(self, error: str, tag: int = INTEGER) -> int:
        """Read an INTEGER of any size."""
        content = self.read(tag, error)
        if not content or (len(content) > 1 and (content[0], content[1] >> 7) in {(0x00, 0), (0xFF, 1)}):
            raise MalformedError(error)
        return int.from_bytes(content, "big", signed=True)

    def int64(self, error: str, tag: int = INTEGER) -> int:
        """Read an INTEGER that fits into 64 bits, signed."""
        value = self.integer(error, tag)
        if not -(1 << 63) <= value < 1 << 63:
            raise MalformedError(error)
        return value

    def boolean(self, error: str) -> bool:
        """Read a BOOLEAN. DER allows only 0x00 and 0xFF."""
        content = self.read(BOOLEAN, error)
        if content not in {b"\x00", b"\xff"}:
            raise MalformedError(error)
        return content == b"\xff"

    def bit_string(self, error: str) -> BitString:
        """Read a BIT STRING, whose unused bits must be zero."""
        content = self.read(BIT_STRING, error)
        if not content:
            raise MalformedError(error)
        padding, octets = content[0], content[1:]
        if padding > 7 or (padding and (not octets or octets[-1] & ((1 << padding) - 1))):  # noqa: PLR2004 - bits
            raise MalformedError(error)
        return BitString(octets, padding)

    def oid(self, error: str) -> str:
        """Read an OBJECT IDENTIFIER. Return it in dotted notation."""
        content = self.read(OBJECT_IDENTIFIER, error)
        dotted = _OID_CACHE.get(content)
        if dotted is None:
            dotted = _dotted(content, error)
            if len(_OID_CACHE) < _MAX_CACHED_OIDS:
                _OID_CACHE[content] = dotted
        return dotted

    def _span(self, error: str) -> tuple[int, int, int]:
        """Return the offsets of the next element's start, its content and its end."""
        data, start = self._data, self._at
        if len(data) < start + 2 or data[start] & _HIGH_TAG == _HIGH_TAG:
            raise MalformedError(error)
        length, content = data[start + 1], start + 2
        if length >= _SHORT_FORM:
            octets = length - _SHORT_FORM
            length = int.from_bytes(data[content : content + octets], "big")
            content += octets
            minimal = length >= _SHORT_FORM and length >> (octets - 1) * 8
            if not 0 < octets <= _MAX_LENGTH_OCTETS or not minimal:
                raise MalformedError(error)
        if content + length > len(data):
            raise MalformedError(error)
        return start, content, content + length


_MAX_CACHED_OIDS = 256  # certificates share a few dozen; the bound keeps hostile input from filling memory
_OID_CACHE: dict[bytes, str] = {}
_OID_PART = re.compile(rb"(?<![\x80-\xff])[\x80-\xff]*[\x00-\x7f]", re.DOTALL)  # never starts inside a part


def _dotted(content: bytes, error: str) -> str:
    parts = [_oid_part(part, error) for part in _OID_PART.findall(content)]
    if not parts or content[-1] & 0x80:
        raise MalformedError(error)
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, (first, parts[0] - 40 * first, *parts[1:])))


def _oid_part(octets: bytes, error: str) -> int:
    if octets[0] == 0x80 or len(octets) > 5:  # noqa: PLR2004 - not minimal; too large
        raise MalformedError(error)
    value = 0
    for octet in octets:
        if value >= _OID_PART_BEFORE_LAST_OCTET:
            raise MalformedError(error)
        value = value << 7 | octet & 0x7F
    return value
