"""What is lost of an update in place, told from a Machine and its configuration."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import PENDING_HOOKS, PENDING_MOVE, UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import KubeadmConfig, KubeadmControlPlane, Machine, MachineDeployment
from trustplane.api.clustertrust import TRUST_APPLIED
from trustplane.clusterapi.lost_update import Loss, is_generation_lost, loss

OLD, NEW = "0" * 64, "1" * 64


def machine(*marks: str, applied: str = NEW, node: str = "n", deleted: bool = False) -> Machine:
    annotations = dict.fromkeys(marks, "") | ({TRUST_APPLIED: json.dumps({"digest": applied})} if applied else {})
    metadata = {"name": "m", "annotations": annotations} | (
        {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}
    )
    return msgspec.convert({"metadata": metadata, "status": {"nodeRef": {"name": node}}}, Machine)


def config(secret: str) -> KubeadmConfig:
    source = {"secret": {"name": secret, "key": "x.pem"}}
    return msgspec.convert(
        {"spec": {"files": [{"path": "/etc/ssl/certs/tkg-x.pem", "contentFrom": source}]}}, KubeadmConfig
    )


NAMES_NEW, OF_A_USER = config(f"c-trust-{NEW[:10]}"), config("c-user-trusted-ca-secret")


@pytest.mark.parametrize("applied", [OLD, NEW, ""])
@pytest.mark.parametrize("is_stepwise", [True, False])
def test_a_machine_that_waits_for_its_new_owner_without_a_mark_has_lost_it(applied: str, *, is_stepwise: bool) -> None:
    found = machine(PENDING_MOVE, applied=applied)
    assert loss(found, NAMES_NEW, is_stepwise=is_stepwise) is Loss.MARK


def test_a_node_without_what_its_configuration_names_was_never_written() -> None:
    assert loss(machine(applied=OLD), NAMES_NEW, is_stepwise=False) is Loss.WORK


def test_a_node_with_what_its_configuration_names_has_lost_nothing() -> None:
    assert loss(machine(applied=NEW), NAMES_NEW, is_stepwise=False) is Loss.NOTHING


@pytest.mark.parametrize(
    ("found", "named", "is_stepwise"),
    [
        (machine(PENDING_HOOKS, applied=OLD), NAMES_NEW, False),  # Cluster API is about to take the marks away
        (machine(applied=OLD), NAMES_NEW, True),  # a small control plane: the configuration follows the node
        (machine(applied=OLD), None, False),
        (machine(applied=OLD, node=""), NAMES_NEW, False),
        (machine(applied=""), NAMES_NEW, False),  # made with what its configuration names
        (machine(applied=OLD), OF_A_USER, False),  # content of a user's Secret: a change of it is none of the machine
        (machine(PENDING_MOVE, applied=OLD, deleted=True), NAMES_NEW, False),
    ],
)
def test_nothing_is_lost(found: Machine, named: KubeadmConfig | None, *, is_stepwise: bool) -> None:
    assert loss(found, named, is_stepwise=is_stepwise) is Loss.NOTHING


@given(
    marks=st.sets(st.sampled_from([PENDING_MOVE, PENDING_HOOKS])),
    applied=st.sampled_from([OLD, NEW, ""]),
    is_stepwise=st.booleans(),
)
def test_nothing_is_lost_while_the_mark_is_there(marks: set[str], applied: str, *, is_stepwise: bool) -> None:
    found = machine(UPDATE_IN_PROGRESS, *marks, applied=applied)
    assert loss(found, NAMES_NEW, is_stepwise=is_stepwise) is Loss.NOTHING


@pytest.mark.parametrize("kind", [MachineDeployment, KubeadmControlPlane])
@pytest.mark.parametrize(
    ("observed", "told", "is_lost"),
    [
        (2, {"RollingOut": 2}, False),
        (1, {"RollingOut": 2}, True),
        (1, {"RollingOut": 1}, False),  # not looked at yet
        (1, {"RollingOut": 1, "Paused": 2}, False),  # paused: only that was looked at
        (1, {}, False),
    ],
)
def test_a_generation_is_lost_where_conditions_know_it_and_the_status_does_not(
    kind: type[MachineDeployment | KubeadmControlPlane], observed: int, told: dict[str, int], *, is_lost: bool
) -> None:
    conditions = [{"type": one, "status": "False", "observedGeneration": seen} for one, seen in told.items()]
    status = {"observedGeneration": observed, "conditions": conditions}
    assert is_generation_lost(msgspec.convert({"metadata": {"generation": 2}, "status": status}, kind)) is is_lost
