"""What condition TrustUpToDate says of machines and clusters."""

import re
from dataclasses import replace as changed

import pytest
from hypothesis import given, settings
from tests.unit.trust.test_rollout import NEW, OLD, cluster, control_plane, observed, opened, proven, worker

from trustplane.trust.rollout.observed import REPLACE, Canary, Node, Observed
from trustplane.trust.rollout.plan import plan
from trustplane.trust.rollout.up_to_date import of_cluster, of_machine

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


def said(seen: Observed, node: Node) -> tuple[str, str]:
    found = of_machine(seen, node)
    return found.status, found.reason


def of_all(seen: Observed) -> tuple[str, str]:
    found = of_cluster(seen, plan(seen))
    return found.status, found.reason


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (worker("a", NEW), (TRUE, "UpToDate")),
        (worker("a", NEW, busy=True, reachable=False), (TRUE, "UpToDate")),
        (worker("a", None, booted=NEW), (TRUE, "UpToDate")),
        (worker("a", NEW, drifted=True), (FALSE, "Drifted")),
        (worker("a", None, booted=None), (UNKNOWN, "Unknown")),
        (worker("a", None, booted=NEW, joined=False), (UNKNOWN, "Joining")),
        (worker("a", None, booted=OLD, joined=False, stuck=True), (UNKNOWN, "Stuck")),
        (worker("a"), (FALSE, "Waiting")),
        (worker("a", busy=True), (FALSE, "Busy")),
        (worker("a", reachable=False, writing=True), (FALSE, "Unreachable")),
        (worker("a", failing="no space left", writing=True), (FALSE, "Failing")),
        (worker("a", writing=True), (FALSE, "Writing")),
    ],
)
def test_a_machine_says_what_its_node_has_and_what_it_waits_for(node: Node, expected: tuple[str, str]) -> None:
    assert said(opened(node, proven("b")), node) == expected


def test_why_writing_failed_is_told() -> None:
    node = worker("a", failing="{no} space left")
    assert "{no} space left" in of_machine(opened(node), node).message


def test_the_canary_says_so_while_it_is_written() -> None:
    node, other = worker("a", writing=True), worker("b")
    seen = cluster(node, other, canary=Canary("a", NEW))
    assert (said(seen, node), said(seen, other)) == ((FALSE, "Canary"), (FALSE, "Waiting"))
    assert said(changed(seen, last_proven=NEW), node) == (FALSE, "Writing")  # a control plane, one by one
    assert said(changed(seen, canary=Canary("a", OLD)), node) == (FALSE, "Writing")


def test_a_machine_that_waits_for_all_says_why() -> None:
    node = worker("b")
    assert said(cluster(worker("a", NEW, refused=NEW), node), node) == (FALSE, "Refused")
    assert said(cluster(worker("a"), node, paused=True), node) == (FALSE, "Paused")
    assert said(cluster(worker("a"), node, strategy=REPLACE), node) == (FALSE, "Rolling")
    refuser = worker("a", NEW, refused=NEW)
    assert said(cluster(refuser, node), refuser) == (TRUE, "UpToDate")  # that it refuses is no matter of what it has


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (opened(), (TRUE, "NoNodes")),
        (opened(proven("a"), worker("b", NEW)), (TRUE, "UpToDate")),
        (opened(proven("a"), worker("b", None, booted=OLD, joined=False)), (TRUE, "UpToDate")),
        (opened(proven("a"), worker("b", None, booted=None)), (UNKNOWN, "Unknown")),
        (opened(proven("a"), worker("b")), (FALSE, "Writing")),
        (opened(proven("a"), worker("b", reachable=False)), (FALSE, "Unreachable")),
        (opened(proven("a"), worker("b", NEW, drifted=True)), (FALSE, "Drifted")),
        (cluster(worker("a"), worker("b")), (FALSE, "Canary")),
        (cluster(worker("a", NEW), control_plane("b"), canary=Canary("a", NEW)), (FALSE, "Proving")),
        (cluster(worker("a", NEW, refused=NEW), worker("b")), (FALSE, "Refused")),
        (cluster(worker("a"), paused=True), (FALSE, "Paused")),
    ],
)
def test_a_cluster_says_whether_every_node_has_it(seen: Observed, expected: tuple[str, str]) -> None:
    assert of_all(seen) == expected


REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")  # of metav1.Condition


@settings(max_examples=150)
@given(observed)
def test_whatever_is_observed_true_means_that_the_set_is_there(seen: Observed) -> None:
    for node in seen.nodes:
        found = of_machine(seen, node)
        assert (found.status == TRUE) == (node.joined and seen.has_wanted(node))
        assert (found.status == UNKNOWN) == (not node.joined or node.holds is None)
        assert REASON.fullmatch(found.reason)
        assert found.message
    joined = [one for one in seen.nodes if one.joined]
    whole = of_cluster(seen, plan(seen))
    assert (whole.status == TRUE) == all(seen.has_wanted(one) for one in joined)
    assert (whole.reason in {"UpToDate", "NoNodes"}) == (whole.status == TRUE)
    assert REASON.fullmatch(whole.reason)


@settings(max_examples=100)
@given(observed)
def test_whose_turn_it_is_is_told_of_no_other_machine(seen: Observed) -> None:
    """Else each write on a node would be a write on every other Machine."""
    for number, node in enumerate(seen.nodes):
        others = [changed(one, writing=not one.writing) if one is not node else one for one in seen.nodes]
        assert of_machine(changed(seen, nodes=tuple(others)), others[number]) == of_machine(seen, node)
