"""Certificates, keys and handshakes that would cost seconds or minutes of CPU."""

import asyncio
import base64
import contextlib
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trustplane.kube import access, tls
from trustplane.kube.access import Access
from trustplane.kube.errors import RefusedAccessError, UnavailableError
from trustplane.kube.guarded import open_guarded
from trustplane.kube.reach import Reach
from trustplane_local import pki

SLOW = 1 << 30  # iterations: 9 minutes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    leaves = [pki.Leaf("server", "server", hosts=("127.0.0.1",)), pki.Leaf("us", "us", client=True)]
    pki.keep_certificates(folder, "test", leaves, datetime.now(UTC))
    return folder


def access_to(folder: Path, port: int = 1, **more: str) -> Access:
    text = {name: (folder / name).read_text() for name in ("ca.crt", "us.crt", "us.key")}
    return Access(
        "127.0.0.1", port, **{"ca": text["ca.crt"], "certificate": text["us.crt"], "key": text["us.key"], **more}
    )


def field(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def number(value: int) -> bytes:
    return field(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pem(label: str, data: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n"


def encrypted(label: str = "ENCRYPTED PRIVATE KEY") -> str:
    """Return a PKCS #8 key encrypted with an empty password and a huge number of PBKDF2 iterations."""
    pbes2, pbkdf2, aes = (
        bytes.fromhex(oid) for oid in ("2a864886f70d01050d", "2a864886f70d01050c", "60864801650304012a")
    )
    derive = field(0x30, field(6, pbkdf2), field(0x30, field(4, b"saltsalt"), number(SLOW)))
    scheme = field(0x30, field(6, aes), field(4, bytes(16)))
    algorithm = field(0x30, field(6, pbes2), field(0x30, derive, scheme))
    return pem(label, field(0x30, algorithm, field(4, bytes(64))))


LEGACY = pem("RSA PRIVATE KEY", bytes(48)).replace(
    "-\n", f"-\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{'00' * 16}\n\n", 1
)
PRIME = (1 << 30_000) - 1  # not prime, which nothing checks
HUGE = pem(
    "RSA PRIVATE KEY", field(0x30, *map(number, (0, PRIME * (PRIME - 2), 65537, PRIME, PRIME, PRIME - 2, 3, 3, 5)))
)


@pytest.mark.parametrize("name", ["key", "certificate", "ca"])
@pytest.mark.parametrize(
    "added",
    [encrypted(), encrypted("PRIVATE KEY"), LEGACY, HUGE],
    ids=["PKCS #8", "under another label", "legacy", "60,000 bits"],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_keys_that_cost_minutes_cost_nothing(folder: Path, name: str, added: str, *, is_first: bool) -> None:
    good = getattr(access_to(folder), name)
    for text in (added + good if is_first else good + added, added):
        began = time.process_time()
        with contextlib.suppress(RefusedAccessError):  # data after a good key is not read
            async with open_guarded(access_to(folder, **{name: text}), Reach(is_local_allowed=True)):
                pass
        assert time.process_time() - began < 2


def test_the_tls_library_asks_before_it_derives_a_key(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    began = time.process_time()
    for label in ("ENCRYPTED PRIVATE KEY", "PRIVATE KEY"):
        with (
            tls._file(((folder / "us.crt").read_text() + encrypted(label)).encode()) as name,
            pytest.raises((ssl.SSLError, ValueError)),
        ):
            context.load_cert_chain(name, password=tls._refuse_password)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["client-key-data", "client-certificate-data"])
def test_a_refused_encrypted_key_is_named_by_its_field(folder: Path, name: str) -> None:
    from tests.unit.kube.test_access import encoded, kubeconfig, refusal  # noqa: PLC0415

    data = {
        "client-certificate-data": encoded(access_to(folder).certificate),
        "client-key-data": encoded(access_to(folder).key),
    }
    assert f"users[].user.{name}" in str(refusal(kubeconfig(**data | {name: encoded(encrypted())})))
    access.check_unencrypted(access_to(folder).key, name)


def written(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def test_keys_of_other_kinds_and_sizes_are_refused(folder: Path) -> None:
    for text, why in (
        (HUGE, "60000 bits; the maximum is 4096"),
        (written(dsa.generate_private_key(2048)), "neither RSA"),
    ):
        with pytest.raises(RefusedAccessError, match=why):
            tls.build_context(access_to(folder, key=text))
    with pytest.raises(RefusedAccessError, match="do not match"):
        tls.build_context(access_to(folder, key=written(rsa.generate_private_key(65537, 2048))))
    with pytest.raises(RefusedAccessError, match="more than 64 certificates"):
        tls.build_context(access_to(folder, ca=access_to(folder).ca * 65))
    with pytest.raises(RefusedAccessError, match="more than 8 certificates"):
        tls.build_context(access_to(folder, certificate=access_to(folder).certificate * 9))


async def test_a_context_that_takes_long_is_a_transient_error(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tls, "_SECONDS", 0.01)
    monkeypatch.setattr(tls, "build_context", lambda _: time.sleep(0.5))
    with pytest.raises(UnavailableError, match="were not loaded"):
        async with open_guarded(access_to(folder), Reach(is_local_allowed=True)):
            pass


async def handshake(folder: Path, server: ssl.SSLContext) -> None:
    server.load_cert_chain(folder / "server.crt", folder / "server.key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        async with open_guarded(access_to(folder, port), Reach(is_local_allowed=True)) as client:
            assert await client.raw("GET", "/version") == b"{}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_tls_versions_work(folder: Path, version: ssl.TLSVersion) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = server.maximum_version = version
    await handshake(folder, server)


def test_finite_field_groups_are_never_offered(folder: Path) -> None:
    context = tls.build_context(access_to(folder))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="a.test").do_handshake()
    hello = outgoing.read()
    assert bytes.fromhex("000a 0004 0002 0017") in hello  # supported_groups: only secp256r1
    names = [cipher["name"] for cipher in context.get_ciphers()]
    assert not [name for name in names if "DHE" in name and "ECDHE" not in name]
