"""MachineHealthChecks that make a marked machine's owner replace it."""

from typing import Any

import msgspec
import pytest

from trustplane.api.clusterapi import Machine, MachineHealthCheck
from trustplane.api.meta import Json
from trustplane.clusterapi.health_checks import is_replaced_by_health_check

CONTROL_PLANE = "cluster.x-k8s.io/control-plane"
PAUSED = {"annotations": {"cluster.x-k8s.io/paused": ""}}
TOPOLOGY = {"topology.cluster.x-k8s.io/owned": ""}
OWNED = {"ownerReferences": [{"kind": "KubeadmControlPlane", "name": "shop", "controller": True}]}


def check(selector: Json | None = None, remediation: Json | None = None, **other: Any) -> MachineHealthCheck:
    spec = {
        "clusterName": other.pop("cluster", "shop"),
        "selector": {"matchLabels": {CONTROL_PLANE: ""}} if selector is None else selector,
        "remediation": remediation or {},
    }
    return msgspec.convert(
        {"metadata": {"name": "m", "namespace": "team-a", **other}, "spec": spec}, MachineHealthCheck
    )


def machine(**other: Any) -> Machine:
    metadata = {"name": "shop-cp-0", "namespace": "team-a", "labels": {CONTROL_PLANE: ""}, **OWNED, **other}
    return msgspec.convert({"metadata": metadata, "spec": {"clusterName": "shop"}}, Machine)


def expression(operator: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": CONTROL_PLANE, "operator": operator, "values": [*values]}]}


@pytest.mark.parametrize(
    ("candidate", "selects"),
    [
        (check(), True),
        (check(expression("Exists")), True),
        (check(expression("In", "", "x")), True),
        (check(expression("DoesNotExist")), False),
        (check(expression("Sometimes")), False),
        (check({"matchLabels": {"pool": "x"}}), False),
        (check({}), False),
        (check(cluster="web"), False),
        (check(namespace="team-b"), False),
        (check(**PAUSED), False),
        (check(deletionTimestamp="2026-01-01T00:00:00Z"), False),
        (check(remediation={"templateRef": {"kind": "Metal3RemediationTemplate", "name": "reboot"}}), False),
        (check(remediation={"triggerIf": {"unhealthyInRange": "[1-2]"}}), True),
    ],
)
def test_a_check_replaces_selected_machines(candidate: MachineHealthCheck, *, selects: bool) -> None:
    assert is_replaced_by_health_check([candidate], machine()) is selects
    assert is_replaced_by_health_check([candidate, check()], machine())
    assert not is_replaced_by_health_check([], machine())


@pytest.mark.parametrize(
    "metadata",
    [
        PAUSED,
        {"annotations": {"cluster.x-k8s.io/skip-remediation": ""}},
        {"ownerReferences": []},
        {"ownerReferences": [{"kind": "Cluster", "name": "shop"}]},
    ],
)
def test_an_excluded_machine_is_not_replaced(metadata: Json) -> None:
    assert not is_replaced_by_health_check([check()], machine(**metadata))


@pytest.mark.parametrize(
    ("name", "labels", "topology", "is_kept"),
    [
        ("shop-remediation", {}, TOPOLOGY, True),
        ("shop", {}, TOPOLOGY, False),  # Cluster API's topology controller deletes it
        ("shop", TOPOLOGY, TOPOLOGY, True),
        ("shop", {}, {}, True),
    ],
)
def test_a_topology_keeps_no_other_check_with_the_name_of_the_control_plane(
    name: str, labels: Json, topology: Json, *, is_kept: bool
) -> None:
    owned = machine(labels={CONTROL_PLANE: "", **topology})
    assert is_replaced_by_health_check([check(name=name, labels=labels)], owned) is is_kept
    assert is_replaced_by_health_check([check(name=name, labels=labels), check()], owned)
