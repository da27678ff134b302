from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from trustplane.kube import transport
from trustplane.kube.budget import share_for


class Lost:
    """A body whose connection is lost between two reads, as reported by aiohttp."""

    async def readany(self) -> bytes:
        raise RuntimeError("Connection closed.")


async def test_a_connection_lost_between_two_reads_is_a_connection_error() -> None:
    response: Any = SimpleNamespace(content=Lost(), method="GET", url=SimpleNamespace(path="/"), content_length=None)
    with share_for(None, 1 << 20) as share, pytest.raises(aiohttp.ClientConnectionError):
        await anext(transport.read_lines(response, 1 << 20, share))
    with pytest.raises(aiohttp.ClientConnectionError):
        await transport.read_start(response, 100)
