"""What takes no part in a Cluster's trust: refused where it is written, told where it is stored."""

from typing import Any

import msgspec
import pytest

from trustplane.api.clusterapi import Cluster
from trustplane.api.meta import Json
from trustplane.clusterapi.left_out import exclusion_condition, exclusion_findings

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


def found(after: Json, before: Json | None = None) -> list[tuple[str, str, str]]:
    return [(str(one.severity), one.code, one.where) for one in exclusion_findings(after, before)]


def stated(body: Json) -> tuple[str, str, str] | None:
    one = exclusion_condition(msgspec.convert(body, Cluster))
    return (one.status, one.reason, one.message) if one else None


def test_an_override_is_refused_wherever_it_is_and_says_where_trust_goes() -> None:
    body = cluster(plane=group(OTHER), machineDeployments=[group(OTHER, name="np"), group(name="x")])
    assert found(body) == [("Error", "trust-override", PLANE), ("Error", "trust-override", POOL)]
    for one in exclusion_findings(body, None):
        assert "trust is for the whole cluster" in one.what
        assert "spec.topology.variables" in one.next_step
    assert found(cluster(plane=group(OTHER), trust=False)) == [("Error", "trust-override", PLANE)]


def test_an_override_that_is_stored_already_stops_no_other_change() -> None:
    before = cluster(plane=group(OTHER))
    after = cluster(plane=group(OTHER), machineDeployments=[{"name": "np", "replicas": 3}])
    assert found(after, before) == [("Warning", "trust-override", PLANE)]
    changed = cluster(plane=group(TRUST))
    assert found(changed, before) == [("Error", "trust-override", PLANE)]
    assert found(cluster(), before) == []
    more = cluster(plane=group(OTHER), machineDeployments=[group(OTHER, name="np")])
    assert found(more, before) == [("Warning", "trust-override", PLANE), ("Error", "trust-override", POOL)]


def test_machine_pools_are_left_out_with_a_warning_when_they_or_trust_come() -> None:
    pools, warning = [{"name": "spot"}], [("Warning", "machine-pools", POOLS)]
    body = cluster(machinePools=pools)
    assert found(body) == warning
    assert found(body, cluster()) == warning
    assert found(body, cluster(machinePools=pools, trust=False)) == warning
    assert found(body, body) == []
    assert found(cluster(machinePools=pools, trust=False)) == []
    annotated = cluster(machinePools=pools, trust=False)
    annotated["metadata"]["annotations"] = {"trustplane.dev/trust-secret": "s"}
    assert found(annotated) == warning


def test_many_pools_are_counted() -> None:
    [one] = exclusion_findings(cluster(machinePools=[{"name": f"p{number}"} for number in range(9)]), None)
    assert "p0, p1, p2, p3, p4 and 4 more" in one.what


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (cluster(), "", []),
        (cluster(plane=group(OTHER)), "OverridesIgnored", [PLANE]),
        (cluster(machineDeployments=[group(OTHER, name="np")]), "OverridesIgnored", [POOL]),
        (cluster(machinePools=[{"name": "spot"}]), "MachinePoolsLeftOut", ["spot"]),
        (cluster(machinePools=[group(TRUST, name="spot")], plane=group(OTHER)), "OverridesIgnored", [PLANE, "spot"]),
    ],
)
def test_a_stored_cluster_says_what_is_left_out(body: Json, reason: str, words: list[str]) -> None:
    said = stated(body)
    if not reason:
        assert said is None
        return
    assert said
    assert said[:2] == ("False", reason)
    assert all(one in said[2] for one in words)


@pytest.mark.parametrize(
    "topology",
    [
        None,
        {"controlPlane": None, "workers": None, "variables": None},
        {"controlPlane": {"variables": None}, "workers": {"machineDeployments": None, "machinePools": None}},
        {"controlPlane": {"variables": {"overrides": None}}, "workers": {"machineDeployments": [{"name": "np"}]}},
    ],
)
def test_what_is_null_has_nothing(topology: Json | None) -> None:
    assert found({"metadata": {"name": "c"}, "spec": {"topology": topology}}) == []
