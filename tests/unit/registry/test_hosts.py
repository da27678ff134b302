"""Token services and blob hosts that a registry names, with real TLS servers on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from oracle import drafts
from oracle.encoding import dns, ip
from oracle.server import TLS, Reply, Request, answering

from laboratory.material import PKI
from trustplane.api.image_reference import ImageReference
from trustplane.registry.address import Address
from trustplane.registry.exchange import Response
from trustplane.registry.hosts import Challenge, TokenService, blob_host, challenge, manifest_status, token_service
from trustplane.registry.reach import Target, Unasked

DIGEST = f"sha256:{'0' * 64}"
IMAGE = ImageReference("localhost", "app", "1")


class Registry:
    """A registry with its token service, and the requests to both."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
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
        self.requests.append(request)
        if request.path == "/token":
            return Reply(body=self.token)
        if "/blobs/" in request.path:
            return Reply(307, {"Location": self.location})
        return Reply(body=json.dumps({"config": {"digest": self.digest}}).encode())

    def bearers(self) -> set[str]:
        return {request.headers.get("authorization", "") for request in self.requests}


@pytest.fixture
def registry() -> Registry:
    return Registry()


def challenge_of(realm: str) -> Challenge:
    parsed = challenge(Response(401, {"www-authenticate": f'Bearer realm="{realm}",service="r"'}, b""))
    assert parsed
    return parsed


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_token_service_on_the_site_is_contacted_with_the_query_of_its_url(
    registry: Registry, *, anywhere: bool
) -> None:
    with registry.serve() as address:
        tokens = token_service(address, challenge_of(f"https://{address}/token?account=a&b=c"), anywhere=anywhere)
        assert isinstance(tokens, TokenService)
        assert manifest_status(address, IMAGE, tokens) == 200
    assert registry.requests[0].query == "account=a&b=c&service=r&scope=repository%3Aapp%3Apull"
    assert registry.requests[1].headers["authorization"] == "Bearer everybody"


def test_a_token_service_elsewhere_is_not_contacted(registry: Registry) -> None:
    with registry.serve() as address, registry.serve() as other:
        elsewhere = challenge_of(f"https://127.0.0.1:{other.port}/token")
        skipped = token_service(address, elsewhere, anywhere=False)
        assert isinstance(skipped, Unasked)
        assert f"127.0.0.1:{other.port} was not contacted" in skipped.message
        assert "--follow-hosts" in skipped.message
        assert registry.requests == []
        assert isinstance(token_service(address, elsewhere, anywhere=True), TokenService)


@pytest.mark.parametrize("realm", ["http://localhost/token", "file:///etc/passwd", "token", "https://"])
def test_a_realm_without_https_is_not_contacted(realm: str) -> None:
    skipped = token_service(Address("localhost"), challenge_of(realm), anywhere=True)
    assert isinstance(skipped, Unasked)
    assert "not an HTTPS URL" in skipped.message
    assert token_service(Address("localhost"), challenge_of(""), anywhere=True) is None


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
def test_an_invalid_token_is_not_sent(registry: Registry, token: bytes) -> None:
    registry.token = token
    with registry.serve() as address:
        tokens = token_service(address, challenge_of(f"https://{address}/token"), anywhere=False)
        assert isinstance(tokens, TokenService)
        assert manifest_status(address, IMAGE, tokens) == 200
    assert registry.bearers() == {""}


def test_an_invalid_digest_does_not_become_a_path(registry: Registry) -> None:
    registry.digest = "../../admin?a="
    with registry.serve() as address:
        assert blob_host(address, IMAGE, None, anywhere=False) is None
    assert [request.path for request in registry.requests] == ["/v2/app/manifests/1"]


@pytest.mark.parametrize(
    ("location", "why"),
    [("https://127.0.0.1:1/blob", "not on the registry's site"), ("http://localhost/blob", "not an HTTPS URL")],
)
def test_a_blob_host_elsewhere_is_only_reported(registry: Registry, location: str, why: str) -> None:
    registry.location = location
    with registry.serve() as address:
        skipped = blob_host(address, IMAGE, None, anywhere=False)
    assert isinstance(skipped, Unasked)
    assert why in skipped.message


def test_a_blob_host_on_the_site_is_found(registry: Registry) -> None:
    registry.location = "https://localhost:1/blob"
    with registry.serve() as address:
        host = blob_host(address, IMAGE, None, anywhere=False)
        assert isinstance(host, Target)
        assert host.address == Address("localhost", 1)
        registry.location = "/v2/app/blobs/there"
        assert blob_host(address, IMAGE, None, anywhere=False) is None


@pytest.mark.parametrize(
    "name", ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "https://docker.io"]
)
def test_every_name_of_docker_hub_gives_the_server_that_containerd_dials(name: str) -> None:
    assert Address.read(name) == Address("registry-1.docker.io", 443)


def test_similar_names_are_not_docker_hub() -> None:
    assert Address.read("docker.io:5000") == Address("docker.io", 5000)
    assert Address.read("my-docker.io").host == "my-docker.io"
