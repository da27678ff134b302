"""Distinguished names as Go parses them: the encodings it refuses, and the attributes in its messages."""

import re
from dataclasses import dataclass

from gox509.der import SEQUENCE, SET, DerReader, MalformedError

UTF8_STRING = 0x0C
NUMERIC_STRING = 0x12
PRINTABLE_STRING = 0x13
T61_STRING = 0x14
IA5_STRING = 0x16
BMP_STRING = 0x1E

_COMMON_NAME = "2.5.4.3"
_ORGANIZATION = "2.5.4.10"
_PRINTABLE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'()+,-./ :=?*&")
_NUMERIC = frozenset(b"0123456789 ")
_ATTRIBUTE_LABELS = {
    _COMMON_NAME: "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    _ORGANIZATION: "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.25": "DC",
}
_RFC4514_LABELS = _ATTRIBUTE_LABELS | {"2.5.4.9": "STREET", "0.9.2342.19200300.100.1.1": "UID"}
_RESERVED = re.compile(r'[\\",+;<>]|^[# ]| $')  # RFC 4514, section 2.4


@dataclass(frozen=True)
class DistinguishedName:
    """A distinguished name. Go compares names by their raw DER."""

    raw: bytes
    attributes: tuple[tuple[str, str], ...]  # (object identifier, value), in order
    sizes: tuple[int, ...]  # number of attributes of each relative name, in order

    @property
    def common_name(self) -> str:
        """The last common name, or ""."""
        return next((value for kind, value in reversed(self.attributes) if kind == _COMMON_NAME), "")

    @property
    def organization(self) -> str:
        """The first organization, or ""."""
        return next((value for kind, value in self.attributes if kind == _ORGANIZATION), "")

    def __str__(self) -> str:
        """Format for users: in RFC 4514's order, with control characters escaped."""
        parts = (f"{_ATTRIBUTE_LABELS.get(kind, kind)}={value}" for kind, value in reversed(self.attributes))
        return _escape(",".join(parts)) or "(empty name)"

    @property
    def rfc4514(self) -> str:
        """The name by RFC 4514; "" for an empty name. May contain any character but NUL."""
        attributes = iter(self.attributes)
        rdns = ["+".join(_attribute(*next(attributes)) for _ in range(size)) for size in self.sizes]
        return ",".join(reversed(rdns))


def _attribute(kind: str, value: str) -> str:
    text = _RESERVED.sub(r"\\\g<0>", value).replace("\0", "\\00")
    return f"{_RFC4514_LABELS.get(kind, kind)}={text}"


def _escape(text: str) -> str:
    """Escape every character that a terminal could act on."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def read_name(raw: bytes) -> DistinguishedName:
    """Read a Name from its DER. Raises MalformedError."""
    rdns = DerReader(DerReader(raw).read(SEQUENCE, "x509: invalid RDNSequence"))
    attributes: list[tuple[str, str]] = []
    sizes: list[int] = []
    while rdns:
        before = len(attributes)
        rdn = DerReader(rdns.read(SET, "x509: invalid RDNSequence"))
        while rdn:
            attribute = rdn.sequence("x509: invalid RDNSequence: invalid attribute")
            kind = attribute.oid("x509: invalid RDNSequence: invalid attribute type")
            tag, value = attribute.any("x509: invalid RDNSequence: invalid attribute value")
            attributes.append((kind, _string(tag, value)))
        sizes.append(len(attributes) - before)
    return DistinguishedName(raw, tuple(attributes), tuple(sizes))


def _string(tag: int, value: bytes) -> str:
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise _invalid(f"unsupported string type: {tag}")
    return decoder(value)


def _invalid(why: str) -> MalformedError:
    return MalformedError(f"x509: invalid RDNSequence: invalid attribute value: {why}")


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _invalid("invalid UTF-8 string") from None


def _printable(value: bytes) -> str:
    if not _PRINTABLE.issuperset(value):
        raise _invalid("invalid PrintableString")
    return value.decode("ascii")


def _numeric(value: bytes) -> str:
    if not _NUMERIC.issuperset(value):
        raise _invalid("invalid NumericString")
    return value.decode("ascii")


def _ia5(value: bytes) -> str:
    if not value.isascii():
        raise _invalid("invalid IA5String")
    return value.decode("ascii")


def _bmp(value: bytes) -> str:
    """Decode UCS-2. Refuse surrogates and noncharacters."""
    if len(value) % 2:
        raise _invalid("invalid BMPString")
    value = value.removesuffix(b"\x00\x00")  # a terminator
    points = [int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2)]
    if any(point >= 0xFFFE or 0xFDD0 <= point <= 0xFDEF or 0xD800 <= point <= 0xDFFF for point in points):  # noqa: PLR2004
        raise _invalid("invalid BMPString")
    return "".join(map(chr, points))


def _t61(value: bytes) -> str:
    return value.decode("latin-1")  # as Go and BoringSSL do


_DECODERS = {
    T61_STRING: _t61,
    PRINTABLE_STRING: _printable,
    UTF8_STRING: _utf8,
    BMP_STRING: _bmp,
    IA5_STRING: _ia5,
    NUMERIC_STRING: _numeric,
}
