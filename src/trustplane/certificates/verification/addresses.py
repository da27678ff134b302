"""IP addresses as Go's net.ParseIP and net/netip parse them: 4 or 16 octets."""

import ipaddress

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
IPV4_OCTETS = 4
IPV6_OCTETS = 16


def read_address(text: str) -> bytes | None:
    """Parse an address without a zone. IPv4 mapped into IPv6 becomes IPv4, as Go compares them."""
    if "%" in text or not is_address(text):
        return None
    return unmapped(ipaddress.ip_address(text).packed)


def is_address(text: str) -> bool:
    """Return whether the text is an IP address; IPv6 may have a zone."""
    address, percent, zone = text.partition("%")
    if percent and (":" not in address or not zone):
        return False
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def unmapped(octets: bytes) -> bytes:
    """Convert IPv4 mapped into IPv6 (::ffff:a.b.c.d) to IPv4."""
    if len(octets) == IPV6_OCTETS and octets.startswith(_MAPPED_PREFIX):
        return octets[len(_MAPPED_PREFIX) :]
    return octets


def address_text(octets: bytes) -> str:
    """Format an address as Go prints it."""
    return str(ipaddress.ip_address(unmapped(octets)))


def network_text(address: bytes, mask: bytes) -> str:
    """Format a network in CIDR notation, as Go prints it."""
    bits = int.from_bytes(mask, "big").bit_count()
    plain = unmapped(address)
    if len(plain) != len(address):
        bits -= len(_MAPPED_PREFIX) * 8
    return f"{address_text(plain)}/{max(bits, 0)}"
