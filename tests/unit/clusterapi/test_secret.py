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
from trustplane.trust.bundle import KEY, render
from trustplane.trust.entries import EMPTY, TrustSet, read

EXAMPLES = Path(__file__).parents[3] / "examples"
TKC = msgspec.convert(
    yaml.safe_load((EXAMPLES / "tanzukubernetescluster-own-trust.yaml").read_text()), TanzuKubernetesCluster
)


CLUSTER = msgspec.convert(
    {"metadata": {"name": "cluster-2", "namespace": "default", "uid": "uid-1"}}, clusterapi.Cluster
)


def trust() -> TrustSet:
    return read(TKC.spec.own_trust or []).trust


def trust_of(count: int) -> TrustSet:
    """Return a set of so many entries, with the same certificate each."""
    return read(
        [TrustedCA(name=f"n{number}", data=(TKC.spec.own_trust or [])[0].data) for number in range(count)]
    ).trust


TEXT = render(trust(), bundle.EVERYTHING)


def test_the_secret_is_named_by_its_content_and_never_changes() -> None:
    body = secret.set_secret(CLUSTER, trust())
    assert body["metadata"]["name"] == f"cluster-2-trust-{trust().digest[:10]}"
    assert body["metadata"]["namespace"] == "default"
    assert body["immutable"] is True
    assert base64.b64decode(body["data"]["TeamInternalCA.pem"]).startswith(b"-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("body", "component"),
    [(secret.set_secret(CLUSTER, trust()), "trust"), (secret.boot_secret(CLUSTER, TEXT), "trust-boot")],
)
def test_secrets_of_trust_go_with_the_cluster_and_are_none_of_cluster_apis(body: Json, component: str) -> None:
    """`clusterctl move` takes what a Cluster owns; Secrets with Cluster API's label are in its managers' memory."""
    metadata = body["metadata"]
    assert metadata["ownerReferences"] == [
        {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "name": "cluster-2", "uid": "uid-1"}
    ]
    assert metadata["labels"] == {"trustplane.dev/cluster": "cluster-2", "trustplane.dev/component": component}
    assert body["type"] == "Opaque"  # Cluster API has a type of its own


def test_what_machines_boot_with_is_one_key_of_a_secret_that_may_change() -> None:
    body = secret.boot_secret(CLUSTER, TEXT)
    assert (body["metadata"]["name"], list(body["data"])) == ("cluster-2-trust", [KEY])
    assert "immutable" not in body
    assert "reverted" in body["metadata"]["annotations"]["trustplane.dev/note"]
    found = parse_boot_secret(msgspec.convert(body, Secret))
    assert found == BootSet(trust().digest, TEXT, is_intact=True)


def test_the_secret_says_what_is_in_force() -> None:
    assert secret.parse_set_secret(msgspec.convert(secret.set_secret(CLUSTER, trust()), Secret)) == trust()
    assert secret.parse_set_secret(Secret(data={"x.pem": "bm90aGluZw=="})) is None


def test_registries_of_entries_are_kept_with_them() -> None:
    scoped = trust().scoped({"TeamInternalCA": ["r.test", "s.test:5000"]})
    body = secret.set_secret(CLUSTER, scoped)
    assert body["metadata"]["name"] != f"cluster-2-trust-{trust().digest[:10]}"
    assert secret.parse_set_secret(msgspec.convert(body, Secret)) == scoped
    assert secret.set_secret(CLUSTER, trust())["data"].keys() < body["data"].keys()


@pytest.mark.parametrize("text", ["other=r.test", "TeamInternalCA", "\xff"])
def test_registries_that_cannot_be_read_are_not_left_out(text: str) -> None:
    data = secret.set_data(trust()) | {"registry-scope": base64.b64encode(text.encode("latin-1")).decode()}
    assert secret.parse_set_secret(Secret(data=data)) is None


def boot(text: str | bytes, **others: str) -> BootSet:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_boot_secret(Secret(data={KEY: base64.b64encode(data).decode(), **others}))


