"""Requests of bounded size to one API server, which may be a stranger's: what it answers is read with a limit.

Nothing is decompressed, for a kilobyte can become a gigabyte, and no redirect is followed, for it leads where the
server likes.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from trustplane.kube import budget
from trustplane.kube.budget import Share
from trustplane.kube.errors import OversizedError
from trustplane.kube.tls_abort import make_safe

PAGE_BYTES: Final = 32 << 20  # of one page of a list
ANSWER_BYTES: Final = 4 << 20  # of any other answer; etcd keeps no object of more than 1.5 MiB
LIST_BYTES: Final = 256 << 20  # of all pages of a list together, where all are held at once
LINE_BYTES: Final = 4 << 20  # of one line of a watch, which holds one object
ERROR_BYTES: Final = 64 << 10  # of the body of a refusal

# Of a stranger's server:
STRANGERS_PAGE_BYTES: Final = 8 << 20
STRANGERS_WEIGHT: Final = 32 << 20  # of one answer
STRANGERS_KEPT: Final = budget.KEPT  # of failing pods, of which little is kept, more than ten thousand
STRANGERS_PAGES_BYTES: Final = 4 << 30  # of all pages of a list that is read page by page: half a million pods

IDENTITY: Final = frozenset({"", "identity"})  # content encodings that are none


make_safe()


async def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Transport:
    """One API server's connections.

    Attributes:
        server: The URL of the API server, without a path's last slash.
        session: Made by `session_of`.
        credentials: Returns the headers that say who we are; asked before each request.
        options: Further arguments of each request, such as `server_hostname`.
    """

    server: str
    session: aiohttp.ClientSession
    credentials: Callable[[], Awaitable[Mapping[str, str]]] = _nothing
    options: Mapping[str, Any] = field(default_factory=dict)


def session_of(connector: aiohttp.BaseConnector, *, use_environment: bool) -> aiohttp.ClientSession:
    """Make a session that neither decompresses nor keeps cookies; `use_environment`: proxies of $HTTPS_PROXY."""
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=use_environment,
    )


def weight(data: bytes | msgspec.Raw) -> int:
    """Return about how many bytes JSON takes when it is decoded: a value takes more than it is long, if it is short."""
    content = bytes(data)
    values = len(content) - len(content.translate(None, b",[{"))
    return len(content) + 64 * values + 16 * content.count(b'"')


async def read(response: aiohttp.ClientResponse, most: int, share: Share) -> bytes:
    """Read a body of at most `most` bytes, which `share` holds from then on.

    Raises:
        OversizedError: It is longer, or there is no room for it; nothing more of it is read.
    """
    _check((response.content_length or 0) <= most, response, most)
    body = bytearray()
    while chunk := await _received(response):
        _check(len(body) + len(chunk) <= most, response, most)
        _check_room(share.hold(len(body) + len(chunk)), response)
        body += chunk
    return bytes(body)


async def _received(response: aiohttp.ClientResponse) -> bytes:
    """Return what has come of a body, at least one byte; nothing at its end.

    Raises:
        ClientError: The connection was lost.
    """
    try:
        return await response.content.readany()
    except RuntimeError as error:  # aiohttp's word where it was lost between two reads
        raise aiohttp.ClientConnectionError(str(error)) from error


async def read_start(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read the first `most` bytes of a body, whatever comes after them."""
    start = bytearray()
    while chunk := await _received(response):
        start += chunk
        if len(start) >= most:
            break
    return bytes(start[:most])


async def lines(response: aiohttp.ClientResponse, most: int, share: Share) -> AsyncGenerator[bytes, None]:
    """Read a body line by line, of which `share` holds one; the last one may lack its end.

    Raises:
        OversizedError: A line is longer than `most` bytes, or than there is room for.
    """
    line = bytearray()  # as far as it was received
    while chunk := await _received(response):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            _check(len(line) + len(end) <= most, response, most)
            yield bytes(line + end)
            line.clear()
        _check(len(line) + len(rest) <= most, response, most)
        _check_room(share.hold(len(line) + len(rest)), response)
        line += rest
    if line:
        yield bytes(line)


def _check(holds: bool, response: aiohttp.ClientResponse, most: int) -> None:  # noqa: FBT001  it is the check
    if not holds:
        response.close()
        raise oversized(f"{response.method} {response.url.path}", most)


def _check_room(holds: bool, response: aiohttp.ClientResponse) -> None:  # noqa: FBT001  it is the check
    if not holds:
        response.close()
        raise crowded(f"{response.method} {response.url.path}")


def crowded(what: str) -> OversizedError:
    """Return the error of an answer for which the other clusters' leave no room."""
    return OversizedError(
        f"{what} was answered with more than there is room for",
        why=f"it takes more than {budget.SURE} bytes, and the workload clusters together hold as much as they may",
        next_step="Find the clusters whose lists are too large, and look at what answers as their API server",
    )


def oversized(what: str, most: int) -> OversizedError:
    """Return the error of an answer that is too large."""
    return OversizedError(
        f"{what} was answered with too much",
        why=f"it takes more than {most} bytes, and no more are read",
        next_step="Look at what answers as the API server, and at the size of its objects",
    )
