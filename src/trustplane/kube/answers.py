"""What an API server has answered: whether it is what was asked for, and what is in it."""

from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from trustplane.kube import transport
from trustplane.kube.errors import MAX_MESSAGE, RedirectError, UnavailableError, UnreadableError, error_of, status_of
from trustplane.kube.resource import Resource
from trustplane.kube.splitting import ExhaustedError, Listing, WatchEvent, event_of, list_of
from trustplane.text import clean


async def check(response: aiohttp.ClientResponse, what: str) -> None:
    """Let an answer pass that is the one that was asked for.

    Raises:
        ApiError: What another one means.
    """
    status = response.status
    if status >= HTTPStatus.BAD_REQUEST:
        raise error_of(status_of(status, await transport.read_start(response, transport.ERROR_BYTES)), what)
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise RedirectError(
            f"{what} was answered with a redirect",
            why=f"HTTP status {status}; an API server has no reason to send us elsewhere, and it is not followed",
            next_step="Look at what answers as the API server",
        )
    if response.headers.get("Content-Encoding", "").lower() not in transport.IDENTITY:
        raise UnreadableError(f"{what} was answered compressed", why="that was not asked for, and is not read")


def decode_list(data: bytes, resource: Resource[Any], *, is_last_resort: bool) -> Listing | None:
    """Split a page; None: ask for fewer objects.

    Raises:
        UnreadableError: It is no list.
    """
    try:
        return list_of(data, is_last_resort=is_last_resort)
    except (ValueError, msgspec.MsgspecError) as error:
        if isinstance(error, ExhaustedError) and not is_last_resort:
            return None
        raise UnreadableError(f"The list of {resource} cannot be read", why=clean(str(error), MAX_MESSAGE)) from error


def decode_event(line: bytes, resource: Resource[Any], server: str) -> WatchEvent:
    """Read a line of a watch.

    Raises:
        ApiError: It is none, or says that the watch has ended.
    """
    try:
        event = event_of(line)
    except (ValueError, msgspec.MsgspecError) as error:
        # A connection that breaks within a line ends it early.
        why = clean(str(error), MAX_MESSAGE)
        raise UnavailableError(f"The watch of {resource} at {server} broke off", why=why) from error
    if event.type == "ERROR":
        raise error_of(status_of(0, bytes(event.object)), f"The watch of {resource} at {server}")
    return event
