import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from trustplane.api.meta import Json
from trustplane.clusterapi.topology_trust import SecretData, cluster_findings, cluster_secrets

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
EXAMPLE = Path(__file__).parents[3] / "examples" / "tkgserviceconfiguration.yaml"
A, B = (one["data"] for one in yaml.safe_load(EXAMPLE.read_text())["spec"]["trust"]["additionalTrustedCAs"])
USERS = "c-user-trusted-ca-secret"
TOP = "spec.topology.variables[trust]"


def twice(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def variable(*names: str, secret: str = "") -> Json:
    value = {"additionalTrustedCAs": [{"name": name} for name in names]}
    return {"name": "trust", "value": {**value, **({"secretName": secret} if secret else {})}}


def cluster(*variables: Json, annotations: Json | None = None, **topology: Any) -> Json:
    return {
        "metadata": {"name": "c", "annotations": annotations or {}},
        "spec": {"topology": {"variables": [{"name": "vmClass", "value": "small"}, *variables], **topology}},
    }


def pool(name: str, *names: str) -> Json:
    return {"name": name, "variables": {"overrides": [variable(*names)]} if names else {}}


def found(after: Json, before: Json | None = None, secrets: SecretData | None = None) -> list[tuple[str, str]]:
    return [(one.code, one.where) for one in cluster_findings(after, before, secrets or {}, AT)]


def test_a_cluster_names_the_secret_of_either_form() -> None:
    assert cluster_secrets(cluster(variable("a")), None) == {USERS}
    assert cluster_secrets(cluster(variable("a", secret="x")), cluster(variable("a", secret="y"))) == {"x", "y"}
    assert cluster_secrets(cluster(variable("a")), cluster(variable("a"))) == set()
    assert cluster_secrets(cluster(), None) == set()
    assert cluster_secrets(cluster({"name": "trust", "value": 7}), None) == set()


def test_entries_of_either_form_are_read() -> None:
    assert found(cluster(variable("a")), secrets={USERS: {"a": twice(A)}}) == []
    assert found(cluster(variable("a", secret="x")), secrets={"x": {"a.pem": A}}) == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (A, "not-base64"),
        (twice(twice(A)), "double-base64"),
        ("!", "no-certificate"),
        (twice(twice("x")), "no-certificate"),
    ],
    ids=["once", "three-times", "not-at-all", "text"],
)
def test_a_users_secret_is_encoded_twice(value: str, code: str) -> None:
    [finding] = cluster_findings(cluster(variable("a")), None, {USERS: {"a": value}}, AT)
    assert (finding.code, finding.where) == (code, f"Secret {USERS}[0] (a)")
    if code in {"not-base64", "double-base64"}:
        assert "--from-literal" in finding.next_step


@pytest.mark.parametrize(
    ("secrets", "code"), [({USERS: None}, "no-secret"), ({}, "unread-secret"), ({USERS: {}}, "no-key")]
)
def test_what_is_not_there_yet_is_a_warning(secrets: SecretData, code: str) -> None:
    [finding] = cluster_findings(cluster(variable("a")), None, secrets, AT)
    assert (finding.code, str(finding.severity)) == (code, "Warning")


@pytest.mark.parametrize("value", [None, 7, {}, {"additionalTrustedCAs": [{"name": "a"}, {"name": "a"}]}])
def test_a_value_that_means_nothing_is_an_error(value: object) -> None:
    assert found(cluster({"name": "trust", "value": value})) == [("bad-variable", TOP)]


def test_only_what_changed_is_judged() -> None:
    before = cluster(variable("bad", secret="x"))
    secrets: SecretData = {"x": {"bad.pem": "!"}}
    assert found(before, None, secrets) == [("not-base64", "Secret x[0] (bad)")]
    after = cluster(variable("bad", secret="x"), workers={"machineDeployments": [{"name": "np"}]})
    assert found(after, before, secrets) == []
    assert found(before | {"metadata": {"name": "c", "labels": {"x": "y"}}}, before, secrets) == []


def test_removals_are_judged_by_the_certificates() -> None:
    secrets: SecretData = {USERS: {"a": twice(A), "again": twice(A), "b": twice(B)}}
    before = cluster(variable("a"))
    assert found(cluster(variable("again")), before, secrets) == []
    assert found(cluster(variable("b")), before, secrets) == [("removal-not-allowed", TOP)]
    assert found(cluster(), before, secrets) == [("removal-not-allowed", TOP)]
    allowed = cluster(annotations={"trustplane.dev/allow-removal": "true"})
    assert found(allowed, before, secrets) == [("removal-allowed", TOP)]


def test_removals_are_judged_by_names_where_there_are_no_certificates() -> None:
    before = cluster(variable("a", "b"))
    assert ("removal-not-allowed", TOP) not in found(cluster(variable("a")), before)
    findings = cluster_findings(cluster(variable("c")), before, {}, AT)
    assert "2 of 2 certificates: a, b" in findings[0].what


def test_an_override_loses_nothing_since_it_had_no_effect() -> None:
    secrets: SecretData = {USERS: {"a": twice(A), "b": twice(B)}}
    plain = cluster(variable("a"))
    overridden = cluster(variable("a"), workers={"machineDeployments": [pool("np", "b")]})
    place = "spec.topology.workers.machineDeployments[np].variables.overrides[trust]"
    assert found(overridden, plain, secrets) == [("trust-override", place)]
    assert found(plain, overridden, secrets) == []
    assert cluster_secrets(overridden, plain) == set()


@pytest.mark.parametrize("spec", [{}, {"topology": None}, {"topology": {}}, {"topology": {"workers": None}}])
def test_a_cluster_without_the_variable_is_fine(spec: Json) -> None:
    bare = {"metadata": {"name": "c"}, "spec": spec}
    assert found(bare) == []
    assert found(bare, bare) == []
