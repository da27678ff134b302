"""Hosts of a registry, dialled from here: real TLS servers on loopback."""

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
    authority = PKI(first)
    authority.server = drafts.server(authority.server.key, authority.issuing, dns("localhost"))
    return authority


async def observe(
    address: str, image: str = "", *others: tuple[Role, str], follow: Follow = NOTHING
) -> hosts.RegistryObservation:
    observation = hosts.RegistryObservation()
    await hosts.observe_hosts(observation, [(Role.REGISTRY, address), *others], image, follow=follow)
    return observation


async def test_token_service_and_blob_store_are_dialled() -> None:
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
            observation = await observe(f"localhost:{port}", f"localhost:{port}/app:1")
    roles = {one.role: one.address for one in observation.hosts}
    assert roles == {
        Role.REGISTRY: f"localhost:{port}",
        Role.TOKEN_SERVICE: f"localhost:{token}",
        Role.BLOB_STORE: f"localhost:{blobs}",
    }
    assert (observation.challenge, observation.anonymous) == ("bearer", 200)


async def test_a_server_that_is_not_a_registry() -> None:
    registry = pki()
    with serving(registry.ders(), registry.key, {"/v2/": Reply(302, {"Location": "https://portal.example/"})}) as port:
        observation = await observe(f"localhost:{port}")
    assert [one.failure for one in observation.hosts] == ["not-a-registry"]
    assert observation.hosts[0].certificates == registry.ders()


async def test_an_invalid_address() -> None:
    observation = await observe("http://harbor.corp")
    assert observation.hosts == []
    assert not observation.reports[0].is_available


async def test_a_token_service_on_another_site_is_named_but_not_dialled() -> None:
    registry, requests = pki(), []

    def answer(request: Request) -> Reply:
        requests.append(request)
        return Reply(body=b'{"token": "everybody"}')

    with answering(("127.0.0.1", 0), TLS(pki(6).ders(), pki(6).key), answer) as token:
        realm = f'Bearer realm="https://127.0.0.1:{token}/token",service="r"'
        replies = {"/v2/": Reply(401, {"WWW-Authenticate": realm})}
        with serving(registry.ders(), registry.key, replies) as port:
            observation = await observe(f"localhost:{port}", f"localhost:{port}/app:1")
            assert requests == []
            assert [one.role for one in observation.hosts] == [Role.REGISTRY]
            [skipped] = [one for one in observation.reports if not one.is_available]
            assert f"127.0.0.1:{token} was not contacted" in skipped.text
            assert "--follow-hosts" in skipped.text

            followed = await observe(f"localhost:{port}", f"localhost:{port}/app:1", follow=Follow(hosts=True))
    assert Role.TOKEN_SERVICE in {one.role for one in followed.hosts}
    assert {one.path for one in requests} == {"/token"}


async def test_a_host_named_in_a_message_cannot_be_on_this_machine() -> None:
    inner = pki()
    with serving(inner.ders(), inner.key, {}) as port:
        for role in (Role.TOKEN_SERVICE, Role.BLOB_STORE, Role.MIRROR, Role.PROXY):
            observation = hosts.RegistryObservation()
            endpoint = (role, f"127.0.0.1:{port}")
            await hosts.observe_hosts(observation, [endpoint], "", registry="93.184.216.34", follow=Follow(hosts=True))
            assert observation.hosts == []
            assert "loopback" in observation.reports[0].text


async def test_an_issuer_is_fetched_only_on_request() -> None:
    authority, queries = PKI(0), []
    issuing = authority.issuing.der

    def answer(request: Request) -> Reply:
        queries.append(request.query)
        return Reply(body=issuing)

    with answering(("127.0.0.1", 0), None, answer) as port:
        authority.server = drafts.server(authority.server.key, authority.issuing, dns("localhost"))
        url = f"http://127.0.0.1:{port}/ca?form=der"
        authority.server.put(AIA, sequence(sequence(oid("1.3.6.1.5.5.7.48.2"), uri(url))))
        with serving([authority.server.der], authority.server.key, {"/v2/": Reply(200)}) as at:
            observation = await observe(f"localhost:{at}")
            assert (queries, observation.issuers) == ([], [])
            assert any("--follow-aia" in one.text and f"127.0.0.1:{port}/ca" in one.text for one in observation.reports)
            followed = await observe(f"localhost:{at}", follow=Follow(issuers=True))
    assert (queries, followed.issuers) == (["form=der"], [issuing])
