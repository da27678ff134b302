import base64
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gox509 import GoCertificate
from laboratory.live.server import talking
from trustplane.api.configuration import TrustedCA
from trustplane.controllers.registries.chain import dial_registry
from trustplane.trust.entries import EMPTY_SET, TrustSet, parse_list
from trustplane_local import pki

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.keep_certificates(folder, "corp-root", [pki.Leaf("tls", "registry", hosts=("127.0.0.1",))], NOW)
    return folder


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[str]:
    """Serve a certificate of a private CA: complete the handshake, then close."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with talking("127.0.0.1", lambda plain: _shake_hands(plain, context)) as port:
        yield f"127.0.0.1:{port}"


def _shake_hands(plain: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(plain, server_side=True) as tls:
        tls.recv(1)


def _trust(folder: Path) -> TrustSet:
    data = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    return parse_list([TrustedCA(name="corp", data=data)]).trust


def test_the_chain_and_the_entry_that_anchors_it(host: str, folder: Path) -> None:
    trust = _trust(folder)
    result = dial_registry(host, trust, NOW)
    assert not result.failure
    assert result.chain[0].subject == "CN=registry"
    assert result.chain[0].issuer == "CN=corp-root"
    assert result.anchor is not None
    assert (result.anchor.name, result.anchor.fingerprint) == ("corp", trust.entries[0].fingerprints[0])


def test_an_entry_counts_for_its_registries_only(host: str, folder: Path) -> None:
    assert dial_registry(host, _trust(folder).with_scopes({"corp": [host]}), NOW).anchor is not None
    assert dial_registry(host, _trust(folder).with_scopes({"corp": ["other.test"]}), NOW).anchor is None


def test_without_the_ca_there_is_no_anchor(host: str) -> None:
    assert dial_registry(host, EMPTY_SET, NOW).anchor is None


def test_a_host_that_does_not_answer_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert dial_registry(f"127.0.0.1:{port}", EMPTY_SET, NOW).failure


def test_chain_and_anchor_can_be_verified_later(host: str, folder: Path) -> None:
    result = dial_registry(host, _trust(folder), NOW)
    served = GoCertificate.read(base64.b64decode(result.chain[0].data))
    assert served.fingerprint == result.chain[0].fingerprint
    assert result.anchor is not None
    assert result.anchor.not_after == _trust(folder).entries[0].certificates[0].expires


def test_the_servers_own_certificate_is_the_anchor_only_without_its_ca(host: str, folder: Path) -> None:
    leaf = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).public_bytes(Encoding.PEM)
    listed = [TrustedCA(name="server", data=base64.b64encode(leaf).decode())]
    result = dial_registry(host, parse_list(listed).trust, NOW)
    assert result.anchor is not None
    assert (result.anchor.name, result.anchor.fingerprint) == ("server", result.chain[0].fingerprint)
    corp = TrustedCA(name="corp", data=base64.b64encode((folder / "ca.crt").read_bytes()).decode())
    both = dial_registry(host, parse_list([*listed, corp]).trust, NOW)
    assert both.anchor is not None
    assert both.anchor.name == "corp"


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io"])
def test_docker_hub_is_dialled_at_its_servers_address(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    dialled: list[str] = []

    def nobody(name: str, *_: object, **__: object) -> list[object]:
        dialled.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    assert dial_registry(host, EMPTY_SET, NOW).failure
    assert dialled == ["registry-1.docker.io"]
