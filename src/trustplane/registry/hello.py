"""A TLS 1.2 ClientHello that offers curves nodes do not offer, to read the certificate of a server that refuses them.

TLS 1.2 sends certificates in the clear, so that no handshake is completed and no key is needed.
"""

import os
import socket
import struct
import time

from gox509 import GoCertificate, MalformedError
from gox509.keys import ECKey

_CIPHERS = bytes.fromhex("c02bc02cc02fc030cca9cca8c009c00ac013c014")
_GROUPS = bytes.fromhex("00150016001a001b001c001700180019001d")  # P-224, secp256k1, brainpool, then those of nodes
_SIGNATURES = bytes.fromhex("040305030603030302030804080508060401050106010201")
_HANDSHAKE, _CLIENT_HELLO, _CERTIFICATE = 22, 1, 11
_MAX_OCTETS = 1 << 17  # of all records; a chain has a few thousand
_P224_BITS = 224


def refused_curve(connection: socket.socket, host: str, deadline: float) -> str:
    """Return the kind of elliptic curve of a server's key if nodes do not offer it; "" for any other answer."""
    try:
        connection.sendall(_hello(host))
        certificate = _first_certificate(connection, deadline)
        key = GoCertificate.read(certificate).key if certificate else None
    except MalformedError as error:
        return "an unknown curve" if "unsupported elliptic curve" in str(error) else ""
    except (OSError, ValueError):
        return ""
    return "curve P-224" if isinstance(key, ECKey) and key.curve.key_size == _P224_BITS else ""


def _hello(host: str) -> bytes:
    name = host.encode("idna")
    extensions = (
        _extension(0, _sized(b"\0" + _sized(name))),
        _extension(10, _sized(_GROUPS)),
        _extension(11, b"\1\0"),
        _extension(13, _sized(_SIGNATURES)),
    )
    body = b"\3\3" + os.urandom(32) + b"\0" + _sized(_CIPHERS) + b"\1\0" + _sized(b"".join(extensions))
    message = bytes([_CLIENT_HELLO]) + len(body).to_bytes(3, "big") + body
    return bytes([_HANDSHAKE]) + b"\3\1" + _sized(message)


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack(">H", kind) + _sized(content)


def _sized(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


def _first_certificate(connection: socket.socket, deadline: float) -> bytes:
    """Read handshake messages up to the chain. Return its first certificate as DER, or b""."""
    messages = b""
    while len(messages) < _MAX_OCTETS:
        kind, _, size = struct.unpack(">BHH", _read(connection, 5, deadline))
        record = _read(connection, size, deadline)
        if kind != _HANDSHAKE:
            return b""
        messages += record
        while len(messages) >= 4 and len(messages) >= 4 + (length := int.from_bytes(messages[1:4], "big")):  # noqa: PLR2004 - header of a message
            message, messages = messages[: 4 + length], messages[4 + length :]
            if message[0] == _CERTIFICATE:
                return message[10 : 10 + int.from_bytes(message[7:10], "big")]
    return b""


def _read(connection: socket.socket, count: int, deadline: float) -> bytes:
    content = b""
    while len(content) < count:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        part = connection.recv(count - len(content))
        if not part:
            raise OSError("the server closed the connection")
        content += part
    return content
