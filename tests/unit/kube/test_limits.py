"""Responses of a hostile API server: too large, compressed, redirected, or malformed."""

import asyncio
import itertools
import json
import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator

import pytest
from tests.unit.kube.servers import always, flood, head, kubeconfig, serving

from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError, OversizedError, RedirectError, UnavailableError, UnreadableError
from trustplane.kube.kinds import PODS

MEBIBYTE = b"0" * (1 << 20)
POD = {"metadata": {"name": "a", "namespace": "x"}}


def endless(part: bytes = MEBIBYTE) -> Iterator[bytes]:
    return itertools.repeat(part)


async def test_compression_is_neither_requested_nor_accepted() -> None:
    requests: list[str] = []
    packed = zlib.compress(b'{"metadata":{},"items":[]}')
    answer = always(head("200 OK", Content_Encoding="deflate", Content_Length=len(packed)) + packed)
    async with serving(answer, requests) as server, Client.open(kubeconfig(server)) as client:
        with pytest.raises(UnreadableError, match="compressed"):
            await client.list(PODS)
    assert "Accept-Encoding: identity" in requests[0]


@pytest.mark.parametrize(("most", "limit"), [(None, 32 << 20), (1 << 20, 8 << 20)])
async def test_an_endless_page_is_retried_with_fewer_objects_and_then_refused(most: int | None, limit: int) -> None:
    requests: list[str] = []
    async with serving(flood(head("200 OK"), endless), requests) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = most
        with pytest.raises(OversizedError, match=f"{limit} bytes"):
            await client.list(PODS)
    assert [line.partition("limit=")[2].partition(" ")[0] for line in requests] == ["500", "62", "7", "1"]


async def test_a_response_with_a_huge_length_is_not_read() -> None:
    start = head("200 OK", Content_Length=1 << 40)
    async with serving(flood(start, lambda: iter(()))) as server, Client.open(kubeconfig(server)) as client:
        with pytest.raises(OversizedError):
            await client.get(PODS, "a", "x")


async def test_an_endless_list_is_refused() -> None:
    item = json.dumps({"metadata": {"name": "a", "annotations": {"a": "x" * (1 << 20)}}})
    body = f'{{"metadata":{{"continue":"x"}},"items":[{item}]}}'.encode()
    answer = always(head("200 OK", Content_Length=len(body)) + body)
    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = 8 << 20
        with pytest.raises(OversizedError, match="The list of pods"):
            await client.list(PODS)


async def test_an_endless_line_ends_the_watch() -> None:
    start = head("200 OK") + b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2"}}}\n{"type":"'
    async with serving(flood(start, endless)) as server, Client.open(kubeconfig(server)) as client:
        events = client.watch(PODS, version="1")
        assert (await anext(events)).type == "BOOKMARK"
        with pytest.raises(OversizedError):
            await anext(events)


async def test_lines_are_reassembled_from_chunks() -> None:
    lines = [json.dumps({"type": "ADDED", "object": {"metadata": {"name": "ä" * n}}}).encode() for n in range(40)]
    content = b"\n".join(lines)  # the last line is unterminated

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head("200 OK"))
        for start in range(0, len(content), 7):
            writer.write(content[start : start + 7])
            await writer.drain()

    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        events = [event async for event in client.watch(PODS, version="1")]
    assert [len(json.loads(bytes(event.object))["metadata"]["name"]) for event in events] == list(range(40))


async def test_a_dripping_watch_ends() -> None:
    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head("200 OK"))
        for _ in range(200):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        with pytest.raises(UnavailableError, match="got no response"):
            async for _ in client.watch(PODS, version="1", seconds=0, idle=0.4):
                pass


