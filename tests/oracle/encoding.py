"""A DER encoder for arbitrary content, including what no library would encode."""

import ipaddress

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, PRINTABLE, T61, IA5, BMP, UNIVERSAL = 0x0C, 0x13, 0x14, 0x16, 0x1E, 0x1C
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag]) + length(len(content)) + content


def length(count: int) -> bytes:
    if count < 0x80:
        return bytes([count])
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def sequence(*contents: bytes) -> bytes:
    return tlv(SEQUENCE, *contents)


def integer(value: int, tag: int = INTEGER) -> bytes:
    return tlv(tag, value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str, tag: int = OID) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return tlv(tag, *(_base128(part) for part in (40 * first + second, *rest)))


def _base128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(value & 0x7F | 0x80)
    return bytes(reversed(octets))


def boolean(value: bool) -> bytes:  # noqa: FBT001 - a DER value
    return tlv(BOOLEAN, b"\xff" if value else b"\x00")


def bit_string(content: bytes, padding: int = 0) -> bytes:
    return tlv(BIT_STRING, bytes([padding]), content)


def name(*attributes: tuple[str, str], tag: int = UTF8) -> bytes:
    return sequence(*(rdn(kind, value.encode(), tag) for kind, value in attributes))


def rdn(kind: str, value: bytes, tag: int = UTF8) -> bytes:
    return tlv(SET, sequence(oid(kind), tlv(tag, value)))


def time(text: str) -> bytes:
    """Return a UTCTime for 13 characters (two-digit year, Z), else a GeneralizedTime."""
    return tlv(UTC_TIME if len(text) == 13 else GENERALIZED_TIME, text.encode())


def dns(text: str) -> bytes:
    return tlv(0x82, text.encode("latin-1"))


def email(text: str) -> bytes:
    return tlv(0x81, text.encode("latin-1"))


def uri(text: str) -> bytes:
    return tlv(0x86, text.encode("latin-1"))


def ip(text: str) -> bytes:
    return tlv(0x87, ipaddress.ip_address(text).packed)


def network(text: str) -> bytes:
    """Return an IP constraint. Host bits are kept."""
    address, _, bits = text.partition("/")
    packed = ipaddress.ip_address(address).packed
    width = len(packed) * 8
    mask = ((1 << int(bits)) - 1) << (width - int(bits))
    return tlv(0x87, packed, mask.to_bytes(len(packed), "big"))


def general_name(host: str) -> bytes:
    """Return the subject alternative name for a host."""
    try:
        return ip(host.strip("[]"))
    except ValueError:
        return dns(host.rstrip("."))
