"""Scenarios of refusals: the credentials of the pod, and the peculiarities of registries."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from oracle.server import Answer, Reply

from laboratory.live.answers import DENIED, PASSWORD, USER, always, basic, bearer, error, image, public, tokens
from laboratory.live.scenario import Json, Live, Site, owner, root, trusted, whole

_TYPE = "kubernetes.io/dockerconfigjson"
_MISSING, _MALFORMED = "auth-missing", "pull-secret-malformed"
_POLICY = (  # Harbor 2.x, src/server/middleware/vulnerable
    "current image with 3 vulnerabilities cannot be pulled due to configured policy in 'Prevent images with "
    'vulnerability severity of "High" or higher from running.\' To continue with pull, please contact your project '
    "administrator"
)
_ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def login(*hosts: str, user: str = USER, password: str = PASSWORD) -> Json:
    """Return the content of a pull secret."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"auths": {host: {"auth": auth} for host in hosts}}


def secret(name: str, content: Json, kind: str = _TYPE, namespace: str = "") -> Json:
    """Return a Secret with a config.json."""
    encoded = base64.b64encode(json.dumps(content).encode()).decode()
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": kind,
        "data": {".dockerconfigjson": encoded},
    }


def _with_login(site: Site, name: str, truth: str, host: str, answer: Answer, **login_of: str) -> Live:
    """Give the pod a login for the registry."""
    live = trusted(site, name, truth, host, answer)
    content = login(live.address, **login_of)
    return _shown(live, secret(live.slug, content))


def _shown(live: Live, *secrets: Json, names: tuple[str, ...] = ()) -> Live:
    names = names or tuple(one["metadata"]["name"] for one in secrets)
    return replace(live, secrets=secrets, pull_secrets=names)


def logins(site: Site) -> Iterator[Live]:
    """The pod has no login, an invalid one, or one for another registry."""
    wanted = basic(image("private"))
    yield trusted(site, "no pull secret", _MISSING, "nosecret.lab.test", wanted)
    live = trusted(site, "pull secret does not exist", _MISSING, "gone.lab.test", wanted)
    yield _shown(live, names=(live.slug,))
    live = trusted(site, "pull secret in another namespace", _MISSING, "astray.lab.test", wanted)
    yield _shown(live, secret(live.slug, login(live.address), namespace="default"))
    live = trusted(site, "login for another host", _MISSING, "otherhost.lab.test", wanted)
    yield _shown(live, secret(live.slug, login("harbor.lab.test")))
    live = trusted(site, "login for another port", _MISSING, "otherport.lab.test", wanted)
    yield _shown(live, secret(live.slug, login("otherport.lab.test:5")))
    live = trusted(site, "pod older than its account's secret", _MISSING, "account.lab.test", wanted)
    yield replace(live, secrets=(secret(live.slug, login(live.address)),), account=(live.slug,))
    live = trusted(site, "secret of type Opaque", _MALFORMED, "opaque.lab.test", wanted)
    yield _shown(live, secret(live.slug, login(live.address), "Opaque"))
    live = trusted(site, "secret without auths", _MALFORMED, "noauths.lab.test", wanted)
    yield _shown(live, secret(live.slug, login(live.address)["auths"]))
    yield _with_login(site, "login without a password", _MALFORMED, "nopassword.lab.test", wanted, password="")


def passwords(site: Site) -> Iterator[Live]:
    """The registry accepts the user, or does not."""
    yield _with_login(site, "wrong password", "auth-rejected", "wrong.lab.test", basic(), password="guessed")
    host = "wrongtoken.lab.test"
    pki = owner("tokens1.lab.test")
    service = site.https(pki, "tokens1.lab.test", tokens())
    live = _with_login(
        site,
        "wrong password, token service",
        "auth-rejected",
        host,
        bearer(f"https://{service}/token"),
        password="guessed",
    )
    yield replace(live, trusted=(*live.trusted, root(pki)))
    host = "anonymous.lab.test"
    pki = owner("tokens2.lab.test")
    service = site.https(pki, "tokens2.lab.test", tokens(anybody=""))
    live = trusted(site, "no pull secret, private project", _MISSING, host, bearer(f"https://{service}/token"))
    yield replace(live, trusted=(*live.trusted, root(pki)))
    yield from _harbor(site)


