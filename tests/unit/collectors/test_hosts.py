"""Hosts of a registry, seen from here: real TLS servers on loopback."""

import json

from laboratory.material import PKI
from oracle import drafts
from oracle.drafts import AIA
from oracle.encoding import dns, oid, sequence, uri
from oracle.server import TLS, Reply, Request, answering, serving
from trustplane.collectors import hosts
from trustplane.diagnosis.layer import Role
from trustplane.registry.inspection import NOTHING, Follow

DIGEST = f"sha256:{'0' * 64}"


def pki(first: int = 0) -> PKI:
    made = PKI(first)
    made.server = drafts.server(made.server.key, made.issuing, dns("localhost"))
    return made


async def look_at(address: str, image: str = "", *others: tuple[Role, str], follow: Follow = NOTHING) -> hosts.Seen:
    seen = hosts.Seen()
    await hosts.look_at(seen, [(Role.REGISTRY, address), *others], image, follow=follow)
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


async def test_a_token_service_on_another_site_is_named_and_not_asked() -> None:
    registry, asked = pki(), []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Reply(body=b'{"token": "everybody"}')

    with answering(("127.0.0.1", 0), TLS(pki(6).ders(), pki(6).key), answer) as token:
        realm = f'Bearer realm="https://127.0.0.1:{token}/token",service="r"'
        replies = {"/v2/": Reply(401, {"WWW-Authenticate": realm})}
        with serving(registry.ders(), registry.key, replies) as port:
            seen = await look_at(f"localhost:{port}", f"localhost:{port}/app:1")
            assert asked == []
            assert [one.role for one in seen.hosts] == [Role.REGISTRY]
            [said] = [one for one in seen.looks if not one.seen]
            assert f"127.0.0.1:{token} was not asked" in said.words
            assert "--follow-hosts" in said.words

            followed = await look_at(f"localhost:{port}", f"localhost:{port}/app:1", follow=Follow(hosts=True))
    assert Role.TOKEN_SERVICE in {one.role for one in followed.hosts}
    assert {one.path for one in asked} == {"/token"}


async def test_a_host_that_a_message_names_is_no_way_into_this_machine() -> None:
    inner = pki()
    with serving(inner.ders(), inner.key, {}) as port:
        for role in (Role.TOKEN_SERVICE, Role.BLOB_STORE, Role.MIRROR, Role.PROXY):
            seen = hosts.Seen()
            endpoint = (role, f"127.0.0.1:{port}")
            await hosts.look_at(seen, [endpoint], "", registry="93.184.216.34", follow=Follow(hosts=True))
            assert seen.hosts == []
            assert "loopback" in seen.looks[0].words


async def test_an_issuer_is_fetched_only_where_it_is_wanted() -> None:
    made, asked = PKI(0), []
    issuing = made.issuing.der

    def answer(request: Request) -> Reply:
        asked.append(request.query)
        return Reply(body=issuing)

    with answering(("127.0.0.1", 0), None, answer) as port:
        made.server = drafts.server(made.server.key, made.issuing, dns("localhost"))
        url = f"http://127.0.0.1:{port}/ca?form=der"
        made.server.put(AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), uri(url))))
        with serving([made.server.der], made.server.key, {"/v2/": Reply(200)}) as at:
            seen = await look_at(f"localhost:{at}")
            assert (asked, seen.issuers) == ([], [])
            assert any("--follow-aia" in one.words and f"127.0.0.1:{port}/ca" in one.words for one in seen.looks)
            followed = await look_at(f"localhost:{at}", follow=Follow(issuers=True))
    assert (asked, followed.issuers) == (["form=der"], [issuing])
