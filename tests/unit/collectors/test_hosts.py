"""Hosts of a registry, seen from here: real TLS servers on loopback."""

import json

from laboratory.material import PKI
from oracle import drafts
from oracle.encoding import dns
from oracle.server import Reply, serving
from trustplane.collectors import hosts
from trustplane.diagnosis.layer import Role

DIGEST = f"sha256:{'0' * 64}"


def pki(first: int = 0) -> PKI:
    made = PKI(first)
    made.server = drafts.server(made.server.key, made.issuing, dns("localhost"))
    return made


async def look_at(address: str, image: str = "") -> hosts.Seen:
    seen = hosts.Seen()
    await hosts.look_at(seen, [(Role.REGISTRY, address)], image)
    return seen


async def test_token_service_and_blob_store_are_dialled_too() -> None:
    registry, other = pki(), pki(6)
    with (
        serving(other.ders(), other.key, {"/token": Reply(body=b'{"token": "everybody"}')}) as token,
        serving(other.ders(), other.key, {}) as blobs,
    ):
        replies = {
            "/v2/": Reply(401, {"WWW-Authenticate": f'Bearer realm="https://localhost:{token}/token",service="r"'}),
            "/v2/app/manifests/1": Reply(body=json.dumps({"config": {"digest": DIGEST}}).encode()),
            f"/v2/app/blobs/{DIGEST}": Reply(307, {"Location": f"https://localhost:{blobs}/blob"}),
        }
        with serving(registry.ders(), registry.key, replies) as port:
            seen = await look_at(f"localhost:{port}", f"localhost:{port}/app:1")
    roles = {one.role: one.address for one in seen.hosts}
    assert roles == {
        Role.REGISTRY: f"localhost:{port}",
        Role.TOKEN_SERVICE: f"localhost:{token}",
        Role.BLOB_STORE: f"localhost:{blobs}",
    }
    assert (seen.challenge, seen.anonymous) == ("bearer", 200)


async def test_what_is_no_registry() -> None:
    registry = pki()
    with serving(registry.ders(), registry.key, {"/v2/": Reply(302, {"Location": "https://portal.example/"})}) as port:
        seen = await look_at(f"localhost:{port}")
    assert [one.failure for one in seen.hosts] == ["not-a-registry"]
    assert seen.hosts[0].certificates == registry.ders()


async def test_what_is_no_address() -> None:
    seen = await look_at("http://harbor.corp")
    assert seen.hosts == []
    assert not seen.looks[0].seen
