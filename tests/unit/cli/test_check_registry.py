"""`trustplane check --registry` and `trustplane fetch-ca` against real HTTPS servers on loopback."""

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from oracle import drafts
from oracle.drafts import AIA, Draft
from oracle.encoding import dns, ip, oid, sequence, time, uri
from oracle.keyring import Key, Keyring
from oracle.pem import data, pem
from oracle.server import TLS, Reply, Request, answering, serving

from trustplane.certificates.parsing import parse
from trustplane.cli import fetch_ca
from trustplane.cli.check import command as check
from trustplane.cli.check.entries import ListedEntry
from trustplane.errors import TrustplaneError
from trustplane.registry.address import Address
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import get

KEYS = Keyring()
AT = ("--at", "2026-11-23T12:00:00Z")
DIGEST = "sha256:" + "0" * 64
API = {"/v2/": Reply(200)}


class PKI:
    """Root, intermediate and server of one owner."""

    def __init__(self, first: int = 0) -> None:
        keys = KEYS.usual
        self.root = drafts.ca(f"Root {first}", keys[first])
        self.issuing = drafts.ca(f"Issuing {first}", keys[first + 1], self.root)
        self.server = drafts.server(keys[first + 2], self.issuing, dns("localhost"), ip("127.0.0.1"))

    @property
    def key(self) -> Any:
        return self.server.key

    def chain(self, *members: Draft) -> list[bytes]:
        return [member.der for member in members or (self.server, self.issuing)]


@pytest.fixture
def pki() -> PKI:
    return PKI()


def ask(folder: Path, trusted: bytes, port: int, *options: str) -> tuple[int, list[dict[str, Any]]]:
    file = folder / "ca.pem"
    file.write_text(pem(trusted))
    arguments = [*AT, "-o", "json", "--registry", f"localhost:{port}", *options, str(file)]
    result = CliRunner().invoke(check.command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.output)["hosts"]


def test_trusted_registry(pki: PKI, tmp_path: Path) -> None:
    root = pki.root.der
    with serving(pki.chain(), pki.key, API) as port:
        code, hosts = ask(tmp_path, root, port)
    assert code == 0
    assert [(host["role"], host["trusted"], host["cause"]) for host in hosts] == [("registry", True, "")]
    assert hosts[0]["chain"][-1]["subject"] == "CN=Root 0,O=Lab"
    assert hosts[0]["anchors"] == [hosts[0]["chain"][-1]["sha256"]]
    assert hosts[0]["tls"] == "TLSv1.3"


@pytest.mark.parametrize(("host", "code"), [("localhost:{port}", 0), ("localhost", 1), ("apps.corp.test:70000", 1)])
def test_an_entry_scoped_to_another_registry_is_not_an_anchor(pki: PKI, tmp_path: Path, host: str, code: int) -> None:
    file = tmp_path / "service.yaml"
    with serving(pki.chain(), pki.key, API) as port:
        body = {
            "kind": "TkgServiceConfiguration",
            "metadata": {"annotations": {"trustplane.dev/registry-scope": f"corp={host.format(port=port)}"}},
            "spec": {"trust": {"additionalTrustedCAs": [{"name": "corp", "data": data(pki.root.der)}]}},
        }
        file.write_text(json.dumps(body))
        result = CliRunner().invoke(check.command, [*AT, "--registry", f"localhost:{port}", str(file)])
    assert result.exit_code == code, result.output


def test_table_names_the_anchor(pki: PKI, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(pem(pki.root.der))
    with serving(pki.chain(), pki.key, API) as port:
        arguments = [*AT, "--registry", f"127.0.0.1:{port}", str(tmp_path / "ca.pem")]
        result = CliRunner().invoke(check.command, arguments)
    assert "nodes with this list accept it" in result.output
    assert "anchor: CN=Root 0,O=Lab (SHA-256 " in result.output


def test_untrusted_registry(pki: PKI, tmp_path: Path) -> None:
    with serving(pki.chain(), pki.key, API) as port:
        code, hosts = ask(tmp_path, PKI(6).root.der, port)
    assert code == 1
    assert hosts[0]["cause"] == "issuer-not-trusted"
    assert "CN=Root 0,O=Lab" in hosts[0]["stopped"]


def test_sarif_has_refused_hosts(pki: PKI, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(pem(PKI(6).root.der))
    with serving(pki.chain(), pki.key, API) as port:
        arguments = [*AT, "-o", "sarif", "--registry", f"localhost:{port}", str(tmp_path / "ca.pem")]
        result = CliRunner().invoke(check.command, arguments)
    [entry] = json.loads(result.output)["runs"][0]["results"]
    assert (entry["ruleId"], entry["level"]) == ("issuer-not-trusted", "error")
    assert f"registry localhost:{port}" in entry["message"]["text"]


def test_expired_server(pki: PKI, tmp_path: Path) -> None:
    pki.server.not_after = time("260101000000Z")
    with serving(pki.chain(), pki.key, API) as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["cause"]) == (1, "certificate-expired")


def test_missing_intermediate_is_identified_by_its_published_certificate(pki: PKI, tmp_path: Path) -> None:
    issuing = pki.issuing.der
    with published(issuing) as url:
        pki.server.put(AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), uri(url))))
        with serving(pki.chain(pki.server), pki.key, API) as port:
            _, without = ask(tmp_path, pki.root.der, port)
            code, hosts = ask(tmp_path, pki.root.der, port, "--follow-aia")
    assert without[0]["missing"] is None
    assert (code, hosts[0]["cause"], hosts[0]["alsoPossible"]) == (1, "missing-intermediate", ["issuer-not-trusted"])
    assert hosts[0]["missing"]["subject"] == "CN=Issuing 0,O=Lab"


