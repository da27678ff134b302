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
from trustplane.trust.entries import EMPTY, TrustSet, read
from trustplane_local import pki

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.keep_certificates(folder, "corp-root", [pki.Leaf("tls", "registry", hosts=("127.0.0.1",))], NOW)
    return folder


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[str]:
    """A server with a certificate of a private CA; it shakes hands and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with talking("127.0.0.1", lambda plain: _shake_hands(plain, context)) as port:
        yield f"127.0.0.1:{port}"


def _shake_hands(plain: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(plain, server_side=True) as tls:
        tls.recv(1)


def _trust(folder: Path) -> TrustSet:
    data = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    return read([TrustedCA(name="corp", data=data)]).trust


def test_the_chain_and_the_entry_that_anchors_it(host: str, folder: Path) -> None:
    trust = _trust(folder)
    found = dial_registry(host, trust, NOW)
    assert not found.failure
    assert found.chain[0].subject == "CN=registry"
    assert found.chain[0].issuer == "CN=corp-root"
    assert found.anchor is not None
    assert (found.anchor.name, found.anchor.fingerprint) == ("corp", trust.entries[0].fingerprints[0])


def test_an_entry_counts_for_its_registries_only(host: str, folder: Path) -> None:
    assert dial_registry(host, _trust(folder).scoped({"corp": [host]}), NOW).anchor is not None
    assert dial_registry(host, _trust(folder).scoped({"corp": ["other.test"]}), NOW).anchor is None


def test_without_the_ca_there_is_no_anchor(host: str) -> None:
    assert dial_registry(host, EMPTY, NOW).anchor is None


def test_a_host_that_does_not_answer_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert dial_registry(f"127.0.0.1:{port}", EMPTY, NOW).failure


def test_the_chain_and_the_anchor_are_kept_for_later_looks(host: str, folder: Path) -> None:
    found = dial_registry(host, _trust(folder), NOW)
    served = GoCertificate.read(base64.b64decode(found.chain[0].data))
    assert served.fingerprint == found.chain[0].fingerprint
    assert found.anchor is not None
    assert found.anchor.not_after == _trust(folder).entries[0].certificates[0].expires


def test_the_server_s_own_certificate_is_the_anchor_only_where_its_ca_is_absent(host: str, folder: Path) -> None:
    leaf = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).public_bytes(Encoding.PEM)
    listed = [TrustedCA(name="server", data=base64.b64encode(leaf).decode())]
    found = dial_registry(host, read(listed).trust, NOW)
    assert found.anchor is not None
    assert (found.anchor.name, found.anchor.fingerprint) == ("server", found.chain[0].fingerprint)
    corp = TrustedCA(name="corp", data=base64.b64encode((folder / "ca.crt").read_bytes()).decode())
    both = dial_registry(host, read([*listed, corp]).trust, NOW)
    assert both.anchor is not None
    assert both.anchor.name == "corp"


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io"])
def test_docker_hub_is_dialled_where_its_server_is(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    dialled: list[str] = []

    def nobody(name: str, *_: object, **__: object) -> list[object]:
        dialled.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    assert dial_registry(host, EMPTY, NOW).failure
    assert dialled == ["registry-1.docker.io"]
