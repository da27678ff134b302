"""Attacks by a tenant's own objects: no cluster, Secret or proof of another tenant changes."""

import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.apiserver.controllers.conftest import KUBERNETES, SYSTEM, entry
from tests.apiserver.tenants.stage import ATTACKER, CAS, VICTIM, Stage, spec_of

from trustplane.api.meta import Json
from trustplane.certificates.parsing import parse_pem
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, MACHINES, SECRETS, TANZU_CLUSTERS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CAPI = f"/apis/cluster.x-k8s.io/v1beta2/namespaces/{ATTACKER}"
KIND = {"apiVersion": "run.tanzu.vmware.com/v1alpha3", "kind": "TanzuKubernetesCluster"}
TANZU = f"/apis/run.tanzu.vmware.com/v1alpha3/namespaces/{ATTACKER}/tanzukubernetesclusters"
NAIVE = "2026-01-01T00:00:00"
FAR = "9999-12-31T23:59:59Z"
DEEP = "[" * 2000 + "]" * 2000
DIGITS = "9" * 5000


def _cluster(name: str, value: str, *, variable: str = "trust") -> bytes:
    """Return a Cluster of a missing class, whose variables are not checked; `value` is JSON."""
    start = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": name}}
    topology = {"classRef": {"name": "none"}, "version": KUBERNETES, "variables": [{"name": variable, "value": "@"}]}
    text = json.dumps({**start, "spec": {"topology": topology}})
    return text.replace('"@"', value).encode()


# Values of variables of a Cluster.
VARIABLES = {
    "2000-deep": (DEEP, "other"),
    "2000-deep-trust": (DEEP, "trust"),
    "2000-deep-objects": ('{"a":' * 2000 + "1" + "}" * 2000, "other"),
    "trust-is-a-number": ("5", "trust"),
    "trust-has-wrong-shapes": ('{"secretName":["x"],"additionalTrustedCAs":{"a":1}}', "trust"),
    "number-without-end": ("9" * 300_000, "trust"),
    "secret-of-others": (
        f'{{"secretName":"../../{VICTIM}/secrets/private","additionalTrustedCAs":[{{"name":"corp"}}]}}',
        "trust",
    ),
    "secret-is-a-path": (
        '{"secretName":"../serviceaccounts/default/token","additionalTrustedCAs":[{"name":"corp"}]}',
        "trust",
    ),
    "secret-with-a-query": ('{"secretName":"x?watch=true","additionalTrustedCAs":[{"name":"corp"}]}', "trust"),
    "secret-without-end": (f'{{"secretName":"{"x" * 100_000}","additionalTrustedCAs":[{{"name":"c"}}]}}', "trust"),
    "entry-is-a-path": ('{"secretName":"s","additionalTrustedCAs":[{"name":"../../../etc/passwd"}]}', "trust"),
    "20000-entries": (
        json.dumps({"secretName": "s", "additionalTrustedCAs": [{"name": f"e{n}"} for n in range(20_000)]}),
        "trust",
    ),
}


@pytest.mark.parametrize("attack", VARIABLES)
async def test_a_variable_of_a_cluster_harms_no_other_tenant(stage: Stage, attack: str) -> None:
    value, variable = VARIABLES[attack]
    name = f"v{list(VARIABLES).index(attack)}"
    private = {"metadata": {"name": "private", "namespace": VICTIM}, "data": {"corp.pem": _encoded(CAS[0])}}
    await stage.admin.apply(SECRETS, private, manager="test")
    status, answer = await stage.send("oscar", "POST", f"{CAPI}/clusters", _cluster(name, value, variable=variable))
    assert status in (201, 400, 413, 422), answer
    await stage.assert_others_go_on()
    shown = await (stage.until_shown(name, "nests too deeply") if "2000-deep" in attack else stage.shown(name))
    assert _fingerprint(CAS[0]) not in shown, "a Secret of another namespace was read"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _fingerprint(pem: str) -> str:
    return parse_pem(pem.encode()).certificates[0].fingerprint


