import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api import clusterapi
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TrustedCA
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.clusterapi.readiness import is_reconciled
from trustplane.clusterapi.secret import BootSet, parse_boot_secret, verify_boot_set
from trustplane.trust import bundle
from trustplane.trust.bundle import BUNDLE_KEY, render_bundle
from trustplane.trust.entries import EMPTY_SET, TrustSet, parse_list

EXAMPLES = Path(__file__).parents[3] / "examples"
TKC = msgspec.convert(
    yaml.safe_load((EXAMPLES / "tanzukubernetescluster-own-trust.yaml").read_text()), TanzuKubernetesCluster
)


CLUSTER = msgspec.convert(
    {"metadata": {"name": "cluster-2", "namespace": "default", "uid": "uid-1"}}, clusterapi.Cluster
)


def trust() -> TrustSet:
    return parse_list(TKC.spec.own_trust or []).trust


def trust_of(count: int) -> TrustSet:
    """Return a set with that many entries, each with the same certificate."""
    return parse_list(
        [TrustedCA(name=f"n{number}", data=(TKC.spec.own_trust or [])[0].data) for number in range(count)]
    ).trust


TEXT = render_bundle(trust(), bundle.MAX_BUDGET_BYTES)


def test_the_secret_is_named_by_its_content_and_immutable() -> None:
    body = secret.set_secret(CLUSTER, trust())
    assert body["metadata"]["name"] == f"cluster-2-trust-{trust().digest[:10]}"
    assert body["metadata"]["namespace"] == "default"
    assert body["immutable"] is True
    assert base64.b64decode(body["data"]["TeamInternalCA.pem"]).startswith(b"-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("body", "component"),
    [(secret.set_secret(CLUSTER, trust()), "trust"), (secret.boot_secret(CLUSTER, TEXT), "trust-boot")],
)
def test_trust_secrets_belong_to_the_cluster_without_cluster_apis_label(body: Json, component: str) -> None:
    """`clusterctl move` moves objects owned by a Cluster; Cluster API caches Secrets with its label in memory."""
    metadata = body["metadata"]
    assert metadata["ownerReferences"] == [
        {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "name": "cluster-2", "uid": "uid-1"}
    ]
    assert metadata["labels"] == {"trustplane.dev/cluster": "cluster-2", "trustplane.dev/component": component}
    assert body["type"] == "Opaque"  # not Cluster API's own type


def test_the_boot_secret_has_one_key_and_is_mutable() -> None:
    body = secret.boot_secret(CLUSTER, TEXT)
    assert (body["metadata"]["name"], list(body["data"])) == ("cluster-2-trust", [BUNDLE_KEY])
    assert "immutable" not in body
    assert "reverted" in body["metadata"]["annotations"]["trustplane.dev/note"]
    boot_set = parse_boot_secret(msgspec.convert(body, Secret))
    assert boot_set == BootSet(trust().digest, TEXT, is_intact=True)


def test_the_secret_contains_the_set() -> None:
    assert secret.parse_set_secret(msgspec.convert(secret.set_secret(CLUSTER, trust()), Secret)) == trust()
    assert secret.parse_set_secret(Secret(data={"x.pem": "bm90aGluZw=="})) is None


def test_the_scope_of_entries_is_stored_with_them() -> None:
    scoped = trust().with_scopes({"TeamInternalCA": ["r.test", "s.test:5000"]})
    body = secret.set_secret(CLUSTER, scoped)
    assert body["metadata"]["name"] != f"cluster-2-trust-{trust().digest[:10]}"
    assert secret.parse_set_secret(msgspec.convert(body, Secret)) == scoped
    assert secret.set_secret(CLUSTER, trust())["data"].keys() < body["data"].keys()


@pytest.mark.parametrize("text", ["other=r.test", "TeamInternalCA", "\xff"])
def test_an_invalid_scope_invalidates_the_set(text: str) -> None:
    data = secret.set_data(trust()) | {"registry-scope": base64.b64encode(text.encode("latin-1")).decode()}
    assert secret.parse_set_secret(Secret(data=data)) is None


def boot(text: str | bytes, **others: str) -> BootSet:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_boot_secret(Secret(data={BUNDLE_KEY: base64.b64encode(data).decode(), **others}))


PARTIAL = render_bundle(trust().with_scopes({}), 1)


