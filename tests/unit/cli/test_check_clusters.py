"""`trustplane check` on Cluster API's Clusters, and on all versions and forms of the original's kinds."""

import base64
import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from assets.material import GOOD, SECOND
from oracle.pem import data, pem
from trustplane.cli import check

AT = ("--at", "2026-11-23T12:00:00Z")
Json = dict[str, Any]


def run(*objects: Json) -> tuple[int, list[str], Json]:
    content = yaml.safe_dump_all(objects).encode()
    result = CliRunner().invoke(check.command, [*AT, "-o", "json", "-"], input=content)
    document = json.loads(result.output)
    return result.exit_code, [finding["code"] for finding in document["findings"]], document


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def cluster(*names: str, version: str = "v1beta2", namespace: str = "team", **value: Any) -> Json:
    trust = {"additionalTrustedCAs": [{"name": name} for name in names], **value}
    return {
        "apiVersion": f"cluster.x-k8s.io/{version}",
        "kind": "Cluster",
        "metadata": {"name": "demo", "namespace": namespace},
        "spec": {"topology": {"variables": [{"name": "vmClass", "value": "small"}, {"name": "trust", "value": trust}]}},
    }


def secret(name: str = "demo-user-trusted-ca-secret", field: str = "data", **values: str) -> Json:
    metadata = {"name": name, "namespace": "team"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, field: values}


def tkc(version: str, name: str, *ders: bytes) -> Json:
    entries = [{"name": "corp", "data": data(der)} for der in ders]
    return {
        "apiVersion": f"run.tanzu.vmware.com/{version}",
        "kind": "TanzuKubernetesCluster",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"settings": {"network": {"trust": {"additionalTrustedCAs": entries}}}},
    }


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_cluster_with_its_users_secret(version: str) -> None:
    code, findings, document = run(cluster("corp", version=version), secret(corp=encoded(data(GOOD))))
    assert (code, findings) == (0, [])
    assert [entry["where"] for entry in document["certificates"]] == ["Secret demo-user-trusted-ca-secret data.corp"]


def test_secret_of_plain_text() -> None:
    assert run(cluster("corp"), secret(field="stringData", corp=data(GOOD)))[:2] == (0, [])
    named = cluster("corp", secretName="cas")
    assert run(named, secret("cas", "stringData", **{"corp.pem": pem(GOOD)}))[:2] == (0, [])


def test_cluster_with_a_named_secret() -> None:
    named = cluster("corp", secretName="demo-trust-0123456789")
    good = secret("demo-trust-0123456789", **{"corp.pem": data(GOOD)})
    twice = secret("demo-trust-0123456789", **{"corp.pem": encoded(data(GOOD))})
    assert run(named, good)[:2] == (0, [])
    assert run(named, twice)[:2] == (1, ["double-base64"])


def test_cluster_without_its_secret_is_undecided() -> None:
    code, findings, document = run(cluster("corp"))
    assert (code, findings) == (2, [])
    assert "kubectl get secret -n team demo-user-trusted-ca-secret" in document["undecided"][0]
    assert run(cluster("corp", namespace="other"), secret(corp=encoded(data(GOOD))))[0] == 2


def test_cluster_that_trusts_none_needs_no_secret() -> None:
    assert run(cluster())[:2] == (0, [])


def test_secret_and_cluster_in_two_files(tmp_path: Any) -> None:
    files = {"cluster.yaml": cluster("corp", "gone"), "secret.yaml": secret(corp=encoded(data(GOOD)))}
    for name, obj in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(obj))
    result = CliRunner().invoke(check.command, [*AT, *(str(tmp_path / name) for name in files)])
    assert result.exit_code == 1
    assert "missing-key" in result.output
    assert "has no key gone for entry gone" in result.output


@pytest.mark.parametrize(
    "value",
    [
        {"additionalTrustedCAs": "corp"},
        {"additionalTrustedCAs": ["corp"]},
        {"additionalTrustedCAs": [{"name": "corp"}, {"name": "corp"}]},
        {"additionalTrustedCAs": [{"name": "../corp"}]},
        {"additionalTrustedCAs": [{"name": 7}]},
        {"additionalTrustedCAs": [{"name": "corp", "data": "QUFB"}]},
        {"secretName": 7},
        {"trust": []},
    ],
)
def test_invalid_value_of_the_variable(value: Json) -> None:
    obj = cluster()
    obj["spec"]["topology"]["variables"][1]["value"] = value
    assert run(obj, secret())[:2] == (1, ["bad-variable"])


def test_overrides_of_groups_of_machines_have_no_effect() -> None:
    obj = cluster("corp")
    override = {"variables": {"overrides": [{"name": "trust", "value": {"additionalTrustedCAs": [{"name": "gone"}]}}]}}
    obj["spec"]["topology"]["controlPlane"] = override
    obj["spec"]["topology"]["workers"] = {"machineDeployments": [override], "machinePools": [override]}
    code, findings, document = run(obj, secret(corp=encoded(data(GOOD))))
    assert (code, sorted(findings)) == (1, ["machine-pools", *["trust-override"] * 3])
    places = {one["where"] for one in document["findings"]}
    assert "Cluster team/demo spec.topology.workers.machinePools[0].variables.overrides (trust)" in places


def test_machine_pools_are_left_out() -> None:
    obj = cluster("corp")
    obj["spec"]["topology"]["workers"] = {"machinePools": [{"class": "x", "name": "spot"}]}
    code, findings, document = run(obj, secret(corp=encoded(data(GOOD))))
    assert (code, findings) == (0, ["machine-pools"])
    assert "spot" in document["findings"][0]["what"]


def test_clusters_of_other_projects_have_no_list() -> None:
    code, _, document = run({"apiVersion": "provisioning.cattle.io/v1", "kind": "Cluster"})
    assert (code, document["undecided"]) == (2, ["- has no CAs, only: Cluster"])


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2", "v1alpha3"])
def test_every_version_of_the_originals_kinds(version: str) -> None:
    service = {
        "apiVersion": f"run.tanzu.vmware.com/{version}",
        "kind": "TkgServiceConfiguration",
        "metadata": {"name": "tkg-service-configuration"},
        "spec": {"trust": {"additionalTrustedCAs": [{"name": "corp", "data": data(GOOD)}]}},
    }
    code, findings, document = run(service, tkc(version, "one", SECOND))
    assert (code, findings, len(document["certificates"])) == (0, [], 2)


def test_clusters_with_a_common_ca_are_good() -> None:
    several = {"apiVersion": "v1", "kind": "List", "items": [tkc("v1alpha3", name, GOOD) for name in ("one", "two")]}
    code, findings, document = run(several)
    assert (code, findings) == (0, [])
    assert [certificate["where"].split()[1] for certificate in document["certificates"]] == ["team/one", "team/two"]


def test_a_list_of_another_type_is_reported() -> None:
    obj = tkc("v1alpha3", "one")
    obj["spec"]["settings"]["network"]["trust"]["additionalTrustedCAs"] = {"name": "corp"}
    code, _, document = run(obj, tkc("v1alpha3", "two", GOOD))
    assert code == 2
    assert "is not a list" in document["undecided"][0]


def test_compact_json_is_a_manifest() -> None:
    content = json.dumps(tkc("v1alpha3", "one", GOOD)).encode()
    assert CliRunner().invoke(check.command, [*AT, "-"], input=content).exit_code == 0
