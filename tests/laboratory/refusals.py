"""Scenarios of refusals: what the pod could show, and the habits of registries; and of what has no part in trust."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

from laboratory.material import HARBOR, NOW, PKI, Scenario, case, host, own, pulling
from trustplane.diagnosis import credentials
from trustplane.diagnosis.evidence import Case, PullSecret, SecretState

CORPUS = json.loads((Path(__file__).parents[1] / "unit/diagnosis/pull-errors.json").read_text())
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
TYPE = credentials.CONFIG_JSON
AUTH = "dXNlcjpwYXNzd29yZA=="


def config(*hosts: str, auth: str = AUTH) -> str:
    """Return the data of a Secret with logins."""
    return base64.b64encode(json.dumps({"auths": {one: {"auth": auth} for one in hosts}}).encode()).decode()


def secret(kind: str, value: str, image: str = f"{HARBOR}/team/app:1", **known: object) -> PullSecret:
    state, detail = credentials.assess_secret(kind, {".dockerconfigjson": value}, image)
    return PullSecret("pull", state, detail, **known)  # type: ignore[arg-type]


GOOD = secret(TYPE, config(HARBOR))
BASIC_401 = pulling(f"pulling from host {HARBOR} failed with status code [manifests 1]: 401 Unauthorized")
SCOPE = pulling(
    "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: "
    "authorization failed"
)


def _case(words: str, *secrets: PullSecret, challenge: str = "bearer", **known: object) -> Case:
    pki = PKI()
    root = pki.ders(pki.root)[0]
    trust = {"hosts": (host(*pki.ders()),), "desired": own(root), "in_force": own(root)}
    return case(words, secrets=secrets, challenge=challenge, **{**trust, **known})


def logins() -> Iterator[Scenario]:
    """The pod has no login, a broken one, or one that is refused."""
    missing, malformed = "auth-missing", "pull-secret-malformed"
    yield Scenario("no pull secret", missing, _case(BASIC_401, challenge="basic"))
    yield Scenario("no pull secret, private project", missing, _case(SCOPE, anonymous=401))
    yield Scenario("pull secret does not exist", missing, _case(BASIC_401, PullSecret("pull", SecretState.MISSING)))
    elsewhere = PullSecret("pull", SecretState.ELSEWHERE, "default")
    yield Scenario("pull secret in another namespace", missing, _case(SCOPE, elsewhere, anonymous=401))
    yield Scenario("login for another host", missing, _case(BASIC_401, secret(TYPE, config("other.corp"))))
    yield Scenario("login for another port", missing, _case(BASIC_401, secret(TYPE, config("harbor.corp"))))
    later = secret(TYPE, config(HARBOR), named_by="ServiceAccount default")
    yield Scenario("pod older than its account's secret", missing, _case(BASIC_401, later))
    yield Scenario("secret of type Opaque", malformed, _case(BASIC_401, secret("Opaque", config(HARBOR))))
    broken = base64.b64encode(b'{"auths": {').decode()
    yield Scenario("secret with broken JSON", malformed, _case(SCOPE, secret(TYPE, broken)))
    bare = base64.b64encode(json.dumps({HARBOR: {"auth": AUTH}}).encode()).decode()
    yield Scenario("secret without auths", malformed, _case(BASIC_401, secret(TYPE, bare)))
    colon = secret(TYPE, config(HARBOR, auth="dXNlcg=="))
    yield Scenario("login without a password", malformed, _case(BASIC_401, colon))
    warned = "Unable to retrieve some image pull secrets (pull); attempting to pull the image may not succeed."
    both = case(BASIC_401, warned, secrets=(PullSecret("pull", SecretState.MISSING),), challenge="basic")
    yield Scenario("kubelet found no secret", missing, both)


def habits() -> Iterator[Scenario]:
    """How registries say no to who has a login."""
    rejected, denied, absent = "auth-rejected", "access-denied", "image-not-found"
    yield Scenario("wrong password", rejected, _case(BASIC_401, GOOD, challenge="basic"))
    token = pulling(
        "failed to authorize: failed to fetch oauth token: unexpected status from POST request to "
        f"https://{HARBOR}/service/token: 401 Unauthorized"
    )
    yield Scenario("wrong password, token service", rejected, _case(token, GOOD))
    forbidden = pulling(f"pulling from host {HARBOR} failed with status code [manifests 1]: 403 Forbidden")
    yield Scenario("403 with a login", denied, _case(forbidden, GOOD))
    yield Scenario("403 without a login", "auth-missing", _case(forbidden))
    policy = pulling(
        f"unexpected status from HEAD request to https://{HARBOR}/v2/team/app/manifests/1: 412 Precondition Failed"
    )
    yield Scenario("Harbor: policy forbids", denied, _case(policy, GOOD))
    yield Scenario("Harbor: no member of the project", denied, _case(SCOPE, GOOD))
    gone = pulling(f"{HARBOR}/team/app:1: not found")
    yield Scenario("404", absent, _case(gone, GOOD))
    yield Scenario("404, anonymously as well", absent, _case(SCOPE, anonymous=404))
    image = f"{ECR}/app:1"
    basic = pulling(
        "pull access denied, repository does not exist or may require authorization: authorization failed: no basic "
        "auth credentials",
        image,
    )
    yield Scenario("ECR: no login", "auth-missing", _case(basic, image=image))
    old = secret(TYPE, config(ECR), image, changed=NOW - dt.timedelta(hours=30))
    expired = pulling(f"unexpected status from HEAD request to https://{ECR}/v2/app/manifests/1: 403 Forbidden", image)
    yield Scenario("ECR: token of yesterday", rejected, _case(expired, old, image=image))
    fresh = secret(TYPE, config(ECR), image, changed=NOW - dt.timedelta(hours=1))
    yield Scenario("ECR: role without rights", denied, _case(expired, fresh, image=image))
    hub = (
        'Failed to pull image "corp/ap:1": failed to pull and unpack image "docker.io/corp/ap:1": failed to resolve '
        'reference "docker.io/corp/ap:1": pull access denied, repository does not exist or may require authorization: '
        "server message: insufficient_scope: authorization failed"
    )
    yield Scenario("Docker Hub: wrong name", absent, _case(hub, image="docker.io/corp/ap:1"))
    limit = pulling(
        "unexpected status from HEAD request to https://registry-1.docker.io/v2/corp/app/manifests/1: 429 "
        "Too Many Requests",
        "docker.io/corp/app:1",
    )
    yield Scenario("Docker Hub: limit", "rate-limited", _case(limit, image="docker.io/corp/app:1"))


def corpus() -> Iterator[Scenario]:
    """The real failures that have no part in trust or logins: evidence must not talk them away."""
    pki = PKI()
    root = pki.ders(pki.root)[0]
    of_others = {"issuer", "self", "token", "auth", "ca", "access"}
    for name, outcome in CORPUS.items():
        truth = outcome["cause"]
        if not truth or truth.partition("-")[0] in of_others or truth in _OF_CHAIN:
            continue
        address = f"{name.replace('_', '-')}.lab.test"
        seen = host(address=address, failure=truth) if truth in _SEEN_HERE else host(*pki.ders())
        known = {"desired": own(root), "in_force": own(root), "hosts": (seen,), "secrets": ()}
        for client, words in outcome["messages"].items():
            if words:
                told = case(words, image=f"{address}/app:v1", **known)
                yield Scenario(f"corpus: {name}, {client.split()[0]}", truth, told)


_OF_CHAIN = {
    "certificate-expired",
    "certificate-not-yet-valid",
    "name-mismatch",
    "no-subject-alt-name",
    "wrong-key-usage",
    "weak-certificate",
}
_SEEN_HERE = {"connection-refused", "connection-timeout", "dns-not-found", "plain-http", "tls-timeout", "tls-version"}


def scenarios() -> list[Scenario]:
    """Return all of them."""
    return [one for make in (logins, habits, corpus) for one in make()]
