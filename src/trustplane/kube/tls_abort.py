"""Workaround for Debian 12's Python: aborting an already closed TLS connection must do nothing.

aiohttp aborts TLS connections left half closed by servers. Before Python 3.11.7 (Debian 12 has 3.11.2) that raises an
AttributeError if the connection has ended by then, from `close` and from aiohttp's clean-up, which then never runs
again. The patch matches later releases of `asyncio.sslproto`.
"""

import sys
from asyncio import sslproto
from typing import Any, Final

_SAFE_SINCE: Final = (3, 11, 7)


def make_abort_safe() -> None:
    """Patch `asyncio.sslproto` if this Python needs it; idempotent."""
    transport: Any = sslproto._SSLProtocolTransport  # noqa: SLF001  the method is not public
    if sys.version_info >= _SAFE_SINCE or getattr(transport.abort, "is_safe", False):
        return
    abort = transport.abort

    def abort_unless_gone(self: Any) -> None:
        if self._ssl_protocol is not None:
            abort(self)

    abort_unless_gone.is_safe = True  # type: ignore[attr-defined]
    transport.abort = abort_unless_gone