PARTIAL = render(trust().scoped({}), 1)


def test_a_part_of_a_set_names_the_set_and_has_the_form_of_one() -> None:
    found = boot(PARTIAL)
    assert (found.digest, found.is_intact, found.is_partial) == (trust().digest, True, True)


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
def test_a_boot_secret_that_is_no_base64_names_nothing(value: str) -> None:
    found = parse_boot_secret(Secret(data={KEY: value}))
    assert (found.digest, found.is_intact) == ("", False)


def test_a_boot_secret_without_its_key_is_not_intact() -> None:
    assert not parse_boot_secret(Secret(data={"other": "eA=="})).is_intact
    assert not parse_boot_secret(Secret()).is_intact


def test_keys_that_no_machine_reads_do_not_count() -> None:
    """A server-side apply leaves them where they are, so that they could never be taken out."""
    assert boot(TEXT, other="eA==").is_intact


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.integers(0, len(TEXT)))
def test_whatever_stands_in_a_boot_set_only_what_we_wrote_is_intact(junk: bytes, place: int) -> None:
    text = TEXT.encode()
    found = boot(text[:place] + junk + text[place:])
    assert found.is_intact == (junk == b"")


def test_of_a_part_the_set_in_force_tells_whose_entries_it_has() -> None:
    many = trust_of(40)
    text = render(many, bundle.budget_of("HetznerCluster"))
    whole = boot(text)
    assert whole.is_partial
    assert verify_boot_set(whole, many, "HetznerCluster").is_intact
    other = boot(render(trust(), 1).replace(trust().digest, many.digest))  # the mark of another set
    assert other.is_intact
    assert not verify_boot_set(other, many, "HetznerCluster").is_intact
    assert verify_boot_set(other, None, "HetznerCluster").is_intact  # nobody can tell
    assert verify_boot_set(other, trust(), "HetznerCluster").is_intact  # it is not of this set
    assert not verify_boot_set(boot("x"), many, "HetznerCluster").is_intact


def test_a_set_is_read_only_where_it_is_the_one_that_is_asked_for() -> None:
    found = msgspec.convert(secret.set_secret(CLUSTER, trust()), Secret)
    assert secret.parse_set_of_digest(found, trust().digest) == trust()
    assert secret.parse_set_of_digest(found, trust().short) == trust()
    for other in (EMPTY.digest, trust().short[:-1], "", trust().short + "x"):
        assert secret.parse_set_of_digest(found, other) is None
    assert secret.parse_set_of_digest(Secret(data={"x.pem": "!"}), trust().digest) is None


def made(name: str, **labels: str) -> Secret:
    return msgspec.convert({"metadata": {"name": name, "labels": labels}}, Secret)


def test_sets_that_nobody_needs_are_collected_and_nothing_else() -> None:
    first, second = "1" * 64, "2" * 64
    ours = {"trustplane.dev/component": "trust"}
    sets = [made(secret.set_secret_name("c", one), **ours) for one in (first, second)]
    others = [
        made("c-trust", **{"trustplane.dev/component": "trust-boot"}),
        made("c-ssh", **{"trustplane.dev/component": "ssh"}),
        made("c-trust-3333333333"),
    ]
    assert secret.unneeded_sets([*sets, *others], "c", [first]) == sets[1:]
    assert secret.unneeded_sets([*sets, *others], "c", [first, second]) == []
    assert secret.unneeded_sets([], "c", []) == []


def cluster(**condition: Any) -> clusterapi.Cluster:
    reconciled = {"type": "TopologyReconciled", "status": "True", "observedGeneration": 2} | condition
    return msgspec.convert({"metadata": {"generation": 2}, "status": {"conditions": [reconciled]}}, clusterapi.Cluster)


def test_cluster_api_is_done_when_it_has_written_what_the_cluster_asks_for_now() -> None:
    assert is_reconciled(cluster())
    assert not is_reconciled(cluster(observedGeneration=1))
    assert not is_reconciled(cluster(status="False"))
    assert not is_reconciled(clusterapi.Cluster())
