"""Is a part ready? Asked over HTTP, as Kubernetes asks its pods."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp

from trustplane.errors import HostError, TransientError
from trustplane_local.process import ended
from trustplane_local.stack import Stack

PROBE_SECONDS = 2.0  # for one answer
POLL_SECONDS = 0.1


class Readiness:
    """Asks the parts of one stack."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ready(self, url: str) -> bool:
        """Tell whether the URL answers 200 now."""
        return not await self.trouble(url)

    async def trouble(self, url: str) -> str:
        """Return why a part is not ready, in its own words, or nothing when it is."""
        try:
            async with self._session.get(url) as answer:
                return "" if answer.status == HTTPStatus.OK else (await answer.text())[-500:].strip()
        except TimeoutError:
            return f"no answer in {PROBE_SECONDS:.0f} s"
        except aiohttp.ClientError as error:
            return str(error)

    async def wait(self, name: str, url: str, pid: int, *, seconds: float, log: Path) -> None:
        """Wait until the part is ready.

        Raises:
            HostError: its process ended instead.
            TransientError: it is not ready after that many seconds.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with _process(pid) as handle:
            while trouble := await self.trouble(url):
                if handle is None or await ended(handle, POLL_SECONDS):
                    raise _died(name, log)
                if asyncio.get_running_loop().time() > deadline:
                    raise TransientError(
                        f"{name} is not ready after {seconds:.0f} s",
                        why=trouble,
                        next_step=f"See `trustplane local logs {name}`, then run `trustplane local up` again",
                    )


@asynccontextmanager
async def open_readiness(stack: Stack) -> AsyncGenerator[Readiness]:
    """Yield a Readiness that trusts the stack's authority and is let in by etcd."""
    context = ssl.create_default_context(cafile=str(stack.pki / "ca.crt"))
    context.load_cert_chain(stack.pki / "apiserver-etcd-client.crt", stack.pki / "apiserver-etcd-client.key")
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)  # a part that is restarted is asked anew
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Readiness(session)


def read_last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, or nothing where there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


@contextmanager
def _process(pid: int) -> Generator[int | None]:
    """Yield a pidfd of the process, or None where it ended already."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _died(name: str, log: Path) -> HostError:
    return HostError(
        f"{name} ended right after its start",
        why=f"its last words: {read_last_lines(log, 3)[-1000:] or '(none)'}",
        next_step=f"See `trustplane local logs {name}` and mend the cause, or start over with `trustplane local down` "
        "and `trustplane local up`",
    )
