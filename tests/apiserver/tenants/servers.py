"""What a tenant runs: listeners that note who comes, and API servers and registries that answer as none should."""

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.apiserver.conftest import free_port

from trustplane_local import pki

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]  # of a request's first line

MANY = 1 << 20
PODS = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['


@dataclass
class Heard:
    """What came to a listener.

    Attributes:
        requests: Each as it was sent, headers included.
        connections: How many were opened.
    """

    requests: list[str] = field(default_factory=list)
    connections: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, request: str) -> None:
        """Note a request."""
        self.requests.append(request)
        self._news.set()

    async def until(self, is_there: Callable[[str], bool], seconds: float = 30) -> None:
        """Wait until a request like that has come."""
        async with asyncio.timeout(seconds):
            while not any(map(is_there, self.requests)):
                self._news.clear()
                await self._news.wait()

    def __contains__(self, text: str) -> bool:
        return any(text in one for one in self.requests)


@dataclass(frozen=True)
class Server:
    """A server of a tenant on loopback."""

    port: int
    heard: Heard
    ca: bytes

    @property
    def url(self) -> str:
        """Of it."""
        return f"https://127.0.0.1:{self.port}"


def certificates(folder: Path) -> Path:
    """Make the CA and the certificate that a tenant's servers show; return their folder."""
    folder.mkdir(exist_ok=True)
    leaves = [pki.Leaf("server", "tenant", hosts=("127.0.0.1", "localhost"))]
    pki.keep_certificates(folder, "tenant", leaves, datetime.now(UTC))
    return folder


@contextlib.asynccontextmanager
async def serving(folder: Path, answer: Answer, *, tls: bool = True) -> AsyncIterator[Server]:
    """Answer every request on a port of loopback for the block; whatever still goes on at its end is cut."""
    heard, tasks, context = Heard(), set[asyncio.Task[None]](), None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.current_task())  # type: ignore[arg-type]
        heard.connections += 1
        try:
            while head := await _head(reader):
                heard.hear(head)
                await answer(head.partition("\r\n")[0], writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", free_port(), ssl=context)
    try:
        yield Server(server.sockets[0].getsockname()[1], heard, (folder / "ca.crt").read_bytes())
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _head(reader: asyncio.StreamReader) -> str:
    """Read a request with its body, which is kept as a part of it; "" at the end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return ""
    length = next((one.split(":")[1] for one in head.lower().split("\r\n") if one.startswith("content-length:")), "0")
    return head + (await reader.readexactly(int(length))).decode("latin-1")


def _start(extra: str = "", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{extra}\r\n".encode()


async def nothing(_: str, writer: asyncio.StreamWriter) -> None:
    """Answer that there is nothing."""
    body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}'
    writer.write(_start(f"Content-Length: {len(body)}\r\n", "404 Not Found") + body)
    await writer.drain()


async def silence(_: str, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()
    del writer


def redirect(target: str) -> Answer:
    """Send everybody elsewhere."""

    async def answer(line: str, writer: asyncio.StreamWriter) -> None:
        place = f"{target}{line.split()[1]}"
        writer.write(_start(f"Location: {place}\r\nContent-Length: 0\r\n", "307 Temporary Redirect"))
        await writer.drain()

    return answer


def bomb() -> Answer:
    """Answer with 600 MB that were compressed to 600 KB."""
    content = gzip.compress(PODS + b" " * (600 * MANY) + b"]}", 9)

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(_start(f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n") + content)
        await writer.drain()

    return answer


async def endless(_: str, writer: asyncio.StreamWriter) -> None:
    """Answer with a list that does not end."""
    writer.write(_start("Connection: close\r\n") + PODS)
    for _n in range(2000):  # 2 GB
        writer.write(b" " * MANY)
        await writer.drain()
        await asyncio.sleep(0)


async def drip(_: str, writer: asyncio.StreamWriter) -> None:
    """Answer one character at a time."""
    for octet in _start("Connection: close\r\n") + PODS + b" " * MANY:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def headers_without_end(_: str, writer: asyncio.StreamWriter) -> None:
    """Answer with headers for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(100_000):
        writer.write(f"X-{n}: {'a' * 4000}\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0)


def pods(*items: bytes) -> Answer:
    """Answer each list with these pods, and each watch with silence."""

    async def answer(line: str, writer: asyncio.StreamWriter) -> None:
        if "watch=" in line:
            writer.write(_start("Connection: close\r\n"))
            await writer.drain()
            await asyncio.Event().wait()
        body = PODS + b",".join(items) + b"]}"
        writer.write(_start(f"Content-Length: {len(body)}\r\n") + body)
        await writer.drain()

    return answer


async def line_without_end(line: str, writer: asyncio.StreamWriter) -> None:
    """Answer a watch with one line that does not end."""
    if "watch=" not in line:
        await pods()(line, writer)
        return
    writer.write(_start("Connection: close\r\n") + b'{"type":"ADDED","object":{"metadata":{"name":"')
    for _n in range(2000):
        writer.write(b"a" * MANY)
        await writer.drain()


async def pages_without_end(line: str, writer: asyncio.StreamWriter) -> None:
    """Answer each list with a page that has a next one."""
    item = b'{"metadata":{"name":"p","namespace":"n","annotations":{"a":"' + b"x" * (4 * MANY) + b'"}}}'
    body = b'{"metadata":{"resourceVersion":"1","continue":"more"},"items":[' + item + b"]}"
    writer.write(_start(f"Content-Length: {len(body)}\r\n") + body)
    await writer.drain()
    del line


async def deep(_: str, writer: asyncio.StreamWriter) -> None:
    """Answer with JSON that is nested 100,000 deep."""
    body = PODS + b'{"metadata":{"name":"p"},"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"
    writer.write(_start(f"Content-Length: {len(body)}\r\n") + body)
    await writer.drain()


async def obliging(line: str, writer: asyncio.StreamWriter) -> None:
    """Answer as an API server that has nothing and takes everything."""
    if "watch=" in line:
        writer.write(_start("Connection: close\r\n"))
        await writer.drain()
        await asyncio.Event().wait()
    method, path = line.split()[:2]
    name = path.partition("?")[0].rpartition("/")[2]
    listed = b'{"metadata":{"resourceVersion":"1"},"items":[]}'
    made = f'{{"metadata":{{"name":"{name}","namespace":"n","uid":"u","resourceVersion":"2"}}}}'.encode()
    body = listed if method == "GET" else made
    writer.write(_start(f"Content-Length: {len(body)}\r\n") + body)
    await writer.drain()
