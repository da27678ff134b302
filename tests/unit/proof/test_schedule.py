from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    NOT_TRUSTED,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    UNREADABLE,
    VERIFIED,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.proof.schedule import (
    MAX_CLOCK_SKEW,
    MAX_SILENT_PROBES,
    MIN_RETRY_AFTER_CHANGE,
    PROOF_INTERVAL,
    REFUSED_INTERVAL,
    RETRY_INTERVAL,
    SILENT_AFTER,
    ProofDemand,
    includes_proof,
    inspection_due_at,
    is_silent,
    merge_results,
    probe_record_time,
    schedule_proofs,
    silent_registries,
    time_until_first,
    write_record_time,
)
from trustplane.trust.request_times import next_request_time

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
LONG_AGO = NOW - timedelta(hours=1)
DIGEST = "b" * 64
HOST, OTHER = "registry.corp:5000", "other.corp"
DEMAND = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST}))


def proof(verdict: str = TRUSTED, *, at: datetime = NOW, host: str = HOST) -> RecordedProof:
    return RecordedProof(digest=DIGEST, at=at, results=[ProofResult(registry=host, verdict=verdict)])


def inspected(*hosts: str, at: datetime = NOW, is_partial: bool = False) -> Inspection:
    reached = [RegistryAccess(registry=host, verification=VERIFIED) for host in hosts]
    return Inspection(digest=DIGEST, at=at, is_partial=is_partial, registries=reached, registries_at=at)


def node(**values: object) -> NodeFacts:
    known = {"machine": "m", "node": "n", "created": NOW - 100 * SECOND, "digest": DIGEST, "proof": proof()}
    return NodeFacts(**(known | values))  # type: ignore[arg-type]


def proof_due_at(facts: NodeFacts, demand: ProofDemand, now: datetime) -> datetime | None:
    """Return when the single node of a cluster must prove its single registry."""
    due_questions = schedule_proofs([facts], demand, now)
    assert len(due_questions) <= 1
    return due_questions[0].due if due_questions else None


@pytest.mark.parametrize(
    ("verdict", "pause"),
    [
        (TRUSTED, PROOF_INTERVAL),
        (NOT_TRUSTED, REFUSED_INTERVAL),
        (UNREACHABLE, RETRY_INTERVAL),
        (UNCLEAR, RETRY_INTERVAL),
    ],
)
def test_less_informative_proofs_are_repeated_sooner(verdict: str, pause: timedelta) -> None:
    assert proof_due_at(node(proof=proof(verdict)), DEMAND, NOW) == NOW + pause


@pytest.mark.parametrize(
    "facts", [node(proof=None), node(changed=NOW), node(proof=proof(host=OTHER)), node(digest=DIGEST[:10], proof=None)]
)
def test_an_unproven_change_is_due_since_its_time(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) == facts.changed_at <= NOW


def test_a_node_is_inspected_again_when_the_sets_content_becomes_known() -> None:
    # The access to registries is inspected immediately; files can only be compared later.
    unreadable = replace(DEMAND, is_readable=False)
    inspection = inspected(HOST, is_partial=True)
    assert inspection_due_at(node(), DEMAND, NOW) == node().changed_at
    assert inspection_due_at(node(), unreadable, NOW) == node().changed_at
    assert inspection_due_at(node(inspection=inspection), unreadable, NOW) == NOW + PROOF_INTERVAL
    assert inspection_due_at(node(inspection=inspection), DEMAND, NOW) == NOW


def test_an_incomplete_inspection_is_retried_soon() -> None:
    inspection = inspected(HOST)
    inspection.registries[0].verification = UNREADABLE
    assert inspection_due_at(node(inspection=inspection, changed=LONG_AGO), DEMAND, NOW) == NOW + REFUSED_INTERVAL


@pytest.mark.parametrize(
    "inspection", [Inspection(error="Connection lost"), Inspection(message="not loaded"), Inspection()]
)
def test_an_inspection_that_fails_after_a_change_is_retried_with_growing_intervals(inspection: Inspection) -> None:
    inspection.digest, inspection.at, inspection.registries = DIGEST, NOW + SECOND, inspected(HOST).registries
    inspection.registries[0].verification = UNREADABLE
    waits: list[timedelta] = []
    while not waits or waits[-1] < REFUSED_INTERVAL:
        due = inspection_due_at(node(changed=NOW, inspection=inspection), DEMAND, inspection.at)
        assert due
        waits.append(due - inspection.at)
        inspection.at = due
    assert waits == sorted(waits)
    assert waits[0] == MIN_RETRY_AFTER_CHANGE
    assert len(waits) < 10


def test_a_new_registry_is_inspected_immediately() -> None:
    both = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST, OTHER}))
    assert inspection_due_at(node(inspection=inspected(HOST)), both, NOW) == NOW
    assert inspection_due_at(node(inspection=inspected(HOST, OTHER)), both, NOW) == NOW + PROOF_INTERVAL