@contextlib.contextmanager
def published(content: bytes) -> Iterator[str]:
    """Publish a certificate over plain HTTP."""
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    with plain_server(answer) as port:
        yield f"http://127.0.0.1:{port}/issuing.crt"


@contextlib.contextmanager
def plain_server(answer: bytes) -> Iterator[int]:
    """Answer every connection without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(4096)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_token_service_and_blob_host_are_checked(pki: PKI, tmp_path: Path) -> None:
    elsewhere = PKI(6)
    token = {"/token": Reply(body=b'{"token": "everybody"}')}
    blob_url = f"/v2/app/blobs/{DIGEST}"
    manifest = json.dumps({"config": {"digest": DIGEST}}).encode()
    with (
        serving(elsewhere.chain(), elsewhere.key, token) as token_port,
        serving(elsewhere.chain(), elsewhere.key, {}) as blob_port,
    ):
        realm = f'Bearer realm="https://localhost:{token_port}/token",service="registry"'
        replies = {
            "/v2/": Reply(401, {"WWW-Authenticate": realm}),
            "/v2/app/manifests/1": Reply(body=manifest),
            blob_url: Reply(307, {"Location": f"https://localhost:{blob_port}/blob"}),
        }
        with serving(pki.chain(), pki.key, replies) as port:
            code, hosts = ask(tmp_path, pki.root.der, port, "--image", "app:1")
    assert code == 1
    assert [(host["role"], host["cause"]) for host in hosts] == [
        ("registry", ""),
        ("token service", "token-service-untrusted"),
        ("blob host", "blob-host-untrusted"),
    ]
    assert hosts[1]["address"] == f"localhost:{token_port}"


def test_hosts_on_other_sites_are_contacted_only_on_request(pki: PKI, tmp_path: Path) -> None:
    elsewhere = PKI(6)
    with serving(elsewhere.chain(), elsewhere.key, {}) as other:
        realm = f'Bearer realm="https://127.0.0.1:{other}/token",service="registry"'
        with serving(pki.chain(), pki.key, {"/v2/": Reply(401, {"WWW-Authenticate": realm})}) as port:
            code, hosts = ask(tmp_path, pki.root.der, port)
            followed, followed_hosts = ask(tmp_path, pki.root.der, port, "--follow-hosts")
    assert (code, [(host["role"], host["cause"]) for host in hosts]) == (
        2,
        [("registry", ""), ("token service", "not-asked")],
    )
    assert f"localhost:{port} names it: 127.0.0.1:{other} was not contacted" in hosts[1]["message"]
    assert "--follow-hosts" in hosts[1]["message"]
    assert (followed, followed_hosts[1]["cause"]) == (1, "token-service-untrusted")


@pytest.mark.parametrize("scope", ["docker.io", "registry-1.docker.io", "index.docker.io:443"])
def test_docker_hub_has_one_name_in_scopes(scope: str) -> None:
    entry = ListedEntry(where="", name="a", parsed=parse(""), hosts=(scope,))
    assert check._applies_to(entry, Address.read("docker.io"))
    assert not check._applies_to(entry, Address.read("quay.io"))


def test_portal_is_not_a_registry(pki: PKI, tmp_path: Path) -> None:
    with serving(pki.chain(), pki.key, {"/v2/": Reply(302, {"Location": "https://portal.example/"})}) as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["trusted"], hosts[0]["cause"]) == (2, True, "not-a-registry")


def test_old_tls(pki: PKI, tmp_path: Path) -> None:
    with (
        pytest.warns(DeprecationWarning, match="TLS"),
        serving(pki.chain(), pki.key, API, newest=ssl.TLSVersion.TLSv1_1) as port,
    ):
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["cause"]) == (2, "tls-version")


def test_a_server_that_wants_a_client_certificate_under_tls_1_2(pki: PKI, tmp_path: Path) -> None:
    tls = TLS(pki.chain(), pki.key, ssl.TLSVersion.TLSv1_2, wants_client=True)
    with answering(("127.0.0.1", 0), tls, lambda _: Reply(200)) as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["cause"]) == (2, "client-certificate-required")
    assert "tls: handshake failure" in hosts[0]["message"]


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.BrainpoolP256R1(), ec.SECP256K1()])
def test_a_key_on_a_curve_that_nodes_do_not_offer(pki: PKI, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = Key(curve.name, spki, (), private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    served = drafts.server(key, pki.issuing, dns("localhost"))
    with serving([served.der], key, API) as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    # From OpenSSL 3.2 on, the handshake with Brainpool succeeds in TLS 1.3: then the certificate itself decides.
    is_shown = ssl.OPENSSL_VERSION_INFO >= (3, 2) and isinstance(curve, ec.BrainpoolP256R1)
    assert (code, hosts[0]["cause"]) == (1 if is_shown else 2, "weak-certificate")
    assert is_shown or "P-256" in hosts[0]["message"]


def test_a_server_that_is_silent_after_the_handshake(pki: PKI) -> None:
    finished = threading.Event()

    def silent(_: Request) -> Reply:
        finished.wait(10)
        return Reply(200)

    with answering(("127.0.0.1", 0), TLS(pki.chain(), pki.key), silent) as port:
        answer = get(Address("localhost", port), "/v2/", timeout=0.5)
        finished.set()
    assert isinstance(answer, Failure)
    assert answer.cause == "connection-timeout"


def test_the_page_of_a_portal_is_no_registry(pki: PKI, tmp_path: Path) -> None:
    page = {"/v2/": Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Sign in</html>")}
    with serving(pki.chain(), pki.key, page) as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["trusted"], hosts[0]["cause"]) == (2, True, "not-a-registry")
    assert "web page" in hosts[0]["message"]


def test_plain_http(pki: PKI, tmp_path: Path) -> None:
    with plain_server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as port:
        code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["cause"]) == (2, "plain-http")


def test_refused_connection(pki: PKI, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code, hosts = ask(tmp_path, pki.root.der, port)
    assert (code, hosts[0]["cause"]) == (2, "connection-refused")


def fetch(port: int, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(fetch_ca.command, [f"localhost:{port}", *options])
    if isinstance(result.exception, TrustplaneError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def test_fetch_ca_proposes_the_served_root(pki: PKI) -> None:
    root = pki.root.der
    with serving([*pki.chain(), root], pki.key, {}) as port:
        code, output = fetch(port)
        _, document = fetch(port, "-o", "json")
    proposal = json.loads(document)["proposal"]
    assert code == 0
    assert f"- name: root-0\n  data: {data(root)}\n" in output
    assert "Compare these digits" in output
    assert proposal["sha256"].upper()[:4] in output
    assert base64.b64decode(proposal["data"]).decode() == pem(root)


def test_fetch_ca_proposes_the_highest_served_ca(pki: PKI) -> None:
    with serving(pki.chain(), pki.key, {}) as port:
        code, output = fetch(port)
    assert code == 0
    assert "- name: issuing-0" in output


def test_fetch_ca_without_a_ca(pki: PKI) -> None:
    with serving(pki.chain(pki.server), pki.key, {}) as port:
        code, output = fetch(port)
    assert code == 2
    assert "CN=Issuing 0,O=Lab is not served" in output


def test_fetch_ca_fetches_issuers_on_request(pki: PKI) -> None:
    with published(pki.issuing.der) as url:
        pki.server.put(AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), uri(url))))
        with serving(pki.chain(pki.server), pki.key, {}) as port:
            code, output = fetch(port, "--follow-aia")
    assert code == 0
    assert "- name: issuing-0" in output


def test_fetch_ca_reports_an_insufficient_entry(pki: PKI) -> None:
    pki.server.not_after = time("260101000000Z")
    with serving(pki.chain(), pki.key, {}) as port:
        code, output = fetch(port)
    assert code == 1
    assert "This entry is not enough" in output


def test_fetch_ca_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code, message = fetch(port)
    assert code == 2
    assert "connection-refused" in message