# Annotations of a Machine, and of a Cluster, of the tenant.
ANNOTATIONS: dict[str, tuple[str, str, str]] = {
    "applied-without-zone": ("machines", "trust-applied", json.dumps({"digest": "x", "at": NAIVE})),
    "applied-in-9999": ("machines", "trust-applied", json.dumps({"digest": "x", "at": FAR})),
    "proof-without-zone": ("machines", "trust-proof", json.dumps({"digest": "", "at": NAIVE, "results": []})),
    "proof-in-9999": ("machines", "trust-proof", json.dumps({"digest": "", "at": FAR, "results": []})),
    "proof-in-year-1": ("machines", "trust-proof", json.dumps({"digest": "", "at": "0001-01-01T00:00:00+14:00"})),
    "inspection-in-9999": ("machines", "trust-inspection", json.dumps({"digest": "", "at": FAR})),
    "applied-2000-deep": ("machines", "trust-applied", DEEP),
    "proof-2000-deep": ("machines", "trust-proof", '{"results":' + DEEP + "}"),
    "applied-of-5000-digits": ("machines", "trust-applied", DIGITS),
    "proof-of-240-kb": ("machines", "trust-proof", json.dumps({"digest": "x" * 240_000})),
    "proof-of-1000-registries": (
        "machines",
        "trust-proof",
        json.dumps(
            {"digest": "", "at": "2026-01-01T00:00:00Z", "results": [{"registry": f"r{n}"} for n in range(5000)]}
        ),
    ),
    "update-error-with-escapes": ("machines", "trust-update-error", "\x1b]0;pwned\x07\x1b[2J password=s3cr3tV4lue"),
    "update-error-of-200-kb": ("machines", "trust-update-error", "x" * 200_000),
    "host-key": ("machines", "ssh-host-key", "ssh-ed25519 AAAA\x1b"),
    "digests-2000-deep": ("clusters", "update-digests", DEEP),
    "digests-of-5000-digits": ("clusters", "update-digests", DIGITS),
    "canary-2000-deep": ("clusters", "trust-canary", DEEP),
    "canary-is-another": ("clusters", "trust-canary", json.dumps({"digest": "x", "machine": "../shop-0"})),
    "handled-in-9999": ("clusters", "update-handled-at", FAR),
    "handled-without-zone": ("clusters", "update-handled-at", NAIVE),
    "digest-is-a-path": ("clusters", "trust-digest", "../../../../tenant-b/secrets/private"),
    "digest-of-200-kb": ("clusters", "trust-digest", "f" * 200_000),
    "rollout-unknown": ("clusters", "rollout", "Explode"),
    "prove-in-9999": ("clusters", "prove-requested-at", FAR),
    "prove-without-zone": ("clusters", "prove-requested-at", NAIVE),
}


@pytest.mark.parametrize("attack", ANNOTATIONS)
async def test_an_annotation_harms_no_other_tenant(stage: Stage, attack: str) -> None:
    kind, annotation, value = ANNOTATIONS[attack]
    name = f"n{list(ANNOTATIONS).index(attack)}"
    await stage.cluster(name)
    body = {"metadata": {"annotations": {f"trustplane.dev/{annotation}": value}}}
    object_name = f"{name}-0" if kind == "machines" else name
    status, answer = await stage.send(
        "oscar", "PATCH", f"{CAPI}/{kind}/{object_name}", json.dumps(body).encode(), "application/merge-patch+json"
    )
    assert status == 200, answer
    await stage.assert_others_go_on()
    shown = await stage.shown(name)
    assert "\\u001b" not in shown
    assert "s3cr3tV4lue" not in shown
    registries = await stage.registry_conditions()
    assert registries["Trusted"], "the Registry of all is not reported on"


# Annotations of a TanzuKubernetesCluster, which a weak tenant may set.
POLICIES: dict[str, tuple[str, str]] = {
    "requested-in-9999": ("update-requested-at", FAR),
    "requested-without-zone": ("update-requested-at", NAIVE),
    "requested-of-5000-digits": ("update-requested-at", DIGITS),
    "propagation-unknown": ("propagation", "Everywhere"),
    "propagation-automatic": ("propagation", "Automatic"),
    "merge-append": ("trust-merge", "Append"),
    "merge-of-200-kb": ("trust-merge", "x" * 200_000),
    "scope-of-others": ("registry-scope", "corp=registry.tenant-b.test\n" * 4000),
    "scope-of-200-kb": ("registry-scope", "a=" * 100_000),
    "allow-removal": ("allow-removal", "true"),
}