@pytest.mark.parametrize(("ahead", "due"), [(-SECOND, -SECOND), (5 * SECOND, 0 * SECOND), (MAX_CLOCK_SKEW, 0 * SECOND)])
def test_a_change_dated_in_the_future_by_another_clock_is_proven_immediately(ahead: timedelta, due: timedelta) -> None:
    facts = node(changed=NOW + ahead, proof=None)
    assert proof_due_at(facts, DEMAND, NOW) == inspection_due_at(facts, DEMAND, NOW) == NOW + due
    at = probe_record_time(NOW, facts, DEMAND)
    proven = merge_results(facts, [ProofResult(registry=HOST, verdict=TRUSTED, at=at)], digest=DIGEST, hosts={HOST})
    assert node(changed=NOW + ahead, proof=proven).valid_proof == proven


def test_a_change_too_far_in_the_future_delays_its_proof() -> None:
    later = NOW + MAX_CLOCK_SKEW + 10 * SECOND
    assert proof_due_at(node(changed=later), DEMAND, NOW) == NOW + 10 * SECOND


@given(
    ahead=st.timedeltas(timedelta(minutes=-10), MAX_CLOCK_SKEW - SECOND),
    later=st.timedeltas(timedelta(), timedelta(minutes=5)),
    behind=st.timedeltas(timedelta(), MAX_CLOCK_SKEW - SECOND),
)
def test_a_result_from_before_a_write_never_proves_it_with_any_clocks(
    ahead: timedelta, later: timedelta, behind: timedelta
) -> None:
    before = node(changed=NOW - 60 * SECOND, proof=proof(at=NOW + ahead), inspection=inspected(HOST, at=NOW + ahead))
    written = replace(before, changed=write_record_time(NOW, before))
    assert written.valid_proof is None
    assert written.valid_inspection is None
    # A new manager takes over, with a clock behind: its result counts immediately.
    began = NOW + later - behind
    at = probe_record_time(began, written, DEMAND)
    answer = merge_results(written, [ProofResult(registry=HOST, verdict=TRUSTED, at=at)], digest=DIGEST, hosts={HOST})
    assert replace(written, proof=answer).valid_proof == answer


def test_a_record_from_the_far_future_does_not_move_a_write_there() -> None:
    forged = node(changed=NOW - SECOND, proof=proof(at=NOW + timedelta(days=3000)))
    assert write_record_time(NOW, forged) == NOW


@pytest.mark.parametrize(
    "facts",
    [
        node(node=""),
        node(unreachable_reason="stopped", proof=None),
        node(digest=""),
        node(digest="c" * 64),
        node(is_partial=True),
    ],
)
def test_a_node_that_cannot_answer_or_is_about_to_change_is_not_probed(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) is None
    assert inspection_due_at(facts, DEMAND, NOW) is None


def test_a_node_with_the_changed_set_is_probed_while_cluster_api_is_busy_with_it() -> None:
    assert proof_due_at(node(is_busy=True, proof=None), DEMAND, NOW) == node().changed_at


def test_without_registries_only_files_are_inspected() -> None:
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset())
    assert proof_due_at(node(), demand, NOW) is None
    assert inspection_due_at(node(), demand, NOW) == node().changed_at


@pytest.mark.parametrize(
    ("seconds", "due"), [(-1, PROOF_INTERVAL), (0, PROOF_INTERVAL), (1, 0 * SECOND), (9999, PROOF_INTERVAL)]
)
def test_a_request_counts_once_with_any_clock(seconds: int, due: timedelta) -> None:
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST}), requested_at=NOW + seconds * SECOND)
    done = node(proof=proof(at=probe_record_time(NOW, node(), demand)))
    assert proof_due_at(done, demand, NOW) == NOW + PROOF_INTERVAL + (SECOND if seconds == 1 else 0 * SECOND)
    assert proof_due_at(node(), demand, NOW) == NOW + due
    assert inspection_due_at(node(inspection=inspected(HOST)), demand, NOW) == NOW + due


@given(ahead=st.timedeltas(-PROOF_INTERVAL, 2 * MAX_CLOCK_SKEW), later=st.timedeltas(TICK, PROOF_INTERVAL))
def test_a_request_after_an_answered_one_is_answered_now_with_any_clock(ahead: timedelta, later: timedelta) -> None:
    first = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST}), requested_at=NOW + ahead)
    answered = node(proof=proof(at=probe_record_time(NOW, node(), first)))
    now = NOW + later
    second = replace(first, requested_at=next_request_time(now, requested=first.requested_at))
    due = proof_due_at(answered, second, now)
    assert due is not None
    assert due <= now + TICK


def test_drift_is_inspected_again_sooner() -> None:
    for inspection in (Inspection(message="edited"), Inspection(error="no SSH"), Inspection(refusal="another key")):
        inspection.digest, inspection.at, inspection.registries = DIGEST, NOW, inspected(HOST).registries
        facts = node(inspection=inspection, changed=LONG_AGO)
        assert inspection_due_at(facts, DEMAND, NOW) == NOW + REFUSED_INTERVAL


