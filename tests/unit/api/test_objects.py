"""Decoding of objects from the wire."""

from pathlib import Path

import msgspec
import pytest
import yaml

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.configuration import (
    STOCK_SPEC,
    TkgServiceConfiguration,
    TkgServiceConfigurationSpec,
    TrustConfiguration,
    is_customised,
)
from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.trust.entries import parse_list

EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str) -> Json:
    document: Json = yaml.safe_load((EXAMPLES / name).read_text())
    return document


def test_the_customers_manifest_has_no_findings() -> None:
    configuration = msgspec.convert(example("tkgserviceconfiguration.yaml"), TkgServiceConfiguration)
    reading = parse_list(configuration.spec.trusted_cas)
    assert reading.findings == ()
    assert reading.trust.names == ["CompanyInternalCA-1", "CompanyInternalCA-2"]
    assert configuration.spec.default_cni == "antrea"


@pytest.mark.parametrize(
    ("name", "own"),
    [("tanzukubernetescluster.yaml", None), ("tanzukubernetescluster-own-trust.yaml", ["TeamInternalCA"])],
)
def test_example_clusters_have_no_findings(name: str, own: list[str] | None) -> None:
    cluster = msgspec.convert(example(name), TanzuKubernetesCluster)
    assert cluster.spec.topology.control_plane.release == "v1.36.3---trustplane.1"
    if own is None:
        assert cluster.spec.own_trust is None
    else:
        reading = parse_list(cluster.spec.own_trust or [])
        assert (reading.findings, reading.trust.names) == ((), own)


def test_the_example_pod_uses_the_example_credentials() -> None:
    secret = msgspec.convert(example("registry-credentials.yaml"), Secret)
    assert secret.type == "kubernetes.io/dockerconfigjson"
    assert example("pod.yaml")["spec"]["imagePullSecrets"] == [{"name": secret.metadata.name}]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: str(file.stem))
def test_examples_hold_no_private_key(file: Path) -> None:
    assert "PRIVATE" not in file.read_text()


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        ({}, None),
        ({"settings": {}}, None),
        ({"settings": {"network": {}}}, None),
        ({"settings": {"network": {"trust": {}}}}, []),
        ({"settings": {"network": {"trust": {"additionalTrustedCAs": []}}}}, []),
    ],
)
def test_no_own_list_differs_from_an_empty_one(settings: Json, own: list[object] | None) -> None:
    cluster = msgspec.convert({"spec": settings}, TanzuKubernetesCluster)
    assert cluster.spec.own_trust == own


def test_the_stock_object_is_not_customised() -> None:
    assert msgspec.to_builtins(STOCK_SPEC) == {"defaultCNI": "antrea"}
    assert not is_customised(TkgServiceConfigurationSpec(default_cni="antrea"))
    assert is_customised(TkgServiceConfigurationSpec(default_cni="calico"))
    assert is_customised(TkgServiceConfigurationSpec(default_cni="antrea", trust=TrustConfiguration()))


def test_variables_of_a_cluster_are_found_by_name() -> None:
    variables = [{"name": "user", "value": {"a": 1}}, {"name": "trust", "value": {"secretName": "x"}}]
    cluster = msgspec.convert({"spec": {"topology": {"variables": variables}}}, Cluster)
    assert cluster.variable("trust") == {"secretName": "x"}
    assert cluster.variable("vmClass") is None
