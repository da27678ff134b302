"""DNS lookups of names from tenants, whose name servers may never answer.

A thread waiting for a name server cannot be stopped. Lookups of tenants' names therefore use separate threads: limited
in number, at most one per name, awaited for a short time only, and daemons that do not delay the exit.
"""

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP_SECONDS: Final = 3.0  # timeout of a lookup
_THREADS: Final = 32  # concurrent lookups


class NameLookup:
    """Resolves names with a bounded number of threads.

    Args:
        most: maximum concurrent lookups.
    """

    def __init__(self, most: int = _THREADS) -> None:
        """Start without lookups."""
        self._most = most
        self._running: dict[str, Future[list[str]]] = {}

    async def resolve(self, host: str) -> list[str]:
        """Return a host's addresses.

        Raises:
            OSError: the name does not resolve, not in time, or too many lookups are running.
            UnicodeError: `host` is not a valid name.
        """
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass  # a name
        lookup = asyncio.wrap_future(self._running.get(host) or self._start(host))
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await lookup
        except TimeoutError as error:
            raise TimeoutError(f"no name server answered within {LOOKUP_SECONDS:g} s") from error

    def _start(self, host: str) -> Future[list[str]]:
        if len(self._running) >= self._most:
            raise OSError("too many lookups are waiting for unresponsive name servers")
        future: Future[list[str]] = Future()
        future.set_running_or_notify_cancel()  # one caller's timeout must not cancel the lookup for the others
        self._running[host] = future
        try:
            threading.Thread(target=self._look_up, args=(host, future), name="names", daemon=True).start()
        except RuntimeError as error:
            del self._running[host]
            raise OSError("cannot start another lookup") from error
        return future

    def _look_up(self, host: str, future: Future[list[str]]) -> None:
        try:
            results = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            future.set_exception(error)
        else:
            future.set_result([str(address[0]) for *_, address in results])
        finally:
            del self._running[host]


TENANT_LOOKUP: Final = NameLookup()


class TenantResolver(AbstractResolver):
    """aiohttp resolver for tenants' names."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a host's addresses of a family."""
        results = [_result(host, address, port) for address in await TENANT_LOOKUP.resolve(host)]
        return [result for result in results if family in {socket.AF_UNSPEC, result["family"]}]

    async def close(self) -> None:
        """Do nothing; the resolver holds no resources."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
