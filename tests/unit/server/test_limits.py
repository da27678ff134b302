"""Resource use of unauthenticated callers, measured at a server in a separate process."""

import asyncio
import json
import re
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message
from tests.unit.server.test_serve import _write_pair

from trustplane.api.webhooks import ADMISSION_PATH
from trustplane.server.limits import MAX_REQUEST_BYTES, SMALL_BYTES, BodyError, LargeBodies, request_body
from trustplane.server.serve import MAX_CONNECTIONS_OF_ADDRESS

SERVER = """
import asyncio, sys
from pathlib import Path
from trustplane.server import serve, tls
from trustplane.server.admission import Admission
from trustplane.server.application import create_application

class NoSecrets:
    async def find(self, *_):
        return None

async def main():
    serve.HANDSHAKE_SECONDS = serve.HEAD_SECONDS = float(sys.argv[3])
    listener = serve.listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    app = create_application([Admission(NoSecrets()).route()])
    context = tls.server_context(Path(sys.argv[1]), Path(sys.argv[2]))
    await serve.serve(app, listener, context, asyncio.Event())

asyncio.run(main())
"""
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
PATIENT, IMPATIENT = "60", "5"  # seconds that the server allows for handshakes and heads
CEILING_MIB = 320  # of the pod's limit of 512
REVIEW = {"request": {"uid": "7", "kind": {"kind": "TkgServiceConfiguration"}, "operation": "CREATE"}}


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int

    async def connect(
        self, *, tls: bool = True, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = CONTEXT if tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, local_addr=(source, 0))

    async def post(self, path: str, body: bytes, *, chunked: bool = False) -> int:
        """Return the status of the response; 0 if the server closed the connection."""
        reader, writer = await self.connect()
        length = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        sending = asyncio.create_task(_send(writer, f"POST {path} HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n", content))
        try:
            async with asyncio.timeout(30):
                return int((await reader.readline()).split()[1])
        except (ConnectionError, IndexError):
            return 0
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()

    def peak(self) -> float:
        """Return the peak memory of the process in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match
        return int(match[1]) / 1024


async def _send(writer: asyncio.StreamWriter, head: str, content: bytes) -> None:
    writer.write(head.encode() + content)
    await writer.drain()


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    arguments = (*map(str, _write_pair(tmp_path, "localhost")), getattr(request, "param", PATIENT))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield Server(process.pid, port)
        assert process.returncode is None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def filled(size: int) -> bytes:
    """Return a review that a generic decoder would expand to 27 times its size."""
    head = json.dumps(REVIEW)[:-2].encode() + b', "object": {"metadata": {}, "a": ['
    return head + b"{}," * ((size - len(head) - 10) // 3) + b"{}]}}}"


@pytest.mark.parametrize("chunked", [False, True])
async def test_oversized_bodies_use_no_memory(server: Server, *, chunked: bool) -> None:
    body = filled(20 << 20)
    statuses = await asyncio.gather(*(server.post(ADMISSION_PATH, body, chunked=chunked) for _ in range(3)))
    assert set(statuses) <= {413, 503, 0}
    assert 413 in statuses
    assert server.peak() < CEILING_MIB


async def test_many_maximum_size_bodies_stay_within_memory(server: Server) -> None:
    body = filled(MAX_REQUEST_BYTES - 100)
    statuses = await asyncio.gather(*(server.post(ADMISSION_PATH, body) for _ in range(12)))
    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert server.peak() < CEILING_MIB
    assert await server.post(ADMISSION_PATH, json.dumps(REVIEW).encode()) == 200


async def test_endless_nesting_is_a_bad_request(server: Server) -> None:
    assert await server.post(ADMISSION_PATH, b'{"request": {"object": ' + b'{"a":' * 200_000) == 400
    assert await server.post(ADMISSION_PATH, json.dumps(REVIEW).encode()) == 200


@pytest.mark.parametrize("server", [IMPATIENT], indirect=True)
async def test_silent_connections_block_no_other_and_end(server: Server) -> None:
    silent = [await server.connect(tls=False) for _ in range(100)]
    waiting = [await server.connect() for _ in range(6)]
    for _, writer in waiting[:3]:
        writer.write(b"POST /admission HTTP/1.1\r\nhost: a\r\n")
    assert await server.post(ADMISSION_PATH, json.dumps(REVIEW).encode()) == 200
    async with asyncio.timeout(60):
        for reader, writer in (*silent, *waiting):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            writer.transport.abort()


@pytest.mark.parametrize("sources", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3"]], ids=len)
async def test_dripping_callers_do_not_lock_out_others(server: Server, sources: list[str]) -> None:
    body = filled(SMALL_BYTES + 1000)
    head = f"POST {ADMISSION_PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n"
    dripping = [await server.connect(source=source) for source in sources for _ in range(8)]
    for _, writer in dripping:
        await _send(writer, head, body[:-1])
    for _ in range(3):
        assert await server.post(ADMISSION_PATH, body) == 200
    for _, writer in dripping:
        writer.transport.abort()


async def test_connections_per_address_are_limited(server: Server) -> None:
    silent = [await server.connect(source="127.0.0.2") for _ in range(MAX_CONNECTIONS_OF_ADDRESS + 2)]
    async with asyncio.timeout(30):
        for reader, _ in silent[MAX_CONNECTIONS_OF_ADDRESS:]:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
    assert not silent[0][0].at_eof()
    assert await server.post(ADMISSION_PATH, json.dumps(REVIEW).encode()) == 200
    for _, writer in silent:
        writer.transport.abort()


def request_of(*chunks: bytes, headers: dict[str, str] | None = None, stall: bool = False, source: str = "") -> Request:
    left = list(chunks)

    async def receive() -> Message:
        if not left and stall:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left) or stall}

    listed = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": listed, "client": (source, 1)}, receive)


async def _status(request: Request, **limits: Any) -> int:
    with pytest.raises(BodyError) as caught:
        async with request_body(request, **limits):
            pass
    return caught.value.status


async def test_a_body_is_read_up_to_its_limit() -> None:
    half = b" " * (MAX_REQUEST_BYTES // 2 + 1)
    assert await _status(request_of(half, half, stall=True)) == 413
    assert await _status(request_of(stall=True, headers={"content-length": str(MAX_REQUEST_BYTES + 1)})) == 413
    async with request_body(request_of(b" " * MAX_REQUEST_BYTES)) as body:
        assert len(body) == MAX_REQUEST_BYTES


async def test_a_dripping_body_is_aborted() -> None:
    assert await _status(request_of(b"{", stall=True), seconds=0.05) == 408


async def test_concurrent_large_bodies_are_limited_and_small_ones_are_not() -> None:
    large = LargeBodies(1)
    big = b" " * (SMALL_BYTES + 1)
    async with request_body(request_of(big), large=large):
        assert await _status(request_of(big), large=large) == 503
        async with request_body(request_of(b"{}"), large=large) as small:
            assert small == b"{}"
    for _ in range(2):
        async with request_body(request_of(big), large=large):
            pass


async def test_only_slow_addresses_with_more_bodies_make_room() -> None:
    large, big = LargeBodies(3, 2), b" " * (SMALL_BYTES + 1)
    async with asyncio.TaskGroup() as group, request_body(request_of(big, source="c"), large=large):
        slow = [group.create_task(_status(request_of(big, stall=True, source="a"), large=large)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await _status(request_of(big, source="a"), large=large) == 503, "half of the places at most"
        async with request_body(request_of(big, source="b"), large=large):
            assert await slow[0] == 408
            assert await _status(request_of(big, source="a"), large=large) == 503, "as many as the others"
            assert await _status(request_of(big, source="b"), large=large) == 503, "as many as the others"
            assert not slow[1].done()
            async with request_body(request_of(big, source="d"), large=large):
                assert await slow[1] == 408
                assert await _status(request_of(big, source="e"), large=large) == 503, "none is slow"


async def test_slow_work_after_the_body_is_not_a_slow_body() -> None:
    with pytest.raises(TimeoutError):
        async with request_body(request_of(b"{}")):
            raise TimeoutError
