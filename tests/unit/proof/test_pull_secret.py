"""A pull secret goes to clusters of Namespaces that an administrator has selected; what tenants write moves nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.registry import Registry
from trustplane.clusterapi.cluster import desired_cluster
from trustplane.proof.pull_secret import pull_secret_conditions, pull_secret_for, pull_secret_refusal

OWN = "trustplane-system"
PROD = {"matchLabels": {"env": "prod"}}
LABELS = st.dictionaries(st.sampled_from(["env", "team", "kubernetes.io/metadata.name"]), st.sampled_from("ab"))


def registry(**spec: Any) -> Registry:
    body = {"metadata": {"name": "r"}, "spec": {"host": "r.corp", "pullSecretRef": {"name": "prod-pull"}, **spec}}
    return msgspec.convert(body, Registry)


def test_a_tenants_labels_select_what_is_proven_and_not_who_gets_the_secret() -> None:
    metadata = {"name": "mine", "namespace": "tenant", "labels": {"env": "prod"}}
    tkc = msgspec.convert({"metadata": metadata, "spec": {}}, TanzuKubernetesCluster)
    cluster = desired_cluster(tkc, kubernetes_version="v1", annotations={}, ssh_public_key="k")
    found = registry(clusterSelector=PROD, namespaceSelector=PROD)
    assert found.selects(cluster["metadata"]["labels"])
    assert pull_secret_for(found, {"kubernetes.io/metadata.name": "tenant"}, OWN) == ""
    assert pull_secret_for(found, {"kubernetes.io/metadata.name": "shop", "env": "prod"}, OWN) == "prod-pull"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "spec.namespaceSelector"),
        ({"pullSecretRef": {"name": "p", "namespace": "platform"}, "namespaceSelector": {}}, "Put it into"),
        ({"pullSecretRef": {"name": "p", "namespace": "platform"}}, "Put it into"),
    ],
)
def test_a_registry_of_an_earlier_version_is_refused_with_what_to_do(spec: Any, words: str) -> None:
    found = registry(**spec)
    assert pull_secret_for(found, {"env": "prod"}, OWN) == ""
    assert words in pull_secret_refusal(found, OWN)
    [condition] = pull_secret_conditions(found, OWN)
    assert (condition.type, condition.status, condition.reason) == ("PullSecret", "False", "Refused")
    assert condition.message == pull_secret_refusal(found, OWN)


def test_its_own_namespace_may_be_named_and_all_namespaces_selected() -> None:
    found = registry(pullSecretRef={"name": "p", "namespace": OWN}, namespaceSelector={})
    assert pull_secret_for(found, {}, OWN) == "p"
    assert [(one.status, one.reason) for one in pull_secret_conditions(found, OWN)] == [("True", "Copied")]


def test_without_a_pull_secret_there_is_nothing_to_say() -> None:
    found = registry(pullSecretRef=None, namespaceSelector={})
    assert (pull_secret_for(found, {}, OWN), pull_secret_refusal(found, OWN), pull_secret_conditions(found, OWN)) == (
        "",
        "",
        [],
    )


@given(LABELS, LABELS, LABELS, st.sampled_from(["", OWN, "platform"]), st.booleans())
def test_only_labels_of_the_namespace_decide(
    wanted: dict[str, str],
    of_namespace: dict[str, str],
    of_cluster: dict[str, str],
    where: str,
    is_selected: bool,  # noqa: FBT001
) -> None:
    selector = {"namespaceSelector": {"matchLabels": wanted}} if is_selected else {}
    found = registry(
        pullSecretRef={"name": "p", "namespace": where}, clusterSelector={"matchLabels": of_cluster}, **selector
    )
    goes = is_selected and where in ("", OWN) and wanted.items() <= of_namespace.items()
    assert pull_secret_for(found, of_namespace, OWN) == ("p" if goes else "")
