from typing import Any

import pytest

from trustplane_local import provider

CRDS = {one["spec"]["names"]["kind"]: one for one in provider.provider_crds()}


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def test_there_are_two_kinds_and_their_templates() -> None:
    assert set(CRDS) == {"LocalCluster", "LocalMachine", "LocalClusterTemplate", "LocalMachineTemplate"}


@pytest.mark.parametrize("kind", CRDS)
def test_names_and_labels_are_those_of_the_contract(kind: str) -> None:
    # sigs.k8s.io/cluster-api/util/contract.CalculateCRDName
    assert CRDS[kind]["metadata"]["name"] == f"{kind.lower()}s.infrastructure.trustplane.dev"
    assert CRDS[kind]["metadata"]["labels"]["cluster.x-k8s.io/v1beta2"] == "v1alpha1"
    assert CRDS[kind]["spec"]["scope"] == "Namespaced"


def undescribed(path: str, part: dict[str, Any]) -> list[str]:
    missing = [] if part.get("description") else [path]
    for name, child in part.get("properties", {}).items():
        missing += undescribed(f"{path}.{name}", child)
    return missing


@pytest.mark.parametrize("kind", CRDS)
def test_kubectl_explain_teaches_every_field(kind: str) -> None:
    assert undescribed(kind, schema(kind)) == []


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("LocalCluster", "spec.controlPlaneEndpoint.host"),
        ("LocalCluster", "spec.controlPlaneEndpoint.port"),
        ("LocalCluster", "status.initialization.provisioned"),
        ("LocalCluster", "status.conditions"),
        ("LocalMachine", "spec.providerID"),
        ("LocalMachine", "status.initialization.provisioned"),
        ("LocalMachine", "status.addresses"),
        ("LocalMachine", "status.conditions"),
        ("LocalClusterTemplate", "spec.template.spec"),
        ("LocalMachineTemplate", "spec.template.metadata"),
    ],
)
def test_fields_of_the_contract_are_there(kind: str, field: str) -> None:
    part = schema(kind)
    for name in field.split("."):
        part = part["properties"][name]


def test_what_identifies_a_machine_cannot_change() -> None:
    spec = schema("LocalMachine")["properties"]["spec"]["properties"]
    for field in ("index", "providerID"):
        assert [one["rule"] for one in spec[field]["x-kubernetes-validations"]] == ["self == oldSelf"]
