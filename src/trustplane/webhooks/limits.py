"""Resource limits of requests. Callers are unauthenticated, so limits cover all routes and callers together.

Each body has a size limit and a deadline; few large bodies are held concurrently. Addresses share them fairly: an
address with many slow bodies loses one to an address with fewer, and cannot lock the API server out.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

# The API server stores at most 1.5 MiB; an update's review holds the object twice.
MAX_REQUEST_BYTES: Final = 4 << 20
SMALL_BYTES: Final = 64 << 10  # bodies up to this size are not limited in number
MAX_LARGE: Final = 8  # concurrent larger bodies
MAX_LARGE_OF_ADDRESS: Final = 4  # of these, from one address
BODY_SECONDS: Final = 3.0  # the API server sends immediately and waits 5 s in total


class BodyError(Exception):
    """A request body was refused or not received completely."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LargeBodies:
    """The large bodies in progress, across all callers."""

    def __init__(self, most: int = MAX_LARGE, most_of_address: int = MAX_LARGE_OF_ADDRESS) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._bodies: list[_Body] = []  # oldest first

    def admit(self, body: "_Body") -> None:
        """Count a large body; raise BodyError if the limits are reached."""
        counts = Counter(other.address for other in self._bodies)
        count = counts[body.address]
        if count >= self._most_of_address or (len(self._bodies) >= self._most and not self._make_room(counts, count)):
            raise BodyError(503, "Too many concurrent large requests")
        self._bodies.append(body)

    def _make_room(self, counts: Counter[str], count: int) -> bool:
        """Abort the oldest incomplete body of the busiest address with more than `count` bodies, if any."""
        arriving = [body for body in self._bodies if body.is_arriving and counts[body.address] > count]
        if not arriving:
            return False
        slowest = max(arriving, key=lambda body: counts[body.address])
        slowest.abort()
        self._bodies.remove(slowest)
        return True

    def release(self, body: "_Body") -> None:
        """Stop counting a body, if it is counted."""
        if body in self._bodies:
            self._bodies.remove(body)


_LARGE: Final = LargeBodies()


@asynccontextmanager
async def request_body(
    request: Request, *, seconds: float = BODY_SECONDS, large: LargeBodies = _LARGE
) -> AsyncIterator[bytes]:
    """Read a request's body; a large body counts against the limits until the block ends.

    Raises:
        BodyError: the body is too large, too slow, one of too many, or incomplete.
    """
    body = _Body(large, request.client.host if request.client else "", seconds)
    try:
        yield await _read(request, body)
    finally:
        large.release(body)


class _Body:
    """A request body in progress; counts against the limits once it is large."""

    def __init__(self, large: LargeBodies, address: str, seconds: float) -> None:
        self.address = address
        self.is_arriving = True
        self._large = large
        self._counts = False
        self._seconds = seconds
        self._deadline = asyncio.timeout(seconds)

    def grow(self, length: int) -> None:
        _check_length(length)
        if length > SMALL_BYTES and not self._counts:
            self._large.admit(self)
            self._counts = True

    def abort(self) -> None:
        self.is_arriving = False
        self._deadline.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        try:
            async with self._deadline:
                yield
        except TimeoutError as error:
            raise BodyError(
                408, f"The request took longer than {self._seconds:g} s, or was displaced by another client's request"
            ) from error
        finally:
            self.is_arriving = False


async def _read(request: Request, body: _Body) -> bytes:
    content = bytearray()
    try:
        _check_length(_content_length(request))
        async with body.arriving():
            async for chunk in request.stream():
                body.grow(len(content) + len(chunk))
                content += chunk
    except ClientDisconnect as error:
        raise BodyError(400, "The client disconnected") from error
    return bytes(content)


def _content_length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0  # noqa: PLR2004  digits


def _check_length(length: int) -> None:
    if length > MAX_REQUEST_BYTES:
        raise BodyError(413, f"The request is larger than {MAX_REQUEST_BYTES >> 20} MiB")