@pytest.mark.parametrize("attack", POLICIES)
async def test_a_policy_harms_no_other_tenant(stage: Stage, attack: str) -> None:
    annotation, value = POLICIES[attack]
    name = f"p{list(POLICIES).index(attack)}"
    await stage.cluster(name)
    before = await _digest(stage)
    body = {"metadata": {"annotations": {f"trustplane.dev/{annotation}": value}}}
    await stage.mallory.patch(TANZU_CLUSTERS, name, ATTACKER, body)
    await stage.assert_others_go_on()
    assert await _digest(stage) == before, "a cluster of another tenant has changed"


async def _digest(stage: Stage) -> str:
    """Return the set in force of the victims' cluster that does not change."""
    found = await stage.admin.get(CLUSTERS, "web", VICTIM)
    return found.metadata.annotations["trustplane.dev/trust-digest"]


async def _giant_lists(stage: Stage) -> None:
    """Create three lists as large as an object may be, which the controllers process."""
    entries = [entry(f"e{n}", f"# {'x' * 20_000}\n{CAS[n % 2]}") for n in range(24)]
    for n in range(3):
        body = {**KIND, "metadata": {"name": f"giant{n}"}, "spec": spec_of(*entries)}
        status, answer = await stage.send("mallory", "POST", TANZU, json.dumps(body).encode())
        assert status == 201, answer
    for n in range(3):
        await stage.attacker.cluster(f"giant{n}")


async def _own_list(stage: Stage, name: str, *names: str) -> None:
    """Make a cluster of the attacker take its own list."""
    spec = {"settings": spec_of(*(entry(one, CAS[1]) for one in names))["settings"]}
    await stage.mallory.patch(TANZU_CLUSTERS, name, ATTACKER, {"spec": spec})
    await stage.attacker.trusting(name, *names)


async def _same_name(stage: Stage) -> None:
    await stage.cluster("shop")
    await _own_list(stage, "shop", "evil")
    trust = await stage.admin.get(CLUSTER_TRUSTS, "shop", VICTIM)
    assert trust.status.desired
    assert "evil" not in [one.name for one in trust.status.desired.entries]


async def _odd_names(stage: Stage) -> None:
    for name in ("..", "a/b", "a%2f..", "x" * 300, "UPPER", "-x", "a\n"):
        body = {**KIND, "metadata": {"name": name}, "spec": spec_of()}
        status, answer = await stage.send("mallory", "POST", TANZU, json.dumps(body).encode())
        assert status == 422, (name, answer)


async def _names_like_secrets(stage: Stage) -> None:
    for name in ("shop-trust-0000000000", "tkg-service-configuration-trust", "a-trust-b-trust-c", "a" * 63):
        body = {**KIND, "metadata": {"name": name}, "spec": spec_of(entry("own", CAS[1]))}
        status, answer = await stage.send("mallory", "POST", TANZU, json.dumps(body).encode())
        assert status in (201, 422), answer


async def _swapped_trust_secret(stage: Stage) -> None:
    await stage.cluster("swap")
    await _own_list(stage, "swap", "own")
    labelled = await stage.admin.list(SECRETS, ATTACKER, labels="trustplane.dev/component=trust")
    assert labelled
    for one in labelled:
        name = one.metadata.name
        await stage.mallory.delete(SECRETS, name, ATTACKER)
        data = {"evil.pem": _encoded(CAS[1]), "corp.pem": _encoded("\x1b" * 1000)}
        metadata = {"name": name, "namespace": ATTACKER, "labels": one.metadata.labels}
        await stage.mallory.apply(SECRETS, {"metadata": metadata, "data": data}, manager="mallory")


