"""Checking and decoding of API server responses."""

from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from trustplane.kube import transport
from trustplane.kube.errors import (
    MAX_MESSAGE,
    RedirectError,
    UnavailableError,
    UnreadableError,
    api_error,
    parse_status,
)
from trustplane.kube.resource import Resource
from trustplane.kube.splitting import ExhaustedError, ListPage, WatchEvent, split_event, split_list
from trustplane.text import clean


async def check_response(response: aiohttp.ClientResponse, what: str) -> None:
    """Raise unless the response is an uncompressed success.

    Raises:
        ApiError: the class that fits the response.
    """
    status = response.status
    if status >= HTTPStatus.BAD_REQUEST:
        raise api_error(parse_status(status, await transport.read_start(response, transport.ERROR_BYTES)), what)
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise RedirectError(
            f"{what} was redirected",
            why=f"HTTP status {status}; an API server never redirects, and Trustplane does not follow redirects",
            next_step="Check the server at that address",
        )
    if response.headers.get("Content-Encoding", "").lower() not in transport.IDENTITY:
        raise UnreadableError(
            f"The response to {what} is compressed", why="Trustplane requests and reads uncompressed responses only"
        )


def decode_list(data: bytes, resource: Resource[Any], *, is_last_resort: bool) -> ListPage | None:
    """Split a page of a list; None: retry with fewer objects per page.

    Raises:
        UnreadableError: the data is not a list.
    """
    try:
        return split_list(data, is_last_resort=is_last_resort)
    except (ValueError, msgspec.MsgspecError) as error:
        if isinstance(error, ExhaustedError) and not is_last_resort:
            return None
        raise UnreadableError(f"The list of {resource} cannot be read", why=clean(str(error), MAX_MESSAGE)) from error


def decode_event(line: bytes, resource: Resource[Any], server: str) -> WatchEvent:
    """Decode a line of a watch.

    Raises:
        ApiError: the line is not an event, or is an ERROR event.
    """
    try:
        event = split_event(line)
    except (ValueError, msgspec.MsgspecError) as error:
        # A connection broken within a line truncates it.
        why = clean(str(error), MAX_MESSAGE)
        raise UnavailableError(f"The watch of {resource} at {server} was interrupted", why=why) from error
    if event.type == "ERROR":
        raise api_error(parse_status(0, bytes(event.object)), f"The watch of {resource} at {server}")
    return event