def test_the_wait_ends_at_the_first_time() -> None:
    assert time_until_first([None, NOW + SECOND, NOW + PROOF_INTERVAL], NOW) == SECOND
    assert time_until_first([NOW - SECOND], NOW) == timedelta()
    assert time_until_first([None], NOW) is None


def test_results_of_other_registries_since_the_change_stay() -> None:
    old = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=OTHER), ProofResult(registry="gone")])
    new = [ProofResult(registry=HOST, verdict=TRUSTED, at=NOW + SECOND)]
    known = merge_results(node(proof=old), new, digest=DIGEST, hosts={HOST, OTHER})
    assert [(result.registry, result.at) for result in known.results] == [(OTHER, NOW), (HOST, NOW + SECOND)]
    assert known.at == NOW
    known = merge_results(node(proof=old, changed=NOW), new, digest=DIGEST, hosts={HOST, OTHER})
    assert known == RecordedProof(digest=DIGEST, at=NOW + SECOND, results=new)


HOSTS = st.sampled_from([HOST, OTHER, "third"])


@given(st.dictionaries(HOSTS, st.integers(1, 50)), st.dictionaries(HOSTS, st.integers(1, 100), min_size=1))
def test_merging_never_makes_a_result_younger_and_a_proof_is_as_old_as_its_oldest(
    old: dict[str, int], new: dict[str, int]
) -> None:
    def results(seconds: dict[str, int]) -> list[ProofResult]:
        return [ProofResult(registry=host, at=NOW + second * SECOND) for host, second in sorted(seconds.items())]

    before = RecordedProof(digest=DIGEST, at=NOW + min(old.values(), default=0) * SECOND, results=results(old))
    known = merge_results(node(proof=before), results(new), digest=DIGEST, hosts={HOST, OTHER})
    kept = {host: second for host, second in old.items() if host in (HOST, OTHER) and host not in new}
    assert known.results == results(kept | new)
    assert known.at == NOW + min((kept | new).values()) * SECOND
    assert includes_proof(known, RecordedProof(digest=DIGEST, at=known.at, results=results(new)))


def test_a_proof_includes_another_without_newer_results() -> None:
    recorded = proof()
    recorded.results[0].at = NOW
    assert includes_proof(recorded, recorded)
    assert not includes_proof(None, recorded)
    assert not includes_proof(proof(at=NOW - SECOND), recorded)
    assert not includes_proof(proof(host=OTHER), recorded)


def nodes(*verdicts: str) -> list[NodeFacts]:
    """Return nodes that were probed one second apart, the last of them now."""
    last = len(verdicts) - 1
    return [
        node(machine=f"m{number}", node=f"n{number}", proof=proof(verdict, at=NOW - (last - number) * SECOND))
        for number, verdict in enumerate(verdicts)
    ]


def test_a_registry_without_answers_to_the_last_nodes_is_silent() -> None:
    assert silent_registries(nodes(TRUSTED, *[UNCLEAR, UNREACHABLE] * 3), DEMAND) == {HOST}
    assert silent_registries(nodes(*[UNREACHABLE] * 4), DEMAND) == set()
    assert silent_registries(nodes(*[UNREACHABLE] * 9, NOT_TRUSTED), DEMAND) == set()
    assert is_silent([False] * SILENT_AFTER)
    assert not is_silent([False] * (SILENT_AFTER - 1))


def test_a_silent_registry_is_probed_by_few_nodes_longest_wait_first() -> None:
    due_questions = schedule_proofs(nodes(*[UNREACHABLE] * 20), DEMAND, NOW)
    soon = [question for question in due_questions if question.due < NOW + 2 * RETRY_INTERVAL]
    assert {question.facts.machine for question in soon} == {f"m{number}" for number in range(MAX_SILENT_PROBES)}
    # Eight were probed within the last minute; the next probe waits for the first of them.
    assert {question.due for question in soon} == {NOW - (MAX_SILENT_PROBES - 1) * SECOND + RETRY_INTERVAL}
    assert all(question.due > NOW + PROOF_INTERVAL - 20 * SECOND for question in due_questions[MAX_SILENT_PROBES:])


def test_a_silent_registry_delays_no_other_registry_and_no_first_probe() -> None:
    many = [*nodes(*[UNREACHABLE] * 20), node(machine="new", node="new", proof=None)]
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST, OTHER}))
    due_questions = schedule_proofs(many, demand, NOW)
    due = {(question.facts.machine, question.host): question.due for question in due_questions}
    assert len(due) == 42
    assert all(at <= NOW for (machine, host), at in due.items() if host == OTHER or machine == "new")
    assert [question.due for question in due_questions] == sorted(question.due for question in due_questions)


def test_a_recovered_registry_is_probed_by_all_nodes_without_a_result() -> None:
    due_questions = schedule_proofs(nodes(*[UNREACHABLE] * 20, TRUSTED), DEMAND, NOW)
    assert sum(question.due <= NOW + RETRY_INTERVAL for question in due_questions) == 20