async def _last_good_beside(stage: Stage) -> None:
    metadata = {
        "name": "tkg-service-configuration-trust",
        "namespace": ATTACKER,
        "labels": {"trustplane.dev/component": "trust"},
    }
    await stage.mallory.apply(
        SECRETS, {"metadata": metadata, "data": {"evil.pem": _encoded(CAS[1])}}, manager="mallory"
    )
    await stage.assert_others_go_on()
    found = await stage.admin.find(SECRETS, "tkg-service-configuration-trust", SYSTEM)
    assert found is None or "evil.pem" not in found.data


async def _many_labelled_secrets(stage: Stage) -> None:
    labels = {"trustplane.dev/component": "trust", "cluster.x-k8s.io/cluster-name": "shop"}
    content = {"a.pem": _encoded("x" * 700_000)}
    for n in range(20):
        metadata = {"name": f"shop-trust-{n:010x}", "namespace": ATTACKER, "labels": labels}
        await stage.mallory.apply(SECRETS, {"metadata": metadata, "data": content}, manager="mallory")


async def _ssh_key(stage: Stage, value: bytes) -> None:
    await stage.cluster("ssh")
    addresses = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
    await stage.admin.patch(MACHINES, "ssh-0", ATTACKER, addresses, subresource="status")
    data = {"ssh-privatekey": base64.b64encode(value).decode()}
    with contextlib.suppress(ApiError):
        await stage.mallory.delete(SECRETS, "ssh-ssh", ATTACKER)
    await stage.mallory.apply(
        SECRETS, {"metadata": {"name": "ssh-ssh", "namespace": ATTACKER}, "data": data}, manager="mallory"
    )
    body = {"metadata": {"annotations": {"trustplane.dev/prove-requested-at": datetime.now(UTC).isoformat()}}}
    await stage.oscar.patch(CLUSTERS, "ssh", ATTACKER, body)


async def _bootstrap_of_others(stage: Stage) -> None:
    await stage.cluster("boot")
    for name in (f"../../{VICTIM}/secrets/private", "../configmaps/x"):
        spec = {"bootstrap": {"dataSecretName": name}}
        body = json.dumps({"spec": spec}).encode()
        await stage.send("oscar", "PATCH", f"{CAPI}/machines/boot-0", body, "application/merge-patch+json")


async def _bootstrap_bomb(stage: Stage) -> None:
    await _ssh_key(stage, b"x")
    bomb = "\n".join(
        [
            "a0: &a0 {k: v}",
            *(f"a{n}: &a{n} {{" + ", ".join(f"k{m}: *a{n - 1}" for m in range(9)) + "}" for n in range(1, 9)),
            "write_files:",
            "- <<: *a8",
        ]
    )
    data = {"value": _encoded("#cloud-config\n" + bomb)}
    await stage.mallory.apply(
        SECRETS, {"metadata": {"name": "ssh-0", "namespace": ATTACKER}, "data": data}, manager="mallory"
    )
    body = {"metadata": {"annotations": {"trustplane.dev/prove-requested-at": datetime.now(UTC).isoformat()}}}
    await stage.oscar.patch(CLUSTERS, "ssh", ATTACKER, body)


async def _owned_by_others(stage: Stage) -> None:
    tkc = await stage.admin.get(TANZU_CLUSTERS, "shop", VICTIM)
    capi = await stage.admin.get(CLUSTERS, "shop", VICTIM)
    await stage.cluster("owned")
    owners = [
        {
            "apiVersion": "run.tanzu.vmware.com/v1alpha3",
            "kind": "TanzuKubernetesCluster",
            "name": "shop",
            "uid": tkc.metadata.uid,
        },
        {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "name": "shop", "uid": capi.metadata.uid},
    ]
    for owner in owners:
        with contextlib.suppress(ApiError):
            await stage.oscar.patch(CLUSTERS, "owned", ATTACKER, {"metadata": {"ownerReferences": [owner]}})
    assert await stage.admin.find(TANZU_CLUSTERS, "shop", VICTIM)


async def _cluster_before_its_tkc(stage: Stage) -> None:
    content = _cluster("first", '{"additionalTrustedCAs":[]}')
    status, answer = await stage.send("oscar", "POST", f"{CAPI}/clusters", content)
    assert status == 201, answer
    await stage.mallory.create(
        TANZU_CLUSTERS, {"metadata": {"name": "first", "namespace": ATTACKER}, "spec": spec_of()}
    )


