"""Parts of a Cluster excluded from trust: refused or warned of at admission, reported once stored."""

from typing import Any

import msgspec
import pytest

from trustplane.api.clusterapi import Cluster
from trustplane.api.meta import Json
from trustplane.clusterapi.exclusions import exclusion_condition, exclusion_findings

TRUST = {"name": "trust", "value": {"additionalTrustedCAs": [{"name": "corp"}]}}
OTHER = {"name": "trust", "value": {"additionalTrustedCAs": []}}
SIZE = {"name": "vmClass", "value": "small"}
PLANE = "spec.topology.controlPlane.variables.overrides[trust]"
POOL = "spec.topology.workers.machineDeployments[np].variables.overrides[trust]"
POOLS = "spec.topology.workers.machinePools"


def group(*overrides: Json, name: str = "") -> Json:
    return {**({"name": name} if name else {}), "variables": {"overrides": [SIZE, *overrides]}}


def cluster(*, plane: Json | None = None, trust: bool = True, **workers: Any) -> Json:
    topology = {"variables": [SIZE, *([TRUST] if trust else [])], "controlPlane": plane or {}, "workers": workers}
    return {"metadata": {"name": "c", "namespace": "n"}, "spec": {"topology": topology}}


def findings(after: Json, before: Json | None = None) -> list[tuple[str, str, str]]:
    return [(str(finding.severity), finding.code, finding.where) for finding in exclusion_findings(after, before)]


def condition_of(body: Json) -> tuple[str, str, str] | None:
    result = exclusion_condition(msgspec.convert(body, Cluster))
    return (result.status, result.reason, result.message) if result else None


def test_an_override_is_refused_with_the_correct_place_for_trust() -> None:
    body = cluster(plane=group(OTHER), machineDeployments=[group(OTHER, name="np"), group(name="x")])
    assert findings(body) == [("Error", "trust-override", PLANE), ("Error", "trust-override", POOL)]
    for finding in exclusion_findings(body, None):
        assert "trust is for the whole cluster" in finding.what
        assert "spec.topology.variables" in finding.next_step
    assert findings(cluster(plane=group(OTHER), trust=False)) == [("Error", "trust-override", PLANE)]


def test_a_stored_override_blocks_no_other_change() -> None:
    before = cluster(plane=group(OTHER))
    after = cluster(plane=group(OTHER), machineDeployments=[{"name": "np", "replicas": 3}])
    assert findings(after, before) == [("Warning", "trust-override", PLANE)]
    changed = cluster(plane=group(TRUST))
    assert findings(changed, before) == [("Error", "trust-override", PLANE)]
    assert findings(cluster(), before) == []
    more = cluster(plane=group(OTHER), machineDeployments=[group(OTHER, name="np")])
    assert findings(more, before) == [("Warning", "trust-override", PLANE), ("Error", "trust-override", POOL)]


def test_adding_machine_pools_or_trust_causes_a_warning() -> None:
    pools, warning = [{"name": "spot"}], [("Warning", "machine-pools", POOLS)]
    body = cluster(machinePools=pools)
    assert findings(body) == warning
    assert findings(body, cluster()) == warning
    assert findings(body, cluster(machinePools=pools, trust=False)) == warning
    assert findings(body, body) == []
    assert findings(cluster(machinePools=pools, trust=False)) == []
    annotated = cluster(machinePools=pools, trust=False)
    annotated["metadata"]["annotations"] = {"trustplane.dev/trust-secret": "s"}
    assert findings(annotated) == warning


def test_many_pools_are_counted() -> None:
    [finding] = exclusion_findings(cluster(machinePools=[{"name": f"p{number}"} for number in range(9)]), None)
    assert "p0, p1, p2, p3, p4 and 4 more" in finding.what


@pytest.mark.parametrize(
    ("body", "reason", "names"),
    [
        (cluster(), "", []),
        (cluster(plane=group(OTHER)), "OverridesIgnored", [PLANE]),
        (cluster(machineDeployments=[group(OTHER, name="np")]), "OverridesIgnored", [POOL]),
        (cluster(machinePools=[{"name": "spot"}]), "MachinePoolsLeftOut", ["spot"]),
        (cluster(machinePools=[group(TRUST, name="spot")], plane=group(OTHER)), "OverridesIgnored", [PLANE, "spot"]),
    ],
)
def test_a_condition_reports_the_excluded_parts_of_a_stored_cluster(body: Json, reason: str, names: list[str]) -> None:
    result = condition_of(body)
    if not reason:
        assert result is None
        return
    assert result
    assert result[:2] == ("False", reason)
    assert all(name in result[2] for name in names)


@pytest.mark.parametrize(
    "topology",
    [
        None,
        {"controlPlane": None, "workers": None, "variables": None},
        {"controlPlane": {"variables": None}, "workers": {"machineDeployments": None, "machinePools": None}},
        {"controlPlane": {"variables": {"overrides": None}}, "workers": {"machineDeployments": [{"name": "np"}]}},
    ],
)
def test_null_fields_have_no_findings(topology: Json | None) -> None:
    assert findings({"metadata": {"name": "c"}, "spec": {"topology": topology}}) == []
