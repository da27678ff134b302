"""One HTTP request and its answer, bounded in octets and in time as a whole: also where a server sends drop by drop.

Redirects are not followed, and nothing is decompressed.
"""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trustplane.registry.address import HTTPS_PORT, Address

_MAX_HEAD: Final = 1 << 18  # octets of an answer besides its body


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def exchange(
    connected: socket.socket, address: Address, path: str, headers: Mapping[str, str], *, seconds: float, limit: int
) -> Response:
    """GET a path over a connection.

    Args:
        connected: To the host, with TLS or without.
        address: For the header `Host`.
        path: With its query.
        headers: Others to send.
        seconds: For all of it.
        limit: Octets of the body; what is beyond is left.

    Raises:
        OSError, http.client.HTTPException, ValueError: There was no answer in bounds.
    """
    connection = http.client.HTTPConnection(address.host, address.port)
    connection.default_port = HTTPS_PORT  # left out of `Host`
    connection.sock = _Bounded(connected, time.monotonic() + seconds, limit + _MAX_HEAD)
    connection.request("GET", path, headers={"User-Agent": "trustplane", **headers})
    answer = connection.getresponse()
    fields = {name.lower(): value for name, value in answer.getheaders()}
    return Response(answer.status, fields, answer.read(limit))


class _Bounded:
    """A socket as http.client uses one. Its owner closes it."""

    def __init__(self, connected: socket.socket, until: float, limit: int) -> None:
        self._connected = connected
        self._until = until
        self._limit = limit

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(_left(self._until))
        self._connected.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connected, self._until, self._limit))

    def close(self) -> None:
        pass


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, until: float, limit: int) -> None:
        super().__init__()
        self._connected = connected
        self._until = until
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._limit <= 0:
            raise http.client.HTTPException("the answer is too long")
        self._connected.settimeout(_left(self._until))
        count = self._connected.recv_into(memoryview(buffer)[: self._limit])
        self._limit -= count
        return count


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer takes too long")
    return left
