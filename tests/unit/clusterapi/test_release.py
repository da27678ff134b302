from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding
from trustplane.clusterapi.release import (
    available_updates,
    release_body,
    release_order,
    release_status,
    resolve_release,
)


def release(version: str) -> TanzuKubernetesRelease:
    return msgspec.convert(release_body(version), TanzuKubernetesRelease)


RELEASES = [release(one) for one in ("v1.36.10", "v1.35.1", "v1.37.0", "v1.36.3", "v1.38.0", "v1.37.0-rc.1")]


def tkc(name: str = "", *, pool: str = "", **distribution: str) -> TanzuKubernetesCluster:
    body: dict[str, Any] = {"spec": {"topology": {"controlPlane": {}, "nodePools": [{"name": "np"}]}}}
    if name:
        body["spec"]["topology"]["controlPlane"] = {"tkr": {"reference": {"name": name}}}
    if pool:
        body["spec"]["topology"]["nodePools"][0]["tkr"] = {"reference": {"name": pool}}
    if distribution:
        body["spec"]["distribution"] = distribution
    return msgspec.convert(body, TanzuKubernetesCluster)


def found(cluster: TanzuKubernetesCluster, running: str = "") -> str:
    result = resolve_release(cluster, RELEASES, running=running)
    return result.code if isinstance(result, Finding) else result.metadata.name


def test_a_release_is_named_and_labelled_like_the_original() -> None:
    body = release_body("v1.36.3")
    assert body["metadata"] == {
        "name": "v1.36.3---trustplane.1",
        "labels": {
            "v1": "",
            "v1.36": "",
            "v1.36.3": "",
            "v1.36.3---trustplane": "",
            "v1.36.3---trustplane.1": "",
        },
    }
    assert body["spec"] == {"version": "v1.36.3+trustplane.1", "kubernetes": {"version": "v1.36.3"}}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("v1.36.3---trustplane.1", "v1.36.3---trustplane.1"),
        ("v1.36.3+trustplane.1", "v1.36.3---trustplane.1"),
        ("v1.36.3", "v1.36.3---trustplane.1"),
        ("1.36.3", "v1.36.3---trustplane.1"),
        ("v1.36", "v1.36.10---trustplane.1"),
        ("v1.37", "v1.37.0---trustplane.1"),
        ("v1", "v1.38.0---trustplane.1"),
        ("", "v1.38.0---trustplane.1"),
        ("v1.36.1", "unknown-release"),
        ("v1.3", "unknown-release"),
        ("v2", "unknown-release"),
        ("latest", "unknown-release"),
    ],
)
def test_a_release_is_found_by_name_or_hint(hint: str, expected: str) -> None:
    assert found(tkc(hint)) == expected
    assert found(tkc(version=hint) if hint else tkc()) == expected


def test_the_deprecated_full_version_comes_before_the_hint() -> None:
    assert found(tkc(fullVersion="v1.36.3+trustplane.1", version="v1.37")) == "v1.36.3---trustplane.1"
    assert found(tkc("v1.35", fullVersion="v1.36.3+trustplane.1")) == "v1.35.1---trustplane.1"


def test_a_hint_stays_with_what_runs() -> None:
    assert found(tkc("v1.36"), running="v1.36.3") == "v1.36.3---trustplane.1"
    assert found(tkc("v1.37"), running="v1.36.3") == "v1.37.0---trustplane.1"


def test_pools_run_the_control_plane_s_release() -> None:
    assert found(tkc("v1.36.3", pool="v1.36")) == "v1.36.3---trustplane.1"
    assert found(tkc("v1.36.3", pool="v1.37.0")) == "mixed-releases"
    assert found(tkc("v1.36.3", pool="v9")) == "mixed-releases"


def test_an_unknown_release_is_answered_with_the_known_ones() -> None:
    result = resolve_release(tkc("v2"), RELEASES)
    assert isinstance(result, Finding)
    assert "There is no release v2" in str(result)
    assert "v1.35.1---trustplane.1, v1.36.3---trustplane.1, v1.36.10---trustplane.1" in str(result)
    assert "kubectl get tkr" in str(result)
    assert isinstance(resolve_release(tkc("v2"), []), Finding)


def test_releases_are_in_order() -> None:
    versions = [one.spec.kubernetes.version for one in sorted(RELEASES, key=release_order)]
    assert versions == ["v1.35.1", "v1.36.3", "v1.36.10", "v1.37.0-rc.1", "v1.37.0", "v1.38.0"]


def test_updates_skip_no_minor_version() -> None:
    assert available_updates(release("v1.36.3"), RELEASES) == [
        "v1.36.10+trustplane.1",
        "v1.37.0-rc.1+trustplane.1",
        "v1.37.0+trustplane.1",
    ]
    assert available_updates(release("v1.38.0"), RELEASES) == []


def test_a_release_reports_that_it_can_be_used() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    body = release_status(release("v1.36.3"), now=now)
    assert [(one["type"], one["status"]) for one in body["status"]["conditions"]] == [
        ("Ready", "True"),
        ("Compatible", "True"),
        ("Valid", "True"),
    ]
    again = release_status(
        msgspec.convert(body | release_body("v1.36.3"), TanzuKubernetesRelease), now=datetime.now(UTC)
    )
    assert again == body