async def test_a_dripping_response_ends() -> None:
    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head("200 OK", Content_Length=1000))
        for _ in range(200):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(answer) as server, Client.open(kubeconfig(server), timeout=0.4) as client:
        with pytest.raises(UnavailableError, match="got no response"):
            await client.get(PODS, "a", "x")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_no_redirect_is_followed(status: str) -> None:
    requests: list[str] = []
    async with serving(always(head("500 Error", Content_Length=0)), requests) as inner:
        location = f"{inner}/internal?token=hunter2"
        async with (
            serving(always(head(status, Location=location, Content_Length=0))) as server,
            Client.open(kubeconfig(server)) as client,
        ):
            for work in (
                client.list(PODS),
                client.create(PODS, POD),
                client.patch(PODS, "a", "x", {}),
                client.apply(PODS, POD, manager="test"),
                client.delete(PODS, "a", "x"),
                client.raw("GET", "/version"),
                anext(client.watch(PODS, version="1")),
            ):
                with pytest.raises(RedirectError, match=f"HTTP status {status[:3]}") as caught:
                    await work
                assert "hunter2" not in str(caught.value)
                assert "internal" not in str(caught.value)
    assert requests == []


async def test_an_error_body_is_shortened_and_printable() -> None:
    page = b"<html>INTERNAL \x1b[31m password=hunter2hunter2 " + b"x" * 1000
    answer = flood(head("500 Error") + page, endless)
    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        with pytest.raises(ApiError) as caught:
            await client.list(PODS)
    assert len(caught.value.why) <= 200
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "answer",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000],
    ids=["no HTTP", "many headers", "a long header"],
)
async def test_a_malformed_response_is_a_transient_error(answer: bytes) -> None:
    async with serving(always(answer)) as server, Client.open(kubeconfig(server), timeout=5) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get(PODS, "a", "x")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"7", b'{"type":"ERROR","object":[]}', b'{"type":7,"object":{}}', b"\xff", b"[" * 5000],
)
async def test_a_malformed_event_is_a_trustplane_error(line: bytes) -> None:
    answer = always(head("200 OK") + line + b"\n")
    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        with pytest.raises(TrustplaneError):
            await anext(client.watch(PODS, version="1"))


FLOOD = """
import asyncio, gzip, sys
from tests.memory import peak
from tests.unit.kube.servers import flood, head, kubeconfig, serving
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError
from trustplane.kube.kinds import PODS
from trustplane.kube.transport import STRANGERS_KEPT

def packed():
    member = gzip.compress(b"0" * (1 << 20))  # a kilobyte
    return iter([member] * 600)

EMPTY = b'{"metadata":{},"items":[' + b"{}," * (8 << 17) * 2 + b"{}]}"

ANSWERS = {
    "empty": flood(head("200 OK", Content_Length=len(EMPTY)), lambda: iter([EMPTY])),
    "gzip": flood(head("200 OK", Content_Encoding="gzip"), packed),
    "plain": flood(head("200 OK"), lambda: iter([b"0" * (1 << 20)] * 600)),
    "error": flood(head("500 Error"), lambda: iter([b"0" * (1 << 20)] * 600)),
    "lines": flood(head("200 OK"), lambda: iter([b"0" * (1 << 20)] * 600)),
}

async def main(mode):
    async with serving(ANSWERS[mode]) as server, Client.open(kubeconfig(server), timeout=60) as client:
        client.most_kept = STRANGERS_KEPT
        before = peak()
        try:
            await (anext(client.watch(PODS, version="1")) if mode == "lines" else client.list(PODS))
        except ApiError as error:
            print(type(error).__name__, peak() - before)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("gzip", "UnreadableError"),
        ("plain", "OversizedError"),
        ("error", "UnavailableError"),
        ("lines", "Oversized"),
        ("empty", "Oversized"),
    ],
)
def test_a_flood_takes_little_memory(mode: str, error: str) -> None:
    command = [sys.executable, "-c", FLOOD, mode]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100, preexec_fn=_limit)
    name, growth = done.stdout.split()
    assert name.startswith(error)
    assert int(growth) < 128  # MiB; 600 MiB are sent


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