def _harbor(site: Site) -> Iterator[Live]:
    """Harbor: its token service has the registry's address."""
    host, pki = "harbor.lab.test", owner("harbor.lab.test")
    place: list[str] = []

    def answer(request: Any) -> Reply:
        service = (
            tokens(known="somebody")
            if request.path == "/service/token"
            else bearer(f"https://{place[0]}/service/token")
        )
        return service(request)

    place.append(site.https(pki, host, answer))
    live = Live(name="Harbor, no member of the project", truth="access-denied", address=place[0], trusted=(root(pki),))
    yield _shown(live, secret(live.slug, login(place[0])))
    policy = error(412, "PROJECTPOLICYVIOLATION", _POLICY)
    yield _with_login(site, "Harbor, policy forbids", "access-denied", "policy.lab.test", basic(always(policy)))


def habits(site: Site) -> Iterator[Live]:
    """The meaning of 401, 403 and 404 by registry."""
    yield _with_login(site, "403 with a login", "access-denied", "forbidden.lab.test", basic(always(DENIED)))
    challenge = Reply(401, {"WWW-Authenticate": 'Basic realm="corp"'})

    def refusing(request: Any) -> Reply:
        return challenge if request.path == "/v2/" else DENIED

    yield trusted(site, "403 without a login", _MISSING, "forbidden2.lab.test", refusing)
    yield _with_login(site, "404 with a login", "image-not-found", "absent.lab.test", basic())
    yield trusted(site, "404 for everybody", "image-not-found", "absent2.lab.test", public())
    yield trusted(site, "ECR, no login", _MISSING, _ECR, basic(image("ecr")))
    live = trusted(site, "ECR, role without rights", "access-denied", _ECR, basic(always(DENIED)))
    yield _shown(live, secret(live.slug, login(live.address)))
    yield from _hub(site)


def _hub(site: Site) -> Iterator[Live]:
    """Docker Hub denies access to images that do not exist."""
    host, pki = "registry-1.docker.io", owner("registry-1.docker.io", "Hub root")
    limit = error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit")

    def answer(request: Any) -> Reply:
        if request.path == "/token":
            return tokens()(request)
        if "/busy/" in request.path:
            return limit
        return bearer(f"https://{host}/token")(request)

    site.https(pki, host, answer, port=443)
    for name, truth, expected in (
        ("Docker Hub, wrong name", "image-not-found", "docker.io/corp/ap:1"),
        ("Docker Hub, limit", "rate-limited", "docker.io/busy/app:1"),
    ):
        yield Live(name=name, truth=truth, address=host, image=expected, trusted=(root(pki),), by_skopeo=False)


def second_hosts(site: Site) -> Iterator[Live]:
    """Token service and blob store."""
    for name, host, scheme in (
        ("wrong CA on the token service", "tokens3.lab.test", "untrusted"),
        ("token service fails inside", "tokens4.lab.test", "broken"),
    ):
        pki = owner(host)
        answer = tokens() if scheme == "untrusted" else always(error(503, "UNAVAILABLE", "try later"))
        service = site.https(pki, host, answer, *whole(pki))
        live = trusted(
            site, name, f"token-service-{scheme}", f"asks.{host}", bearer(f"https://{service}/token", image(name))
        )
        yield live if scheme == "untrusted" else replace(live, trusted=(*live.trusted, root(pki)))
    host, whole_image = "blobs.lab.test", image("blobs")
    pki = owner(host)
    store = site.https(pki, host, whole_image, *whole(pki))
    answer = public(whole_image.elsewhere(store))
    yield trusted(site, "wrong CA on the blob store", "blob-host-untrusted", "sends.lab.test", answer)


def scenarios(site: Site) -> list[Live]:
    """Return all scenarios, with their servers running."""
    return [one for make in (logins, passwords, habits, second_hosts) for one in make(site)]
