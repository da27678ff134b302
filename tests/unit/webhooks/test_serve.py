import asyncio
import datetime as dt
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from trustplane.errors import HostError
from trustplane.webhooks import serve, tls


def _write_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for `name` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content in ("tls.key", private), ("tls.crt", certificate.public_bytes(pem)):
        fresh = folder / f"{file}.new"
        fresh.write_bytes(content)
        fresh.replace(folder / file)
    return folder / "tls.crt", folder / "tls.key"


async def _name(port: int) -> str:
    """Return the subject of the certificate currently served."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    served = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    await writer.wait_closed()
    return str(served.subject.rfc4514_string())


async def _slow(request: Request) -> PlainTextResponse:
    request.app.state.arrived.set()
    await request.app.state.go.wait()
    return PlainTextResponse("answered")


@pytest.fixture
def app() -> Starlette:
    app = Starlette(routes=[Route("/", _slow)])
    app.state.arrived, app.state.go = asyncio.Event(), asyncio.Event()
    return app


async def test_requests_in_flight_are_answered_before_the_stop(app: Starlette, tmp_path: Path) -> None:
    certificate, key = _write_pair(tmp_path, "localhost")
    listener, stop = serve.open_listener("127.0.0.1", 0), asyncio.Event()
    port = listener.getsockname()[1]
    trusted = ssl.create_default_context(cafile=certificate)
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        group.create_task(serve.serve_application(app, listener, tls.server_context(certificate, key), stop))

        async def ask() -> str:
            async with session.get(f"https://localhost:{port}/", ssl=trusted) as response:
                return await response.text()

        response = group.create_task(ask())
        await app.state.arrived.wait()
        stop.set()
        app.state.go.set()
        assert await response == "answered"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_renewed_certificate_is_served_without_a_restart(app: Starlette, tmp_path: Path) -> None:
    pair = _write_pair(tmp_path, "first")
    listener, stop = serve.open_listener("127.0.0.1", 0), asyncio.Event()
    port = listener.getsockname()[1]
    async with asyncio.TaskGroup() as group:
        group.create_task(serve.serve_application(app, listener, tls.server_context(*pair), stop))
        assert await _name(port) == "CN=first"
        _write_pair(tmp_path, "second")
        assert await _name(port) == "CN=second"
        stop.set()


async def test_a_broken_pair_leaves_the_last_good_one_in_use(app: Starlette, tmp_path: Path) -> None:
    certificate, key = _write_pair(tmp_path, "good")
    listener, stop = serve.open_listener("127.0.0.1", 0), asyncio.Event()
    port = listener.getsockname()[1]
    async with asyncio.TaskGroup() as group:
        group.create_task(serve.serve_application(app, listener, tls.server_context(certificate, key), stop))
        certificate.write_text("half of a certif")
        assert await _name(port) == "CN=good"
        key.unlink()
        assert await _name(port) == "CN=good"
        stop.set()


def test_unloadable_initial_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"Cannot serve TLS .* No such file"):
        tls.server_context(tmp_path / "none.crt", tmp_path / "none.key")


def test_a_taken_port_is_named() -> None:
    with serve.open_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"Cannot listen on 127.0.0.1 port {port}"):
            serve.open_listener("127.0.0.1", port)
