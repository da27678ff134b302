"""What Debian 12's Python lacks: aborting a TLS connection that is gone already must do nothing.

aiohttp aborts TLS connections that servers leave half closed. Before Python 3.11.7 (Debian 12 has 3.11.2) that raises
an AttributeError where the connection has ended meanwhile, out of `close` and out of aiohttp's own clean-up, which then
never runs again. This is what later releases of `asyncio.sslproto` do.
"""

import sys
from asyncio import sslproto
from typing import Any, Final

_SAFE_SINCE: Final = (3, 11, 7)


def make_safe() -> None:
    """Have this process's Python do as later ones; it may be called again."""
    transport: Any = sslproto._SSLProtocolTransport  # noqa: SLF001  there is no other way to its method
    if sys.version_info >= _SAFE_SINCE or getattr(transport.abort, "is_safe", False):
        return
    abort = transport.abort

    def abort_unless_gone(self: Any) -> None:
        if self._ssl_protocol is not None:
            abort(self)

    abort_unless_gone.is_safe = True  # type: ignore[attr-defined]
    transport.abort = abort_unless_gone
