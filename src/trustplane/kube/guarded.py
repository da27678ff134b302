"""Clients for what a stranger's kubeconfig describes: its addresses are checked, its answers bounded."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.connector import NEEDS_CLEANUP_CLOSED

from trustplane.kube import names
from trustplane.kube.access import Access
from trustplane.kube.client import TIMEOUT, Client
from trustplane.kube.errors import MAX_MESSAGE, RefusedAccessError, UnavailableError
from trustplane.kube.reach import ADDRESS_STEP, Reach, guard
from trustplane.kube.tls import make_context
from trustplane.kube.transport import STRANGERS_KEPT, Transport, session_of
from trustplane.text import clean

_CONNECTIONS = 64  # to one server at a time


@asynccontextmanager
async def open_guarded(
    access: Access, reach: Reach, *, timeout: float = TIMEOUT, most_kept: int = STRANGERS_KEPT
) -> AsyncIterator[Client]:
    """Open a client, and close its connections at the end. Proxies of the environment are not used.

    Args:
        access: What the kubeconfig describes.
        reach: What may be connected to.
        timeout: Seconds for one request.
        most_kept: The weight of all objects of one kind that may be kept of that server.

    Raises:
        RefusedAccessError: The server's address is refused, or a certificate or key cannot be used.
        UnavailableError: The server's name does not resolve, or its certificates and key take too long to be read.
    """
    await _check_addresses(access, reach)
    connector = aiohttp.TCPConnector(
        limit=_CONNECTIONS,
        ssl=await _context(access),
        resolver=names.Resolver(),
        socket_factory=guard(reach),
        enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
    )
    options = {"server_hostname": access.server_name} if access.server_name else {}

    async def credentials() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {access.token}"} if access.token else {}

    try:
        async with session_of(connector, use_environment=False) as session:
            transport = Transport(access.server, session, credentials, options)
            yield Client(transport, timeout=timeout, most_kept=most_kept)
    finally:
        await connector.close()


async def _check_addresses(access: Access, reach: Reach) -> None:
    """Refuse now what each connection would be refused for, so that it is said once and plainly."""
    try:
        addresses = await names.STRANGERS.resolve(access.host)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(
            f"The name of the API server {access.server} does not resolve",
            why=clean(str(error), MAX_MESSAGE),
            next_step="It is tried again by itself; look at the name service if this lasts",
        ) from error
    for address in addresses:
        if refusal := reach.refusal(address, access.port):
            raise RefusedAccessError(
                "The kubeconfig is refused for its field clusters[].cluster.server", why=refusal, next_step=ADDRESS_STEP
            )


async def _context(access: Access) -> ssl.SSLContext:
    try:
        return await make_context(access)
    except TimeoutError as error:
        raise UnavailableError(
            f"The certificates and the key for {access.server} were not read",
            why="it takes too long",
            next_step="It is tried again by itself; look at the kubeconfig if this lasts",
        ) from error
