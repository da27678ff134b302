"""Names of hosts to addresses, where a stranger's name server may take its time.

A thread that waits for a name server cannot be ended. So those of strangers' names are threads of their own, counted,
and one for each name at most; nobody waits for one for long. They are daemons: an exit does not wait for them.
"""

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

SECONDS: Final = 3.0  # that a name is waited for
_THREADS: Final = 32  # names that are looked up at a time


class Names:
    """Looks names up.

    Args:
        most: Names that are looked up at a time.
    """

    def __init__(self, most: int = _THREADS) -> None:
        """Begin with nothing looked up."""
        self._most = most
        self._running: dict[str, Future[list[str]]] = {}

    async def resolve(self, host: str) -> list[str]:
        """Return a host's addresses.

        Raises:
            OSError: It does not resolve, not in time, or too many others are being looked up.
            UnicodeError: It is no name.
        """
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass  # a name
        lookup = asyncio.wrap_future(self._running.get(host) or self._begin(host))
        try:
            async with asyncio.timeout(SECONDS):
                return await lookup
        except TimeoutError as error:
            raise TimeoutError(f"no name server answered within {SECONDS:g} s") from error

    def _begin(self, host: str) -> Future[list[str]]:
        if len(self._running) >= self._most:
            raise OSError("too many names are being looked up, whose name servers do not answer")
        future: Future[list[str]] = Future()
        future.set_running_or_notify_cancel()  # from now on, nobody who gives up waiting cancels it for the others
        self._running[host] = future
        try:
            threading.Thread(target=self._look_up, args=(host, future), name="names", daemon=True).start()
        except RuntimeError as error:
            del self._running[host]
            raise OSError("no further name can be looked up now") from error
        return future

    def _look_up(self, host: str, future: Future[list[str]]) -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            future.set_exception(error)
        else:
            future.set_result([str(address[0]) for *_, address in found])
        finally:
            del self._running[host]


STRANGERS: Final = Names()


class Resolver(AbstractResolver):
    """Looks strangers' names up for connections."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a host's addresses of a family."""
        results = [_result(host, address, port) for address in await STRANGERS.resolve(host)]
        return [one for one in results if family in {socket.AF_UNSPEC, one["family"]}]

    async def close(self) -> None:
        """Do nothing: nothing is open."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
