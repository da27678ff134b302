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
A, B = (entry["data"] for entry in yaml.safe_load(EXAMPLE.read_text())["spec"]["trust"]["additionalTrustedCAs"])
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


def findings(after: Json, before: Json | None = None, secrets: SecretData | None = None) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in cluster_findings(after, before, secrets or {}, AT)]


def test_either_form_names_its_secret() -> None:
    assert cluster_secrets(cluster(variable("a")), None) == {USERS}
    assert cluster_secrets(cluster(variable("a", secret="x")), cluster(variable("a", secret="y"))) == {"x", "y"}
    assert cluster_secrets(cluster(variable("a")), cluster(variable("a"))) == set()
    assert cluster_secrets(cluster(), None) == set()
    assert cluster_secrets(cluster({"name": "trust", "value": 7}), None) == set()


def test_entries_of_either_form_are_read() -> None:
    assert findings(cluster(variable("a")), secrets={USERS: {"a": twice(A)}}) == []
    assert findings(cluster(variable("a", secret="x")), secrets={"x": {"a.pem": A}}) == []


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
def test_an_absent_secret_or_key_is_a_warning(secrets: SecretData, code: str) -> None:
    [finding] = cluster_findings(cluster(variable("a")), None, secrets, AT)
    assert (finding.code, str(finding.severity)) == (code, "Warning")


@pytest.mark.parametrize("value", [None, 7, {}, {"additionalTrustedCAs": [{"name": "a"}, {"name": "a"}]}])
def test_an_invalid_value_is_an_error(value: object) -> None:
    assert findings(cluster({"name": "trust", "value": value})) == [("bad-variable", TOP)]


def test_an_unchanged_value_has_no_findings() -> None:
    before = cluster(variable("bad", secret="x"))
    secrets: SecretData = {"x": {"bad.pem": "!"}}
    assert findings(before, None, secrets) == [("not-base64", "Secret x[0] (bad)")]
    after = cluster(variable("bad", secret="x"), workers={"machineDeployments": [{"name": "np"}]})
    assert findings(after, before, secrets) == []
    assert findings(before | {"metadata": {"name": "c", "labels": {"x": "y"}}}, before, secrets) == []


def test_removals_are_counted_by_certificate() -> None:
    secrets: SecretData = {USERS: {"a": twice(A), "again": twice(A), "b": twice(B)}}
    before = cluster(variable("a"))
    assert findings(cluster(variable("again")), before, secrets) == []
    assert findings(cluster(variable("b")), before, secrets) == [("removal-not-allowed", TOP)]
    assert findings(cluster(), before, secrets) == [("removal-not-allowed", TOP)]
    allowed = cluster(annotations={"trustplane.dev/allow-removal": "true"})
    assert findings(allowed, before, secrets) == [("removal-allowed", TOP)]


def test_removals_are_counted_by_name_without_certificates() -> None:
    before = cluster(variable("a", "b"))
    assert ("removal-not-allowed", TOP) not in findings(cluster(variable("a")), before)
    removal, *_ = cluster_findings(cluster(variable("c")), before, {}, AT)
    assert "2 of 2 certificates: a, b" in removal.what


def test_a_removed_override_is_no_removal_of_trust() -> None:
    secrets: SecretData = {USERS: {"a": twice(A), "b": twice(B)}}
    plain = cluster(variable("a"))
    overridden = cluster(variable("a"), workers={"machineDeployments": [pool("np", "b")]})
    place = "spec.topology.workers.machineDeployments[np].variables.overrides[trust]"
    assert findings(overridden, plain, secrets) == [("trust-override", place)]
    assert findings(plain, overridden, secrets) == []
    assert cluster_secrets(overridden, plain) == set()


@pytest.mark.parametrize("spec", [{}, {"topology": None}, {"topology": {}}, {"topology": {"workers": None}}])
def test_a_cluster_without_the_variable_is_fine(spec: Json) -> None:
    bare = {"metadata": {"name": "c"}, "spec": spec}
    assert findings(bare) == []
    assert findings(bare, bare) == []
