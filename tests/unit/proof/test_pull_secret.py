"""Pull secrets are copied only to clusters in Namespaces selected by an administrator; tenants cannot change this."""

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


def test_a_tenants_labels_select_proofs_but_no_secrets() -> None:
    metadata = {"name": "web", "namespace": "tenant", "labels": {"env": "prod"}}
    tkc = msgspec.convert({"metadata": metadata, "spec": {}}, TanzuKubernetesCluster)
    cluster = desired_cluster(tkc, kubernetes_version="v1", annotations={}, ssh_public_key="k")
    selected = registry(clusterSelector=PROD, namespaceSelector=PROD)
    assert selected.selects(cluster["metadata"]["labels"])
    assert pull_secret_for(selected, {"kubernetes.io/metadata.name": "tenant"}, OWN) == ""
    assert pull_secret_for(selected, {"kubernetes.io/metadata.name": "shop", "env": "prod"}, OWN) == "prod-pull"


@pytest.mark.parametrize(
    ("spec", "step"),
    [
        ({}, "spec.namespaceSelector"),
        ({"pullSecretRef": {"name": "p", "namespace": "platform"}, "namespaceSelector": {}}, "Move the Secret"),
        ({"pullSecretRef": {"name": "p", "namespace": "platform"}}, "Move the Secret"),
    ],
)
def test_a_registry_of_an_earlier_version_is_refused_with_a_next_step(spec: Any, step: str) -> None:
    selected = registry(**spec)
    assert pull_secret_for(selected, {"env": "prod"}, OWN) == ""
    assert step in pull_secret_refusal(selected, OWN)
    [condition] = pull_secret_conditions(selected, OWN)
    assert (condition.type, condition.status, condition.reason) == ("PullSecret", "False", "Refused")
    assert condition.message == pull_secret_refusal(selected, OWN)


def test_the_own_namespace_can_be_named_and_all_namespaces_selected() -> None:
    selected = registry(pullSecretRef={"name": "p", "namespace": OWN}, namespaceSelector={})
    assert pull_secret_for(selected, {}, OWN) == "p"
    assert [(condition.status, condition.reason) for condition in pull_secret_conditions(selected, OWN)] == [
        ("True", "Copied")
    ]


def test_without_a_pull_secret_no_condition_exists() -> None:
    selected = registry(pullSecretRef=None, namespaceSelector={})
    assert (
        pull_secret_for(selected, {}, OWN),
        pull_secret_refusal(selected, OWN),
        pull_secret_conditions(selected, OWN),
    ) == ("", "", [])


@given(LABELS, LABELS, LABELS, st.sampled_from(["", OWN, "platform"]), st.booleans())
def test_only_labels_of_the_namespace_decide(
    wanted: dict[str, str],
    of_namespace: dict[str, str],
    of_cluster: dict[str, str],
    where: str,
    is_selected: bool,  # noqa: FBT001
) -> None:
    selector = {"namespaceSelector": {"matchLabels": wanted}} if is_selected else {}
    selected = registry(
        pullSecretRef={"name": "p", "namespace": where}, clusterSelector={"matchLabels": of_cluster}, **selector
    )
    goes = is_selected and where in ("", OWN) and wanted.items() <= of_namespace.items()
    assert pull_secret_for(selected, of_namespace, OWN) == ("p" if goes else "")
