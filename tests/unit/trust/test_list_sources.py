from typing import Any

import msgspec

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.configuration import TkgServiceConfiguration
from trustplane.trust import list_sources

ANNOTATION = "trustplane.dev/registry-scope"


def trust(data: dict[str, str], **names: str) -> dict[str, Any]:
    return {"additionalTrustedCAs": [{"name": name, "data": data[ca]} for name, ca in names.items()]}


def tkc(scope: str | None, own: dict[str, Any] | None) -> TanzuKubernetesCluster:
    network = {} if own is None else {"trust": own}
    return msgspec.convert(
        {
            "metadata": {"name": "c", "annotations": {} if scope is None else {ANNOTATION: scope}},
            "spec": {
                "topology": {"controlPlane": {"replicas": 1}, "nodePools": []},
                "settings": {"network": network},
            },
        },
        TanzuKubernetesCluster,
    )


def test_each_list_is_scoped_by_its_own_object(data: dict[str, str]) -> None:
    service = msgspec.convert(
        {
            "metadata": {"name": "tkg-service-configuration", "annotations": {ANNOTATION: "corp=r.test"}},
            "spec": {"trust": trust(data, corp="a")},
        },
        TkgServiceConfiguration,
    )
    assert list_sources.parse_service_list(service, None).trust.scopes == {"corp": ("r.test",)}
    own = list_sources.parse_own_list(tkc("apps=s.test", trust(data, apps="b", more="c")))
    assert own is not None
    assert own.trust.scopes == {"apps": ("s.test",)}


def test_a_missing_own_list_is_none(data: dict[str, str]) -> None:
    assert list_sources.parse_service_list(None, None).is_valid
    assert list_sources.parse_own_list(tkc(None, None)) is None
    assert list_sources.parse_own_list(tkc("", None)) is None
    own = list_sources.parse_own_list(tkc(None, trust(data)))
    assert own is not None
    assert own.is_valid


def test_a_scope_without_a_list_is_a_broken_list() -> None:
    own = list_sources.parse_own_list(tkc("corp=r.test", None))
    assert own is not None
    assert [finding.code for finding in own.findings] == ["unknown-scope-entry"]
