from collections.abc import Iterator

import pytest

from trustplane.api.crds import crds
from trustplane.api.meta import Json

BY_KIND = {crd["spec"]["names"]["kind"]: crd for crd in crds()}


def schemas(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    yield path, schema
    inner = {**schema.get("properties", {}), "[]": schema.get("items"), "{}": schema.get("additionalProperties")}
    for name, child in inner.items():
        if child:
            yield from schemas(child, f"{path}.{name}")


def fields(kind: str) -> list[tuple[str, Json]]:
    [version] = BY_KIND[kind]["spec"]["versions"][-1:]
    return list(schemas(version["schema"]["openAPIV3Schema"], kind))


def test_kinds_names_and_scopes_match_the_originals() -> None:
    actual = {
        kind: (
            crd["metadata"]["name"],
            crd["spec"]["scope"],
            crd["spec"]["names"].get("shortNames"),
            [version["name"] for version in crd["spec"]["versions"] if version["served"]],
        )
        for kind, crd in BY_KIND.items()
    }
    assert actual == {
        "TkgServiceConfiguration": (
            "tkgserviceconfigurations.run.tanzu.vmware.com",
            "Cluster",
            None,
            ["v1alpha1", "v1alpha2", "v1alpha3"],
        ),
        "TanzuKubernetesCluster": (
            "tanzukubernetesclusters.run.tanzu.vmware.com",
            "Namespaced",
            ["tkc"],
            ["v1alpha3"],
        ),
        "TanzuKubernetesRelease": ("tanzukubernetesreleases.run.tanzu.vmware.com", "Cluster", ["tkr"], ["v1alpha3"]),
        "Registry": ("registries.trustplane.dev", "Cluster", None, ["v1alpha1"]),
        "ClusterTrust": ("clustertrusts.trustplane.dev", "Namespaced", ["ctrust"], ["v1alpha1"]),
    }


@pytest.mark.parametrize("kind", BY_KIND)
def test_only_the_last_version_is_stored_and_all_have_a_status(kind: str) -> None:
    versions = BY_KIND[kind]["spec"]["versions"]
    assert [version["storage"] for version in versions] == [False] * (len(versions) - 1) + [True]
    assert all("status" in version["subresources"] for version in versions)


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_field_is_described(kind: str) -> None:
    assert [path for path, schema in fields(kind) if not schema.get("description")] == [f"{kind}.metadata"]


@pytest.mark.parametrize("kind", BY_KIND)
def test_strings_and_lists_are_bounded(kind: str) -> None:
    unbounded = [
        path
        for path, schema in fields(kind)
        if (schema.get("type") == "string" and "maxLength" not in schema and schema.get("format") != "date-time")
        or (schema.get("type") == "array" and "maxItems" not in schema)
    ]
    assert unbounded == []


@pytest.mark.parametrize("kind", BY_KIND)
def test_messages_of_rules_name_problem_reason_and_next_step(kind: str) -> None:
    for path, schema in fields(kind):
        for rule in schema.get("x-kubernetes-validations", []):
            assert rule["message"].count(". ") >= 1, path
