from typing import Any

import pytest

from trustplane_local import provider

CRDS = {crd["spec"]["names"]["kind"]: crd for crd in provider.provider_crds()}


def schema(kind: str) -> dict[str, Any]:
    root: dict[str, Any] = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def test_two_kinds_and_their_templates_are_defined() -> None:
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
def test_every_field_has_a_description_for_kubectl_explain(kind: str) -> None:
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
def test_the_fields_of_the_contract_are_defined(kind: str, field: str) -> None:
    part = schema(kind)
    for name in field.split("."):
        part = part["properties"][name]


def test_the_identity_of_a_machine_is_immutable() -> None:
    spec = schema("LocalMachine")["properties"]["spec"]["properties"]
    for field in ("index", "providerID"):
        assert [validation["rule"] for validation in spec[field]["x-kubernetes-validations"]] == ["self == oldSelf"]
