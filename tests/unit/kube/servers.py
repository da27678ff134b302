"""Misbehaving servers, as a tenant may run them: raw bytes for any request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from trustplane.api.meta import Json

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def kubeconfig(server: str) -> Json:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": {"token": "WORKLOAD-TOKEN"}}],
    }


@contextlib.asynccontextmanager
async def serving(answer: Answer, requests: list[str] | None = None) -> AsyncIterator[str]:
    """Answer each request with raw bytes and close the connection; yield the URL. Record requests in `requests`."""

    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if requests is not None:
                    requests.append(head)
                await answer(head, writer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def head(status: str, **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def always(content: bytes) -> Answer:
    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return answer


def flood(start: bytes, parts: Callable[[], Iterator[bytes]]) -> Answer:
    """Send endlessly, as fast as the client reads."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        for part in parts():
            writer.write(part)
            await writer.drain()

    return answer
