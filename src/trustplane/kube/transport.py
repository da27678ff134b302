"""Size-limited HTTP to one API server, possibly a tenant's.

Responses are never decompressed, because a kilobyte can become a gigabyte. Redirects are never followed, because the
server chooses their target.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from trustplane.kube import budget
from trustplane.kube.budget import Share
from trustplane.kube.errors import OversizedError
from trustplane.kube.tls_abort import make_abort_safe

PAGE_BYTES: Final = 32 << 20  # one page of a list
RESPONSE_BYTES: Final = 4 << 20  # any other response; etcd stores no object above 1.5 MiB
LIST_BYTES: Final = 256 << 20  # all pages of a list held at once
LINE_BYTES: Final = 4 << 20  # one line of a watch, with one object
ERROR_BYTES: Final = 64 << 10  # the body of an error response

# Limits for a tenant's server.
TENANT_PAGE_BYTES: Final = 8 << 20
TENANT_WEIGHT: Final = 32 << 20  # one response
STRANGERS_KEPT: Final = budget.MAX_KEPT  # over ten thousand failing pods, of which little is kept
TENANT_LIST_BYTES: Final = 4 << 30  # all pages of a list read page by page: half a million pods

IDENTITY: Final = frozenset({"", "identity"})  # content encodings without compression


make_abort_safe()


async def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Transport:
    """The connections to one API server.

    Attributes:
        server: URL of the API server, without a trailing slash.
        session: from `open_session`.
        credentials: returns the authentication headers; called before each request.
        options: further arguments of each request, such as `server_hostname`.
    """

    server: str
    session: aiohttp.ClientSession
    credentials: Callable[[], Awaitable[Mapping[str, str]]] = _nothing
    options: Mapping[str, Any] = field(default_factory=dict)


def open_session(connector: aiohttp.BaseConnector, *, use_environment: bool) -> aiohttp.ClientSession:
    """Open a session without decompression and cookies; `use_environment` enables proxies such as $HTTPS_PROXY."""
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=use_environment,
    )


def weight(data: bytes | msgspec.Raw) -> int:
    """Estimate the memory in bytes of decoded JSON: a short value takes more than its text."""
    content = bytes(data)
    values = len(content) - len(content.translate(None, b",[{"))
    return len(content) + 64 * values + 16 * content.count(b'"')


async def read_body(response: aiohttp.ClientResponse, most: int, share: Share) -> bytes:
    """Read a body of at most `most` bytes and account for it in `share`.

    Raises:
        OversizedError: the body exceeds `most` or the budget; the rest is not read.
    """
    _check_size((response.content_length or 0) <= most, response, most)
    body = bytearray()
    while chunk := await _read_chunk(response):
        _check_size(len(body) + len(chunk) <= most, response, most)
        _check_budget(share.hold(len(body) + len(chunk)), response)
        body += chunk
    return bytes(body)


async def _read_chunk(response: aiohttp.ClientResponse) -> bytes:
    """Return at least one received byte of a body; empty at its end.

    Raises:
        ClientError: the connection was lost.
    """
    try:
        return await response.content.readany()
    except RuntimeError as error:  # raised by aiohttp if the connection was lost between two reads
        raise aiohttp.ClientConnectionError(str(error)) from error


async def read_start(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read the first `most` bytes of a body and ignore the rest."""
    start = bytearray()
    while chunk := await _read_chunk(response):
        start += chunk
        if len(start) >= most:
            break
    return bytes(start[:most])


async def read_lines(response: aiohttp.ClientResponse, most: int, share: Share) -> AsyncGenerator[bytes, None]:
    """Read a body line by line, accounting for one line in `share`; the last line may be incomplete.

    Raises:
        OversizedError: a line exceeds `most` bytes or the budget.
    """
    line = bytearray()  # the part received so far
    while chunk := await _read_chunk(response):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            _check_size(len(line) + len(end) <= most, response, most)
            yield bytes(line + end)
            line.clear()
        _check_size(len(line) + len(rest) <= most, response, most)
        _check_budget(share.hold(len(line) + len(rest)), response)
        line += rest
    if line:
        yield bytes(line)


def _check_size(fits: bool, response: aiohttp.ClientResponse, most: int) -> None:  # noqa: FBT001  the condition
    if not fits:
        response.close()
        raise oversized_error(f"The response to {response.method} {response.url.path}", most)


def _check_budget(fits: bool, response: aiohttp.ClientResponse) -> None:  # noqa: FBT001  the condition
    if not fits:
        response.close()
        raise budget_error(f"The response to {response.method} {response.url.path}")


def budget_error(what: str) -> OversizedError:
    """Return the error for a response refused because other clusters use up the memory budget."""
    return OversizedError(
        f"{what} does not fit into memory",
        why=f"it exceeds {budget.GUARANTEED} bytes, and the data of all workload clusters has reached its limit",
        next_step="Find the clusters with oversized lists, and check the servers behind their kubeconfigs",
    )


def oversized_error(what: str, most: int) -> OversizedError:
    """Return the error for a response above its size limit."""
    return OversizedError(
        f"{what} is too large",
        why=f"it exceeds {most} bytes",
        next_step="Check the server at that address and the size of its objects",
    )
