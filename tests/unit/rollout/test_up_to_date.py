"""Condition TrustUpToDate of machines and clusters."""

import re
from dataclasses import replace as changed

import pytest
from hypothesis import given, settings
from tests.unit.rollout.test_planning import NEW, OLD, cluster, control_plane, observed, opened, proven, worker

from trustplane.rollout.planning.inputs import REPLACE_MACHINES, Canary, RolloutInput, RolloutNode
from trustplane.rollout.planning.plan import plan_rollout
from trustplane.rollout.planning.up_to_date import cluster_condition, machine_condition

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


def reported(subject: RolloutInput, node: RolloutNode) -> tuple[str, str]:
    condition = machine_condition(subject, node)
    return condition.status, condition.reason


def of_all(subject: RolloutInput) -> tuple[str, str]:
    condition = cluster_condition(subject, plan_rollout(subject))
    return condition.status, condition.reason


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (worker("a", NEW), (TRUE, "UpToDate")),
        (worker("a", NEW, is_busy=True, is_reachable=False), (TRUE, "UpToDate")),
        (worker("a", None, booted_with=NEW), (TRUE, "UpToDate")),
        (worker("a", NEW, has_drifted=True), (FALSE, "Drifted")),
        (worker("a", None, booted_with=None), (UNKNOWN, "Unknown")),
        (worker("a", None, booted_with=NEW, has_joined=False), (UNKNOWN, "Joining")),
        (worker("a", None, booted_with=OLD, has_joined=False, is_stuck=True), (UNKNOWN, "Stuck")),
        (worker("a"), (FALSE, "Waiting")),
        (worker("a", is_busy=True), (FALSE, "Busy")),
        (worker("a", is_reachable=False, is_writing=True), (FALSE, "Unreachable")),
        (worker("a", update_error="no space left", is_writing=True), (FALSE, "Failing")),
        (worker("a", is_writing=True), (FALSE, "Writing")),
    ],
)
def test_the_condition_of_a_machine(node: RolloutNode, expected: tuple[str, str]) -> None:
    assert reported(opened(node, proven("b")), node) == expected


def test_an_update_error_is_quoted() -> None:
    node = worker("a", update_error="{no} space left")
    assert "{no} space left" in machine_condition(opened(node), node).message


def test_the_condition_of_the_canary() -> None:
    node, other = worker("a", is_writing=True), worker("b")
    subject = cluster(node, other, canary=Canary("a", NEW))
    assert (reported(subject, node), reported(subject, other)) == ((FALSE, "Canary"), (FALSE, "Waiting"))
    assert reported(changed(subject, last_proven=NEW), node) == (FALSE, "Writing")  # a control plane node in its turn
    assert reported(changed(subject, canary=Canary("a", OLD)), node) == (FALSE, "Writing")


def test_a_machine_of_a_waiting_cluster_has_the_clusters_reason() -> None:
    node = worker("b")
    assert reported(cluster(worker("a", NEW, refused=NEW), node), node) == (FALSE, "Refused")
    assert reported(cluster(worker("a"), node, is_paused=True), node) == (FALSE, "Paused")
    assert reported(cluster(worker("a"), node, strategy=REPLACE_MACHINES), node) == (FALSE, "Rolling")
    refuser = worker("a", NEW, refused=NEW)
    assert reported(cluster(refuser, node), refuser) == (TRUE, "UpToDate")  # whether it refuses does not matter


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (opened(), (TRUE, "NoNodes")),
        (opened(proven("a"), worker("b", NEW)), (TRUE, "UpToDate")),
        (opened(proven("a"), worker("b", None, booted_with=OLD, has_joined=False)), (TRUE, "UpToDate")),
        (opened(proven("a"), worker("b", None, booted_with=None)), (UNKNOWN, "Unknown")),
        (opened(proven("a"), worker("b")), (FALSE, "Writing")),
        (opened(proven("a"), worker("b", is_reachable=False)), (FALSE, "Unreachable")),
        (opened(proven("a"), worker("b", NEW, has_drifted=True)), (FALSE, "Drifted")),
        (cluster(worker("a"), worker("b")), (FALSE, "Canary")),
        (cluster(worker("a", NEW), control_plane("b"), canary=Canary("a", NEW)), (FALSE, "Proving")),
        (cluster(worker("a", NEW, refused=NEW), worker("b")), (FALSE, "Refused")),
        (cluster(worker("a"), is_paused=True), (FALSE, "Paused")),
    ],
)
def test_the_condition_of_a_cluster(subject: RolloutInput, expected: tuple[str, str]) -> None:
    assert of_all(subject) == expected


REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")  # of metav1.Condition


@settings(max_examples=150)
@given(observed)
def test_true_means_that_the_nodes_have_the_set(subject: RolloutInput) -> None:
    for node in subject.nodes:
        condition = machine_condition(subject, node)
        assert (condition.status == TRUE) == (node.has_joined and subject.has_in_force(node))
        assert (condition.status == UNKNOWN) == (not node.has_joined or node.current is None)
        assert REASON.fullmatch(condition.reason)
        assert condition.message
    joined = [node for node in subject.nodes if node.has_joined]
    whole = cluster_condition(subject, plan_rollout(subject))
    assert (whole.status == TRUE) == all(subject.has_in_force(node) for node in joined)
    assert (whole.reason in {"UpToDate", "NoNodes"}) == (whole.status == TRUE)
    assert REASON.fullmatch(whole.reason)


@settings(max_examples=100)
@given(observed)
def test_a_condition_does_not_depend_on_writes_to_other_machines(subject: RolloutInput) -> None:
    """Otherwise each write to a node would update every other Machine."""
    for number, node in enumerate(subject.nodes):
        others = [
            changed(other, is_writing=not other.is_writing) if other is not node else other for other in subject.nodes
        ]
        assert machine_condition(changed(subject, nodes=tuple(others)), others[number]) == machine_condition(
            subject, node
        )
