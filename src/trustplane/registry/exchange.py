"""One HTTP request and its response, bounded in size and in total time, even if a server sends byte by byte.

Does not follow redirects, and does not decompress.
"""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trustplane.registry.address import HTTPS_PORT, Address

_MAX_HEAD: Final = 1 << 18  # octets of a response besides its body


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def exchange(
    connection: socket.socket, address: Address, path: str, headers: Mapping[str, str], *, seconds: float, limit: int
) -> Response:
    """GET a path over a connection.

    Args:
        connection: A socket to the host, with or without TLS.
        address: The value of header `Host`.
        path: The path with its query.
        headers: Further headers to send.
        seconds: Limit for the entire exchange.
        limit: Octets of the body to read; the rest is ignored.

    Raises:
        OSError, http.client.HTTPException, ValueError: No response within the limits.
    """
    client = http.client.HTTPConnection(address.host, address.port)
    client.default_port = HTTPS_PORT  # omitted from `Host`
    client.sock = _BoundedSocket(connection, time.monotonic() + seconds, limit + _MAX_HEAD)
    client.request("GET", path, headers={"User-Agent": "trustplane", **headers})
    answer = client.getresponse()
    fields = {name.lower(): value for name, value in answer.getheaders()}
    return Response(answer.status, fields, answer.read(limit))


class _BoundedSocket:
    """The part of a socket that http.client uses. The owner closes the socket."""

    def __init__(self, connection: socket.socket, deadline: float, limit: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._limit = limit

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_remaining(self._deadline))
        self._connection.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._connection, self._deadline, self._limit))

    def close(self) -> None:
        pass


class _BoundedReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: float, limit: int) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._limit <= 0:
            raise http.client.HTTPException("the response is too long")
        self._connection.settimeout(_remaining(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._limit])
        self._limit -= count
        return count


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the response takes too long")
    return seconds