async def _finalizers(stage: Stage) -> None:
    await stage.cluster("stuck")
    await stage.mallory.patch(
        TANZU_CLUSTERS, "stuck", ATTACKER, {"metadata": {"finalizers": ["evil.test/never", "trustplane.dev/cluster"]}}
    )
    await stage.mallory.delete(TANZU_CLUSTERS, "stuck", ATTACKER)


async def _flicker(stage: Stage) -> None:
    """Change a cluster as fast as the API server allows."""
    await stage.cluster("flicker")
    for n in range(200):
        at = datetime.now(UTC) - timedelta(seconds=n)
        body = {"metadata": {"annotations": {"trustplane.dev/update-requested-at": at.isoformat()}}}
        await stage.mallory.patch(TANZU_CLUSTERS, "flicker", ATTACKER, body)


async def _many_clusters(stage: Stage) -> None:
    for n in range(40):
        body = {"metadata": {"name": f"h{n}", "namespace": ATTACKER}, "spec": spec_of(entry("own", CAS[n % 2]))}
        await stage.mallory.create(TANZU_CLUSTERS, body)


async def _wrong_secret(stage: Stage, data: Json) -> None:
    await stage.cluster("wrong")
    metadata = {"name": "wrong-kubeconfig", "namespace": ATTACKER}
    await stage.mallory.apply(
        SECRETS, {"metadata": metadata, "type": "evil.test/type", "data": data}, manager="mallory"
    )


async def _body_of_3_mib(stage: Stage) -> None:
    for content in (
        b"[" * (3 << 20),
        b'{"a":' * 100_000,
        b'{"metadata":{"name":"x","annotations":{"a":"' + b"x" * 300_000 + b'"}}}',
    ):
        status, _ = await stage.send("mallory", "POST", TANZU, content)
        assert status in (400, 413, 422, 500)


OTHERS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "three-lists-of-690-kb": _giant_lists,
    "the-name-of-a-cluster-of-others": _same_name,
    "names-that-are-none": _odd_names,
    "names-like-those-of-secrets": _names_like_secrets,
    "a-trust-secret-of-other-content": _swapped_trust_secret,
    "a-secret-named-as-the-last-good-list": _last_good_beside,
    "labelled-secrets-of-14-mb": _many_labelled_secrets,
    "ssh-key-is-garbage": lambda one: _ssh_key(one, b"\xff\x00" * 5000),
    "ssh-key-of-700-kb": lambda one: _ssh_key(one, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b"A" * 700_000),
    "ssh-key-is-empty": lambda one: _ssh_key(one, b""),
    "bootstrap-data-of-others": _bootstrap_of_others,
    "bootstrap-data-is-a-bomb": _bootstrap_bomb,
    "owned-by-objects-of-others": _owned_by_others,
    "a-cluster-before-its-tkc": _cluster_before_its_tkc,
    "finalizers-that-nobody-removes": _finalizers,
    "200-changes-in-a-row": _flicker,
    "40-clusters": _many_clusters,
    "kubeconfig-without-its-key": lambda one: _wrong_secret(one, {"other": "eA=="}),
    "kubeconfig-of-another-type": lambda one: _wrong_secret(one, {"value": ""}),
    "bodies-that-are-too-large": _body_of_3_mib,
}


@pytest.mark.parametrize("attack", OTHERS)
async def test_an_attack_harms_no_other_tenant(stage: Stage, attack: str) -> None:
    before = await _victims(stage.admin)
    await OTHERS[attack](stage)
    await stage.assert_others_go_on()
    assert await _victims(stage.admin) == before


async def _victims(admin: Client) -> set[str]:
    """Return the names of the victims' objects, except those that their own changes create and remove."""
    kinds = (TANZU_CLUSTERS, CLUSTERS, MACHINES, CLUSTER_TRUSTS, SECRETS)
    names = {f"{kind.kind} {item.metadata.name}" for kind in kinds for item in await admin.list(kind, VICTIM)}
    return {name for name in names if "-trust-" not in name}
