"""What a registry names, and what is made of it: real TLS servers on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from laboratory.material import PKI
from oracle import drafts
from oracle.encoding import dns, ip
from oracle.server import TLS, Reply, Request, answering
from trustplane.registry.address import Address
from trustplane.registry.exchange import Response
from trustplane.registry.hosts import (
    Challenge,
    Image,
    TokenService,
    blob_host,
    challenge,
    manifest_status,
    token_service,
)
from trustplane.registry.reach import Target, Unasked

DIGEST = f"sha256:{'0' * 64}"
IMAGE = Image("app", "1")


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("team/app", Image("team/app", "latest")),
        ("team/app:1.0", Image("team/app", "1.0")),
        (f"team/app@{DIGEST}", Image("team/app", DIGEST)),
        (f"team/app:1.0@{DIGEST}", Image("team/app", DIGEST)),
        ("app", Image("app", "latest")),
    ],
)
def test_an_image_is_read_as_the_kubelet_does(text: str, image: Image) -> None:
    assert Image.read(text) == image


class Registry:
    """A registry and its token service, and what both were asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.token = b'{"token": "everybody"}'
        self.location = ""
        self.digest = DIGEST
        self.pki = PKI(0)
        self.pki.server = drafts.server(self.pki.server.key, self.pki.issuing, dns("localhost"), ip("127.0.0.1"))

    @contextmanager
    def serve(self) -> Iterator[Address]:
        with answering(("127.0.0.1", 0), TLS(self.pki.ders(), self.pki.key), self._answer) as port:
            yield Address("localhost", port)

    def _answer(self, request: Request) -> Reply:
        self.asked.append(request)
        if request.path == "/token":
            return Reply(body=self.token)
        if "/blobs/" in request.path:
            return Reply(307, {"Location": self.location})
        return Reply(body=json.dumps({"config": {"digest": self.digest}}).encode())

    def bearers(self) -> set[str]:
        return {one.headers.get("authorization", "") for one in self.asked}


@pytest.fixture
def registry() -> Registry:
    return Registry()


def named(realm: str) -> Challenge:
    found = challenge(Response(401, {"www-authenticate": f'Bearer realm="{realm}",service="r"'}, b""))
    assert found
    return found


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_token_service_of_the_site_is_asked_with_the_query_of_its_url(registry: Registry, *, anywhere: bool) -> None:
    with registry.serve() as address:
        tokens = token_service(address, named(f"https://{address}/token?account=a&b=c"), anywhere=anywhere)
        assert isinstance(tokens, TokenService)
        assert manifest_status(address, IMAGE, tokens) == 200
    assert registry.asked[0].query == "account=a&b=c&service=r&scope=repository%3Aapp%3Apull"
    assert registry.asked[1].headers["authorization"] == "Bearer everybody"


def test_a_token_service_elsewhere_gets_nothing_and_gives_nothing(registry: Registry) -> None:
    with registry.serve() as address, registry.serve() as other:
        asked = named(f"https://127.0.0.1:{other.port}/token")
        found = token_service(address, asked, anywhere=False)
        assert isinstance(found, Unasked)
        assert f"127.0.0.1:{other.port} was not asked" in found.message
        assert "--follow-hosts" in found.message
        assert registry.asked == []
        assert isinstance(token_service(address, asked, anywhere=True), TokenService)


@pytest.mark.parametrize("realm", ["http://localhost/token", "file:///etc/passwd", "token", "https://"])
def test_a_realm_that_is_no_https_is_not_asked(realm: str) -> None:
    found = token_service(Address("localhost"), named(realm), anywhere=True)
    assert isinstance(found, Unasked)
    assert "no URL with https" in found.message
    assert token_service(Address("localhost"), named(""), anywhere=True) is None


@pytest.mark.parametrize(
    "token",
    [
        b'{"token": "a\\r\\nx-more: b"}',
        b'{"token": ""}',
        b'{"token": {}}',
        b'{"token": "' + b"a" * 100_000 + b'"}',
        b'{"a":' * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_token_is_passed_to_nobody(registry: Registry, token: bytes) -> None:
    registry.token = token
    with registry.serve() as address:
        tokens = token_service(address, named(f"https://{address}/token"), anywhere=False)
        assert isinstance(tokens, TokenService)
        assert manifest_status(address, IMAGE, tokens) == 200
    assert registry.bearers() == {""}


def test_a_digest_that_is_none_becomes_no_path(registry: Registry) -> None:
    registry.digest = "../../admin?a="
    with registry.serve() as address:
        assert blob_host(address, IMAGE, None, anywhere=False) is None
    assert [one.path for one in registry.asked] == ["/v2/app/manifests/1"]


@pytest.mark.parametrize(
    ("location", "why"),
    [("https://127.0.0.1:1/blob", "another site"), ("http://localhost/blob", "no URL with https")],
)
def test_a_blob_host_elsewhere_is_named_only(registry: Registry, location: str, why: str) -> None:
    registry.location = location
    with registry.serve() as address:
        found = blob_host(address, IMAGE, None, anywhere=False)
    assert isinstance(found, Unasked)
    assert why in found.message


def test_a_blob_host_of_the_site_is_found(registry: Registry) -> None:
    registry.location = "https://localhost:1/blob"
    with registry.serve() as address:
        found = blob_host(address, IMAGE, None, anywhere=False)
        assert isinstance(found, Target)
        assert found.address == Address("localhost", 1)
        registry.location = "/v2/app/blobs/there"
        assert blob_host(address, IMAGE, None, anywhere=False) is None


@pytest.mark.parametrize(
    "name", ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "https://docker.io"]
)
def test_docker_hub_is_dialled_where_containerd_does(name: str) -> None:
    assert Address.read(name) == Address("registry-1.docker.io", 443)


def test_names_beside_docker_hubs_are_themselves() -> None:
    assert Address.read("docker.io:5000") == Address("docker.io", 5000)
    assert Address.read("my-docker.io").host == "my-docker.io"
