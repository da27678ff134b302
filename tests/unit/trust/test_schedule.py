from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    NOT_TRUSTED,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    Inspection,
    ProofResult,
    RecordedProof,
)
from trustplane.trust.schedule import INTERVAL, REFUSED, RETRY, Demand, inspection_due_at, merged, proof_due_at, wait
from trustplane.trust.standing import NodeFacts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DIGEST = "b" * 64
HOST, OTHER = "registry.corp:5000", "other.corp"
DEMAND = Demand(in_force=DIGEST, hosts=frozenset({HOST}))


def proof(verdict: str = TRUSTED, *, at: datetime = NOW, host: str = HOST) -> RecordedProof:
    return RecordedProof(digest=DIGEST, at=at, results=[ProofResult(registry=host, verdict=verdict)])


def node(**values: object) -> NodeFacts:
    known = {"machine": "m", "node": "n", "created": NOW - 100 * SECOND, "digest": DIGEST, "proof": proof()}
    return NodeFacts(**(known | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "pause"), [(TRUSTED, INTERVAL), (NOT_TRUSTED, REFUSED), (UNREACHABLE, RETRY), (UNCLEAR, RETRY)]
)
def test_a_proof_is_repeated_the_sooner_the_less_it_says(verdict: str, pause: timedelta) -> None:
    assert proof_due_at(node(proof=proof(verdict)), DEMAND, NOW) == NOW + pause


@pytest.mark.parametrize(
    "facts", [node(proof=None), node(changed=NOW), node(proof=proof(host=OTHER)), node(digest=DIGEST[:10], proof=None)]
)
def test_it_is_due_at_once_without_a_proof_since_the_last_change(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) == NOW


def test_files_are_not_looked_at_before_the_configuration_names_them() -> None:
    assert inspection_due_at(node(is_configured=False), DEMAND, NOW) is None
    assert inspection_due_at(node(), DEMAND, NOW) == NOW


def test_a_change_that_another_clock_puts_into_the_future_is_waited_for() -> None:
    later = NOW + 5 * SECOND
    assert proof_due_at(node(changed=later), DEMAND, NOW) == later


@pytest.mark.parametrize(
    "facts",
    [
        node(node=""),
        node(silence="stopped", proof=None),
        node(digest="", is_updating=True),
        node(digest="c" * 64, is_updating=True),
        node(digest="c" * 64, is_up_to_date=False),
    ],
)
def test_a_node_that_cannot_answer_or_is_about_to_change_is_not_asked(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) is None
    assert inspection_due_at(facts, DEMAND, NOW) is None


def test_a_node_with_the_changed_set_is_asked_while_its_update_still_ends() -> None:
    assert proof_due_at(node(is_updating=True, is_up_to_date=False, proof=None), DEMAND, NOW) == NOW


def test_without_registries_only_files_are_looked_at() -> None:
    demand = Demand(in_force=DIGEST, hosts=frozenset())
    assert proof_due_at(node(), demand, NOW) is None
    assert inspection_due_at(node(), demand, NOW) == NOW


@pytest.mark.parametrize(("seconds", "due"), [(-1, INTERVAL), (0, INTERVAL), (1, SECOND), (9999, INTERVAL)])
def test_a_request_counts_once_and_at_its_time(seconds: int, due: timedelta) -> None:
    demand = Demand(in_force=DIGEST, hosts=frozenset({HOST}), requested_at=NOW + seconds * SECOND)
    assert proof_due_at(node(), demand, NOW) == NOW + due
    assert inspection_due_at(node(inspection=Inspection(digest=DIGEST, at=NOW)), demand, NOW) == NOW + due


def test_what_differs_is_looked_at_sooner() -> None:
    for look in (Inspection(message="edited"), Inspection(error="no SSH"), Inspection(refusal="another key")):
        look.digest, look.at = DIGEST, NOW
        assert inspection_due_at(node(inspection=look), DEMAND, NOW) == NOW + REFUSED


def test_waiting_is_for_the_first_time_that_comes() -> None:
    assert wait([None, NOW + SECOND, NOW + INTERVAL], NOW) == SECOND
    assert wait([NOW - SECOND], NOW) == timedelta()
    assert wait([None], NOW) is None


def test_what_other_registries_said_since_the_change_stays() -> None:
    old = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=OTHER), ProofResult(registry="gone")])
    new = [ProofResult(registry=HOST, verdict=TRUSTED)]
    found = merged(node(proof=old), new, digest=DIGEST, at=NOW + SECOND, hosts={HOST, OTHER})
    assert [one.registry for one in found.results] == [OTHER, HOST]
    assert found.at == NOW
    found = merged(node(proof=old, changed=NOW), new, digest=DIGEST, at=NOW + SECOND, hosts={HOST, OTHER})
    assert found == RecordedProof(digest=DIGEST, at=NOW + SECOND, results=new)


@given(
    st.lists(st.sampled_from([HOST, OTHER, "third"]), unique=True),
    st.lists(st.sampled_from([HOST, OTHER, "third"]), unique=True),
    st.integers(0, 100),
)
def test_merging_never_makes_a_proof_younger_than_any_part_of_it(old: list[str], new: list[str], seconds: int) -> None:
    before = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=one) for one in old])
    at = NOW + seconds * SECOND
    results = [ProofResult(registry=one) for one in new]
    found = merged(node(proof=before), results, digest=DIGEST, at=at, hosts={HOST, OTHER})
    kept = {one.registry for one in found.results} - set(new)
    assert kept == (set(old) & {HOST, OTHER}) - set(new)
    assert found.at == (NOW if kept else at)
