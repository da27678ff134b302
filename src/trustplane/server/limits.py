"""What requests may cost: callers are not authenticated, so the bounds hold for all routes and all callers together.

A body is read to its limit and no further, in the time that it has; few large ones are held at the same time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

# The API server stores at most 1.5 MiB; an update's review holds the object twice.
MAX_REQUEST_BYTES: Final = 4 << 20
SMALL_BYTES: Final = 64 << 10  # what any number of connections may hold
MAX_LARGE: Final = 8  # bodies above that, at the same time
BODY_SECONDS: Final = 10.0  # the API server itself waits for 5 in all


class BodyError(Exception):
    """A request that is not read to its end."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LargeBodies:
    """Counts the large bodies that are held."""

    def __init__(self, free: int = MAX_LARGE) -> None:
        self.free = free

    def take(self) -> None:
        """Count one more; raises BodyError where there are too many."""
        if not self.free:
            raise BodyError(503, "Too many large requests at the same time")
        self.free -= 1


_LARGE: Final = LargeBodies()


@asynccontextmanager
async def body_of(
    request: Request, *, seconds: float = BODY_SECONDS, large: LargeBodies = _LARGE
) -> AsyncIterator[bytes]:
    """Read a request's body; a large one counts as held until the block ends.

    Raises:
        BodyError: It is too large, too slow, one of too many, or was broken off.
    """
    held = _Held(large)
    try:
        yield await _read(request, seconds, held)
    finally:
        held.release()


class _Held:
    """Whether this request counts as a large one."""

    def __init__(self, large: LargeBodies) -> None:
        self._large = large
        self._counts = False

    def grow(self, length: int) -> None:
        _check(length)
        if length > SMALL_BYTES and not self._counts:
            self._large.take()
            self._counts = True

    def release(self) -> None:
        self._large.free += self._counts


async def _read(request: Request, seconds: float, held: _Held) -> bytes:
    body = bytearray()
    try:
        _check(_announced(request))
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                held.grow(len(body) + len(chunk))
                body += chunk
    except TimeoutError as error:
        raise BodyError(408, f"The request did not arrive within {seconds:g} s") from error
    except ClientDisconnect as error:
        raise BodyError(400, "The request was broken off") from error
    return bytes(body)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0  # noqa: PLR2004  digits


def _check(length: int) -> None:
    if length > MAX_REQUEST_BYTES:
        raise BodyError(413, f"The request is larger than {MAX_REQUEST_BYTES >> 20} MiB")