def test_a_partial_boot_set_names_its_set_and_is_intact() -> None:
    boot_set = boot(PARTIAL)
    assert (boot_set.digest, boot_set.is_intact, boot_set.is_partial) == (trust().digest, True, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        TEXT.replace("trustplane-end", "trustplane-END"),
        TEXT + "more",
        TEXT.replace("trustplane-file /etc/ssl/certs/", "trustplane-file /etc/"),
        TEXT.replace(trust().digest, "f" * 64),
        TEXT.replace("MII", "NII", 1),
        TEXT.encode() + b"\xff",
        TEXT.encode("utf-16"),
        "trustplane-set-" * 100_000,
    ],
    ids=range(10),
)
def test_an_edited_boot_set_is_not_intact(text: str | bytes) -> None:
    assert not boot(text).is_intact


@pytest.mark.parametrize("value", ["no base64!", "\xff", "YQ", "=", "a" * 1_000_001])
def test_a_boot_secret_with_invalid_base64_names_no_set(value: str) -> None:
    boot_set = parse_boot_secret(Secret(data={BUNDLE_KEY: value}))
    assert (boot_set.digest, boot_set.is_intact) == ("", False)


def test_a_boot_secret_without_its_key_is_not_intact() -> None:
    assert not parse_boot_secret(Secret(data={"other": "eA=="})).is_intact
    assert not parse_boot_secret(Secret()).is_intact


def test_other_keys_of_the_boot_secret_are_ignored() -> None:
    """A server-side apply does not remove them, so reporting them would never end."""
    assert boot(TEXT, other="eA==").is_intact


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.integers(0, len(TEXT)))
def test_only_an_unmodified_boot_set_is_intact(junk: bytes, place: int) -> None:
    text = TEXT.encode()
    boot_set = boot(text[:place] + junk + text[place:])
    assert boot_set.is_intact == (junk == b"")


def test_a_partial_boot_set_is_verified_against_the_set_in_force() -> None:
    many = trust_of(40)
    text = render_bundle(many, bundle.bundle_budget_bytes("HetznerCluster"))
    whole = boot(text)
    assert whole.is_partial
    assert verify_boot_set(whole, many, "HetznerCluster").is_intact
    other = boot(render_bundle(trust(), 1).replace(trust().digest, many.digest))  # with the digest of another set
    assert other.is_intact
    assert not verify_boot_set(other, many, "HetznerCluster").is_intact
    assert verify_boot_set(other, None, "HetznerCluster").is_intact  # the set in force is unknown
    assert verify_boot_set(other, trust(), "HetznerCluster").is_intact  # another set is in force
    assert not verify_boot_set(boot("x"), many, "HetznerCluster").is_intact


def test_a_set_is_read_only_by_its_digest() -> None:
    stored = msgspec.convert(secret.set_secret(CLUSTER, trust()), Secret)
    assert secret.parse_set_of_digest(stored, trust().digest) == trust()
    assert secret.parse_set_of_digest(stored, trust().short) == trust()
    for other in (EMPTY_SET.digest, trust().short[:-1], "", trust().short + "x"):
        assert secret.parse_set_of_digest(stored, other) is None
    assert secret.parse_set_of_digest(Secret(data={"x.pem": "!"}), trust().digest) is None


def stored_secret(name: str, **labels: str) -> Secret:
    return msgspec.convert({"metadata": {"name": name, "labels": labels}}, Secret)


def test_only_unneeded_sets_are_unused() -> None:
    first, second = "1" * 64, "2" * 64
    ours = {"trustplane.dev/component": "trust"}
    sets = [stored_secret(secret.set_secret_name("c", digest), **ours) for digest in (first, second)]
    others = [
        stored_secret("c-trust", **{"trustplane.dev/component": "trust-boot"}),
        stored_secret("c-ssh", **{"trustplane.dev/component": "ssh"}),
        stored_secret("c-trust-3333333333"),
    ]
    assert secret.unneeded_sets([*sets, *others], "c", [first]) == sets[1:]
    assert secret.unneeded_sets([*sets, *others], "c", [first, second]) == []
    assert secret.unneeded_sets([], "c", []) == []


def cluster(**condition: Any) -> clusterapi.Cluster:
    reconciled = {"type": "TopologyReconciled", "status": "True", "observedGeneration": 2} | condition
    return msgspec.convert({"metadata": {"generation": 2}, "status": {"conditions": [reconciled]}}, clusterapi.Cluster)


def test_a_cluster_is_reconciled_once_its_current_generation_is_applied() -> None:
    assert is_reconciled(cluster())
    assert not is_reconciled(cluster(observedGeneration=1))
    assert not is_reconciled(cluster(status="False"))
    assert not is_reconciled(clusterapi.Cluster())
