"""Clients for a tenant's kubeconfig, with checked addresses and size-limited responses."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.connector import NEEDS_CLEANUP_CLOSED

from trustplane.kube import names
from trustplane.kube.access import Access
from trustplane.kube.client import TIMEOUT, Client
from trustplane.kube.errors import MAX_MESSAGE, RefusedAccessError, UnavailableError
from trustplane.kube.reach import ADDRESS_STEP, Reach, socket_factory
from trustplane.kube.tls import make_context
from trustplane.kube.transport import STRANGERS_KEPT, Transport, open_session
from trustplane.text import clean

_CONNECTIONS = 64  # concurrent connections to one server


@asynccontextmanager
async def open_guarded(
    access: Access, reach: Reach, *, timeout: float = TIMEOUT, most_kept: int = STRANGERS_KEPT
) -> AsyncIterator[Client]:
    """Open a client; close its connections at the end. Ignores proxies of the environment.

    Args:
        access: content of the kubeconfig.
        reach: allowed addresses.
        timeout: seconds for one request.
        most_kept: maximum weight of one kind's objects kept of this server.

    Raises:
        RefusedAccessError: the server's address is refused, or a certificate or key is unusable.
        UnavailableError: the server's name does not resolve, or loading the certificates and key takes too long.
    """
    await _check_addresses(access, reach)
    connector = aiohttp.TCPConnector(
        limit=_CONNECTIONS,
        ssl=await _context(access),
        resolver=names.TenantResolver(),
        socket_factory=socket_factory(reach),
        enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
    )
    options = {"server_hostname": access.server_name} if access.server_name else {}

    async def credentials() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {access.token}"} if access.token else {}

    try:
        async with open_session(connector, use_environment=False) as session:
            transport = Transport(access.server, session, credentials, options)
            yield Client(transport, timeout=timeout, most_kept=most_kept)
    finally:
        await connector.close()


async def _check_addresses(access: Access, reach: Reach) -> None:
    """Refuse a forbidden address before the first connection, for a single clear error."""
    try:
        addresses = await names.TENANT_LOOKUP.resolve(access.host)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(
            f"The name of the API server {access.server} does not resolve",
            why=clean(str(error), MAX_MESSAGE),
            next_step="Trustplane retries; check the DNS server if the error persists",
        ) from error
    for address in addresses:
        if refusal := reach.refusal(address, access.port):
            raise RefusedAccessError(
                "The kubeconfig is refused because of its field clusters[].cluster.server",
                why=refusal,
                next_step=ADDRESS_STEP,
            )


async def _context(access: Access) -> ssl.SSLContext:
    try:
        return await make_context(access)
    except TimeoutError as error:
        raise UnavailableError(
            f"The certificates and the key for {access.server} were not loaded",
            why="loading them takes too long",
            next_step="Trustplane retries; check the kubeconfig if the error persists",
        ) from error
