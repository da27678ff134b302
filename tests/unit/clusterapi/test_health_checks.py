"""Which MachineHealthChecks have a machine replaced, once it is marked."""

from typing import Any

import msgspec
import pytest

from trustplane.api.clusterapi import Machine, MachineHealthCheck
from trustplane.api.meta import Json
from trustplane.clusterapi.health_checks import is_replaced_by_health_check

CONTROL_PLANE = "cluster.x-k8s.io/control-plane"
PAUSED = {"annotations": {"cluster.x-k8s.io/paused": ""}}
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
    ("one", "selects"),
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
def test_a_check_replaces_what_it_selects(one: MachineHealthCheck, *, selects: bool) -> None:
    assert is_replaced_by_health_check([one], machine()) is selects
    assert is_replaced_by_health_check([one, check()], machine())
    assert not is_replaced_by_health_check([], machine())


@pytest.mark.parametrize(
    "left",
    [
        PAUSED,
        {"annotations": {"cluster.x-k8s.io/skip-remediation": ""}},
        {"ownerReferences": []},
        {"ownerReferences": [{"kind": "Cluster", "name": "shop"}]},
    ],
)
def test_a_machine_that_nobody_would_replace(left: Json) -> None:
    assert not is_replaced_by_health_check([check()], machine(**left))
