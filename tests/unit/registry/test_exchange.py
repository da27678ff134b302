"""Responses without end, in size or in time, and requests that must not be sent."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from trustplane.registry.address import Address
from trustplane.registry.exchange import exchange
from trustplane.registry.issuers import fetch

LOOPBACK = Address("127.0.0.1")


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Answer connections, and yield the port and the received requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        requests.append(connection.recv(4096))
                        answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def body_size(port: int, *, seconds: float = 5.0, limit: int = 1 << 20) -> int:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        address = Address("127.0.0.1", port)
        return len(exchange(connection, address, "/", {}, seconds=seconds, limit=limit).body)


def drip(head: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:  # until the other end hangs up
            connection.sendall(b"a")
            time.sleep(0.02)

    return answer


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_dripping_response_times_out(head: bytes) -> None:
    with answering(drip(head)) as (port, _), pytest.raises(TimeoutError):
        body_size(port, seconds=0.5)


def flood(head: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"a: b\r\n" * 10_000)

    return answer


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000])
def test_an_endless_head_is_an_error(head: bytes) -> None:
    with answering(flood(head)) as (port, _), pytest.raises(Exception, match=r"headers|too long|a: b"):
        body_size(port)


def test_an_endless_body_is_cut_off() -> None:
    with answering(flood(b"HTTP/1.1 200 OK\r\n\r\n")) as (port, _):
        assert body_size(port, limit=1000) == 1000


def test_compression_is_neither_requested_nor_decoded() -> None:
    body = b"\x1f\x8b" + b"0" * 100
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with answering(lambda connection: connection.sendall(answer)) as (port, requests):
        assert body_size(port) == len(body)
    assert b"accept-encoding: identity" in requests[0].lower()


def test_an_issuer_is_fetched_with_the_query_of_its_url() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nca"
    with answering(lambda connection: connection.sendall(answer)) as (port, requests):
        assert fetch(f"http://127.0.0.1:{port}/ca?name=corp&form=der", LOOPBACK) == b"ca"
    assert requests[0].startswith(b"GET /ca?name=corp&form=der HTTP/1.1\r\n")


@pytest.mark.parametrize("registry", ["93.184.216.34", "10.1.2.3"])
def test_a_certificate_of_a_remote_registry_cannot_have_this_machine_contacted(registry: str) -> None:
    with answering(lambda connection: connection.sendall(b"")) as (port, requests):
        assert fetch(f"http://127.0.0.1:{port}/ca", Address(registry)) == b""
        assert fetch(f"http://[::ffff:127.0.0.1]:{port}/ca", Address(registry)) == b""
    assert requests == []


@pytest.mark.parametrize(
    "url", ["", "http://", "http://[::1", "http://a:99999/", "https://a/", "ldap://a/", "http://a\0/"]
)
def test_other_urls_are_not_fetched(url: str) -> None:
    assert fetch(url, LOOPBACK) == b""


def test_a_redirect_is_not_followed() -> None:
    def redirect(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")

    with answering(redirect) as (port, requests):
        assert fetch(f"http://127.0.0.1:{port}/ca", LOOPBACK) == b""
    assert len(requests) == 1
