from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    APPLIED,
    FAILED,
    NOT_TRUSTED,
    OUTDATED,
    PENDING,
    PROVEN,
    STATES,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    VERDICTS,
    Inspection,
    ProofResult,
    RecordedProof,
)
from trustplane.trust.standing import NodeFacts, same, standing

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OLD, NEW = "a" * 64, "b" * 64
HOST = "registry.corp:5000"

TIMES = st.integers(-100, 100).map(lambda seconds: NOW + seconds * SECOND)
DIGESTS = st.sampled_from([OLD, NEW, OLD[:10], NEW[:10], ""])
RESULTS = st.builds(ProofResult, registry=st.sampled_from([HOST, "other"]), verdict=st.sampled_from(VERDICTS))
PROOFS = st.builds(RecordedProof, digest=DIGESTS, at=st.none() | TIMES, results=st.lists(RESULTS, max_size=3))
LOOKS = st.builds(
    Inspection,
    digest=DIGESTS,
    at=st.none() | TIMES,
    message=st.sampled_from(["", "edited"]),
    hidden=st.sampled_from(["", "hidden"]),
)
FACTS = st.builds(
    NodeFacts,
    machine=st.just("m"),
    created=TIMES,
    node=st.sampled_from(["", "n"]),
    digest=DIGESTS,
    changed=st.none() | TIMES,
    is_updating=st.booleans(),
    is_up_to_date=st.booleans(),
    update_error=st.sampled_from(["", "no SSH"]),
    silence=st.sampled_from(["", "stopped"]),
    proof=st.none() | PROOFS,
    inspection=st.none() | LOOKS,
)


def proof(verdict: str = TRUSTED, *, digest: str = NEW, at: datetime = NOW) -> RecordedProof:
    return RecordedProof(digest=digest, at=at, results=[ProofResult(registry=HOST, verdict=verdict, message="words")])


def node(**values: object) -> NodeFacts:
    known = {"machine": "m", "node": "n", "created": NOW - 100 * SECOND, "digest": NEW, "proof": proof()}
    return NodeFacts(**(known | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (node(), PROVEN, ""),
        (node(digest=NEW[:10]), PROVEN, ""),
        (node(proof=None), APPLIED, HOST),
        (node(changed=NOW), APPLIED, "no proof since"),
        (node(changed=NOW - SECOND), PROVEN, ""),
        (node(proof=proof(digest=OLD)), APPLIED, HOST),
        (node(proof=proof(NOT_TRUSTED)), NOT_TRUSTED, "is not trusted: words"),
        (node(proof=proof(UNREACHABLE)), UNREACHABLE, "from the node"),
        (node(proof=proof(UNCLEAR)), FAILED, "not understood"),
        (node(node="", digest=""), PENDING, "being made"),
        (node(digest=OLD, is_updating=True), PENDING, "in place"),
        (node(digest="", is_updating=True), PENDING, "(unknown)"),
        (node(digest=OLD, is_up_to_date=False), PENDING, "turn"),
        (node(digest=OLD), OUTDATED, "Delete its Machine"),
        (node(digest=OLD, is_updating=True, update_error="no SSH"), FAILED, "no SSH"),
        (node(is_updating=True, update_error="no SSH"), PROVEN, ""),
        (node(silence="stopped"), UNREACHABLE, "stopped"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited")), OUTDATED, "edited"),
        (node(inspection=Inspection(digest=NEW, at=NOW, hidden="x because of y")), PROVEN, "x because of y"),
        (node(inspection=Inspection(digest=NEW, at=NOW, message="edited", hidden="x")), OUTDATED, "edited; x"),
        (node(inspection=Inspection(digest=NEW, at=NOW, refusal="another key")), FAILED, "another key"),
        (node(inspection=Inspection(digest=NEW, at=NOW, error="no SSH")), PROVEN, ""),
        (
            node(changed=NOW - SECOND, inspection=Inspection(digest=NEW, at=NOW - SECOND, message="before")),
            PROVEN,
            "",
        ),
    ],
)
def test_states(facts: NodeFacts, state: str, words: str) -> None:
    found = standing(facts, NEW, {HOST})
    assert found.state == state
    assert words in found.message


def test_where_files_differ_what_the_kubelet_says_is_told_as_well() -> None:
    look = Inspection(digest=NEW, at=NOW, message="edited")
    found = standing(node(inspection=look, proof=proof(NOT_TRUSTED)), NEW, {HOST})
    assert found.state == OUTDATED
    assert found.message == f"edited; {HOST} is not trusted: words"


def test_without_a_registry_there_is_nothing_to_prove() -> None:
    assert standing(node(), NEW, frozenset()).state == APPLIED


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_every_node_has_one_state_and_says_why(facts: NodeFacts, hosts: frozenset[str]) -> None:
    found = standing(facts, NEW, hosts)
    assert found.state in STATES
    assert found.message or found.state == PROVEN
    assert found.state != PROVEN or found.message in ("", "hidden")


@given(FACTS, st.frozensets(st.sampled_from([HOST, "other"])))
def test_proven_is_never_believed_of_the_past(facts: NodeFacts, hosts: frozenset[str]) -> None:
    if standing(facts, NEW, hosts).state != PROVEN:
        return
    known = facts.proof
    assert hosts
    assert known is not None
    assert known.at is not None
    assert known.at > (facts.changed or facts.created)
    assert same(facts.digest, NEW)
    assert same(known.digest, NEW)
    said = {one.registry: one.verdict for one in known.results}
    assert all(said[host] == TRUSTED for host in hosts)
    assert not facts.silence


@given(FACTS)
def test_a_refusal_is_never_hidden_by_another_answer(facts: NodeFacts) -> None:
    valid = facts.valid_proof
    if valid and any(one.verdict == NOT_TRUSTED and one.registry == HOST for one in valid.results):
        assert standing(facts, NEW, {HOST}).state not in (PROVEN, APPLIED)


def test_unknown_digests_are_equal_to_none() -> None:
    assert not same("", "")
    assert not same("", NEW)
    assert same(NEW, NEW[:10])
