"""Readiness of the Supervisor's parts, by HTTP probes like those of Kubernetes."""

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

PROBE_SECONDS = 2.0  # for one response
POLL_SECONDS = 0.1


class Readiness:
    """Probes the parts of a stack."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def is_ready(self, url: str) -> bool:
        """Return whether a URL returns status 200."""
        return not await self.unready_reason(url)

    async def unready_reason(self, url: str) -> str:
        """Return why a part is not ready, as it reports it, or an empty string if it is ready."""
        try:
            async with self._session.get(url) as response:
                return "" if response.status == HTTPStatus.OK else (await response.text())[-500:].strip()
        except TimeoutError:
            return f"no answer in {PROBE_SECONDS:.0f} s"
        except aiohttp.ClientError as error:
            return str(error)

    async def wait(self, name: str, url: str, pid: int, *, seconds: float, log: Path) -> None:
        """Wait until a part is ready.

        Args:
            name: Name of the part.
            url: Its probe.
            pid: Its process.
            seconds: Limit.
            log: Its log, quoted if the process exits.

        Raises:
            HostError: The process exits.
            TransientError: The part is not ready in that time.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with _process(pid) as handle:
            while trouble := await self.unready_reason(url):
                if handle is None or await ended(handle, POLL_SECONDS):
                    raise _exit_error(name, log)
                if asyncio.get_running_loop().time() > deadline:
                    raise TransientError(
                        f"{name} is not ready after {seconds:.0f} s",
                        why=trouble,
                        next_step=f"See `trustplane local logs {name}`, then run `trustplane local up` again",
                    )


@asynccontextmanager
async def open_readiness(stack: Stack) -> AsyncGenerator[Readiness]:
    """Yield a Readiness that trusts the stack's CA and authenticates to etcd."""
    context = ssl.create_default_context(cafile=str(stack.pki / "ca.crt"))
    context.load_cert_chain(stack.pki / "apiserver-etcd-client.crt", stack.pki / "apiserver-etcd-client.key")
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)  # no connection outlives a restart of its part
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Readiness(session)


def read_last_lines(log: Path, count: int) -> str:
    """Return the last lines of a log, or an empty string if it does not exist."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


@contextmanager
def _process(pid: int) -> Generator[int | None]:
    """Yield a pidfd of a process, or None if it has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _exit_error(name: str, log: Path) -> HostError:
    return HostError(
        f"{name} exited right after its start",
        why=f"the last lines of its log: {read_last_lines(log, 3)[-1000:] or '(none)'}",
        next_step=f"Fix the cause (`trustplane local logs {name}` shows the log), or start over with "
        "`trustplane local down` and `trustplane local up`",
    )
