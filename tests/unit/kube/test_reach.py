import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube import names, reach
from trustplane.kube.access import Access
from trustplane.kube.errors import RefusedAccessError, UnavailableError
from trustplane.kube.guarded import open_guarded
from trustplane.kube.reach import Reach, reach_beside
from trustplane_local import pki

NEVER = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/8", "255.255.255.255/32"]
NEVER_6 = ["::1/128", "fe80::/10", "ff00::/8", "::/128"]


@pytest.mark.parametrize("network", NEVER + NEVER_6)
@given(data=st.data())
def test_forbidden_addresses(network: str, data: Any) -> None:
    parsed = ipaddress.ip_network(network)
    address = parsed[data.draw(st.integers(0, parsed.num_addresses - 1))]
    assert Reach().refusal(str(address), 6443)
    assert not Reach(is_local_allowed=True).refusal(str(address), 6443)
    if isinstance(address, ipaddress.IPv4Address):
        for wrapped in (f"::ffff:{address}", f"64:ff9b::{address}", str(_sixtofour(address))):
            assert Reach().refusal(wrapped, 6443), wrapped


def _sixtofour(address: ipaddress.IPv4Address) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))


@pytest.mark.parametrize("address", ["10.0.0.1", "198.18.0.10", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"])
def test_allowed_addresses(address: str) -> None:
    assert not Reach(frozenset({("10.0.0.1", 443)})).refusal(address, 6443)


def test_the_management_clusters_own_api_server() -> None:
    own = Reach(frozenset({("10.0.0.1", 6443)}))
    for address in ("10.0.0.1", "::ffff:10.0.0.1"):
        assert "own API server" in own.refusal(address, 6443)


async def test_the_management_clusters_addresses_are_resolved_from_its_names(monkeypatch: Any) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    limits = await reach_beside("https://localhost:6443")
    assert {("localhost", 6443), ("127.0.0.1", 6443), ("10.96.0.1", 443)} <= limits.own
    assert not limits.is_local_allowed
    monkeypatch.setenv(reach.ALLOWANCE, "1")
    assert (await reach_beside("https://no-such-name.invalid")).is_local_allowed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    leaves = [pki.Leaf("server", "server", hosts=("127.0.0.1", "localhost")), pki.Leaf("us", "us", client=True)]
    pki.keep_certificates(tmp_path, "test", leaves, datetime.now(UTC))
    return tmp_path


def access_to(folder: Path, host: str, port: int, **more: str) -> Access:
    text = {name: (folder / name).read_text() for name in ("ca.crt", "us.crt", "us.key")}
    return Access(host, port, **{"ca": text["ca.crt"], "certificate": text["us.crt"], "key": text["us.key"], **more})


class Server:
    """A TLS server that requires a client certificate."""

    def __init__(self, folder: Path) -> None:
        self.connections = 0
        self.request = b""
        self._folder = folder

    async def __aenter__(self) -> int:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._folder / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self._folder / "server.crt", self._folder / "server.key")
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()


async def test_an_allowed_server_gets_certificate_and_token(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    server = Server(folder)
    async with server as port:
        for host, name in (("127.0.0.1", ""), ("localhost", ""), ("127.0.0.1", "localhost")):
            access = access_to(folder, host, port, token="t0ken", server_name=name)
            async with open_guarded(access, Reach(is_local_allowed=True)) as client:
                assert await client.raw("GET", "/version") == b"{}"
                assert client.most_kept
            assert b"Authorization: Bearer t0ken" in server.request
        access = access_to(folder, "127.0.0.1", port, server_name="other")
        async with open_guarded(access, Reach(is_local_allowed=True)) as client:
            with pytest.raises(UnavailableError, match="certificate"):
                await client.raw("GET", "/version")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "::1", "::ffff:127.0.0.1"],
)
async def test_loopback_is_refused_in_every_notation(folder: Path, host: str) -> None:
    server = Server(folder)
    async with server as port:
        with pytest.raises(RefusedAccessError, match=r"clusters\[\].cluster.server"):
            async with open_guarded(access_to(folder, host, port), Reach()):
                pass
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "harbor.example"])
async def test_a_name_that_later_resolves_to_loopback_is_refused(folder: Path, host: str, monkeypatch: Any) -> None:
    answers = iter(["10.0.0.1", "127.0.0.1"])

    async def resolve(_host: str) -> list[str]:
        return [next(answers)]

    monkeypatch.setattr(names.TENANT_LOOKUP, "resolve", resolve)
    server = Server(folder)
    async with server as port, open_guarded(access_to(folder, host, port), Reach()) as client:
        with pytest.raises(RefusedAccessError, match=r"127\.0\.0\.1 is a loopback address"):
            await client.raw("GET", "/version")
    assert server.connections == 0


async def test_an_unresolvable_name_is_a_transient_error(folder: Path) -> None:
    with pytest.raises(UnavailableError, match="does not resolve"):
        async with open_guarded(access_to(folder, "no-such-name.invalid", 1), Reach()):
            pass


async def test_the_error_names_unusable_certificates_and_keys(folder: Path, monkeypatch: Any) -> None:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    monkeypatch.setattr("tempfile.tempdir", str(folder / "no such folder"))
    key = load_pem_private_key((folder / "us.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
    wrong = {"ca": [pem, "-----BEGIN X"], "key": [pem, locked, (folder / "server.key").read_text()]}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(
                RefusedAccessError, match="certificate-authority-data" if name == "ca" else "client-key"
            ):
                async with open_guarded(
                    access_to(folder, "127.0.0.1", 1, **{name: value}), Reach(is_local_allowed=True)
                ):
                    pass
