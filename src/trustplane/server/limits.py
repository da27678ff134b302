"""What requests may cost: callers are not authenticated, so the bounds hold for all routes and all callers together.

A body is read to its limit and no further, in the time that it has; few large ones are held at the same time. They are
shared among addresses: who holds many and sends slowly makes room for who holds fewer, so that nobody who is slow on
purpose keeps the API server away.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

# The API server stores at most 1.5 MiB; an update's review holds the object twice.
MAX_REQUEST_BYTES: Final = 4 << 20
SMALL_BYTES: Final = 64 << 10  # what any number of connections may hold
MAX_LARGE: Final = 8  # bodies above that, at the same time
MAX_LARGE_OF_ADDRESS: Final = 4  # of these
BODY_SECONDS: Final = 3.0  # the API server itself waits for 5 in all, and sends at once


class BodyError(Exception):
    """A request that is not read to its end."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LargeBodies:
    """The large bodies that are held, of all callers."""

    def __init__(self, most: int = MAX_LARGE, most_of_address: int = MAX_LARGE_OF_ADDRESS) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._held: list[_Held] = []  # the oldest first

    def take(self, body: "_Held") -> None:
        """Count one more; raises BodyError where there are too many."""
        counts = Counter(one.address for one in self._held)
        mine = counts[body.address]
        if mine >= self._most_of_address or (len(self._held) >= self._most and not self._make_room(counts, mine)):
            raise BodyError(503, "Too many large requests at the same time")
        self._held.append(body)

    def _make_room(self, counts: Counter[str], mine: int) -> bool:
        """Give up the oldest body that still arrives of an address that holds more than the newcomer's."""
        arriving = [one for one in self._held if one.is_arriving and counts[one.address] > mine]
        if not arriving:
            return False
        slowest = max(arriving, key=lambda one: counts[one.address])
        slowest.give_up()
        self._held.remove(slowest)
        return True

    def release(self, body: "_Held") -> None:
        """Count it no longer, if it is counted."""
        if body in self._held:
            self._held.remove(body)


_LARGE: Final = LargeBodies()


@asynccontextmanager
async def body_of(
    request: Request, *, seconds: float = BODY_SECONDS, large: LargeBodies = _LARGE
) -> AsyncIterator[bytes]:
    """Read a request's body; a large one counts as held until the block ends.

    Raises:
        BodyError: It is too large, too slow, one of too many, or was broken off.
    """
    held = _Held(large, request.client.host if request.client else "", seconds)
    try:
        yield await _read(request, held)
    finally:
        large.release(held)


class _Held:
    """Whether this request counts as a large one."""

    def __init__(self, large: LargeBodies, address: str, seconds: float) -> None:
        self.address = address
        self.is_arriving = True
        self._large = large
        self._counts = False
        self._seconds = seconds
        self._deadline = asyncio.timeout(seconds)

    def grow(self, length: int) -> None:
        _check(length)
        if length > SMALL_BYTES and not self._counts:
            self._large.take(self)
            self._counts = True

    def give_up(self) -> None:
        self.is_arriving = False
        self._deadline.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        try:
            async with self._deadline:
                yield
        except TimeoutError as error:
            raise BodyError(408, f"The request did not arrive within {self._seconds:g} s, or others waited") from error
        finally:
            self.is_arriving = False


async def _read(request: Request, held: _Held) -> bytes:
    body = bytearray()
    try:
        _check(_announced(request))
        async with held.arriving():
            async for chunk in request.stream():
                held.grow(len(body) + len(chunk))
                body += chunk
    except ClientDisconnect as error:
        raise BodyError(400, "The request was broken off") from error
    return bytes(body)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0  # noqa: PLR2004  digits


def _check(length: int) -> None:
    if length > MAX_REQUEST_BYTES:
        raise BodyError(413, f"The request is larger than {MAX_REQUEST_BYTES >> 20} MiB")
