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

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DIGEST = "b" * 64
HOST, OTHER = "registry.corp:5000", "other.corp"
DEMAND = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST}))


def proof(verdict: str = TRUSTED, *, at: datetime = NOW, host: str = HOST) -> RecordedProof:
    return RecordedProof(digest=DIGEST, at=at, results=[ProofResult(registry=host, verdict=verdict)])


def seen(*hosts: str, at: datetime = NOW, is_partial: bool = False) -> Inspection:
    reached = [RegistryAccess(registry=host, verification=VERIFIED) for host in hosts]
    return Inspection(digest=DIGEST, at=at, is_partial=is_partial, registries=reached, registries_at=at)


def node(**values: object) -> NodeFacts:
    known = {"machine": "m", "node": "n", "created": NOW - 100 * SECOND, "digest": DIGEST, "proof": proof()}
    return NodeFacts(**(known | values))  # type: ignore[arg-type]


def proof_due_at(facts: NodeFacts, demand: ProofDemand, now: datetime) -> datetime | None:
    """Return when the one node of a cluster is to be asked about its one registry."""
    asked = schedule_proofs([facts], demand, now)
    assert len(asked) <= 1
    return asked[0].due if asked else None


@pytest.mark.parametrize(
    ("verdict", "pause"),
    [
        (TRUSTED, PROOF_INTERVAL),
        (NOT_TRUSTED, REFUSED_INTERVAL),
        (UNREACHABLE, RETRY_INTERVAL),
        (UNCLEAR, RETRY_INTERVAL),
    ],
)
def test_a_proof_is_repeated_the_sooner_the_less_it_says(verdict: str, pause: timedelta) -> None:
    assert proof_due_at(node(proof=proof(verdict)), DEMAND, NOW) == NOW + pause


@pytest.mark.parametrize(
    "facts", [node(proof=None), node(changed=NOW), node(proof=proof(host=OTHER)), node(digest=DIGEST[:10], proof=None)]
)
def test_it_is_due_since_its_last_change_without_a_proof_of_that(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) == facts.changed_at <= NOW


def test_a_node_is_looked_at_again_when_it_is_known_what_its_files_are_to_be() -> None:
    # How it reaches registries is to be known at once; its files can be compared later only.
    unreadable = replace(DEMAND, is_readable=False)
    look = seen(HOST, is_partial=True)
    assert inspection_due_at(node(), DEMAND, NOW) == node().changed_at
    assert inspection_due_at(node(), unreadable, NOW) == node().changed_at
    assert inspection_due_at(node(inspection=look), unreadable, NOW) == NOW + PROOF_INTERVAL
    assert inspection_due_at(node(inspection=look), DEMAND, NOW) == NOW


def test_what_could_not_be_read_of_a_node_is_tried_again_soon() -> None:
    look = seen(HOST)
    look.registries[0].verification = UNREADABLE
    assert inspection_due_at(node(inspection=look), DEMAND, NOW) == NOW + REFUSED_INTERVAL


def test_a_registry_that_was_not_looked_at_is_looked_at_at_once() -> None:
    both = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST, OTHER}))
    assert inspection_due_at(node(inspection=seen(HOST)), both, NOW) == NOW
    assert inspection_due_at(node(inspection=seen(HOST, OTHER)), both, NOW) == NOW + PROOF_INTERVAL


@pytest.mark.parametrize(("ahead", "due"), [(-SECOND, -SECOND), (5 * SECOND, 0 * SECOND), (MAX_CLOCK_SKEW, 0 * SECOND)])
def test_a_change_that_another_clock_puts_into_the_future_is_proven_at_once(ahead: timedelta, due: timedelta) -> None:
    facts = node(changed=NOW + ahead, proof=None)
    assert proof_due_at(facts, DEMAND, NOW) == inspection_due_at(facts, DEMAND, NOW) == NOW + due
    at = probe_record_time(NOW, facts, DEMAND)
    proven = merge_results(facts, [ProofResult(registry=HOST, verdict=TRUSTED, at=at)], digest=DIGEST, hosts={HOST})
    assert node(changed=NOW + ahead, proof=proven).valid_proof == proven


def test_a_change_that_is_too_far_in_the_future_for_a_clock_is_waited_for() -> None:
    later = NOW + MAX_CLOCK_SKEW + 10 * SECOND
    assert proof_due_at(node(changed=later), DEMAND, NOW) == NOW + 10 * SECOND


@given(
    ahead=st.timedeltas(timedelta(minutes=-10), MAX_CLOCK_SKEW - SECOND),
    later=st.timedeltas(timedelta(), timedelta(minutes=5)),
    behind=st.timedeltas(timedelta(), MAX_CLOCK_SKEW - SECOND),
)
def test_an_answer_from_before_a_write_never_vouches_for_it_whatever_the_clocks(
    ahead: timedelta, later: timedelta, behind: timedelta
) -> None:
    before = node(changed=NOW - 60 * SECOND, proof=proof(at=NOW + ahead), inspection=seen(HOST, at=NOW + ahead))
    written = replace(before, changed=write_record_time(NOW, before))
    assert written.valid_proof is None
    assert written.valid_inspection is None
    # Another manager takes over, whose clock is behind: its answer counts, and counts at once.
    asked = NOW + later - behind
    at = probe_record_time(asked, written, DEMAND)
    answer = merge_results(written, [ProofResult(registry=HOST, verdict=TRUSTED, at=at)], digest=DIGEST, hosts={HOST})
    assert replace(written, proof=answer).valid_proof == answer


def test_a_record_from_the_far_future_does_not_move_a_write_there() -> None:
    forged = node(changed=NOW - SECOND, proof=proof(at=NOW + timedelta(days=3000)))
    assert write_record_time(NOW, forged) == NOW


@pytest.mark.parametrize(
    "facts",
    [
        node(node=""),
        node(silence="stopped", proof=None),
        node(digest=""),
        node(digest="c" * 64),
        node(is_partial=True),
    ],
)
def test_a_node_that_cannot_answer_or_is_about_to_change_is_not_asked(facts: NodeFacts) -> None:
    assert proof_due_at(facts, DEMAND, NOW) is None
    assert inspection_due_at(facts, DEMAND, NOW) is None


def test_a_node_with_the_changed_set_is_asked_though_cluster_api_is_busy_with_it() -> None:
    assert proof_due_at(node(is_busy=True, proof=None), DEMAND, NOW) == node().changed_at


def test_without_registries_only_files_are_looked_at() -> None:
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset())
    assert proof_due_at(node(), demand, NOW) is None
    assert inspection_due_at(node(), demand, NOW) == node().changed_at


@pytest.mark.parametrize(
    ("seconds", "due"), [(-1, PROOF_INTERVAL), (0, PROOF_INTERVAL), (1, 0 * SECOND), (9999, PROOF_INTERVAL)]
)
def test_a_request_counts_once_whatever_the_clock_of_who_made_it(seconds: int, due: timedelta) -> None:
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST}), requested_at=NOW + seconds * SECOND)
    done = node(proof=proof(at=probe_record_time(NOW, node(), demand)))
    assert proof_due_at(done, demand, NOW) == NOW + PROOF_INTERVAL + (SECOND if seconds == 1 else 0 * SECOND)
    assert proof_due_at(node(), demand, NOW) == NOW + due
    assert inspection_due_at(node(inspection=seen(HOST)), demand, NOW) == NOW + due


def test_what_differs_is_looked_at_sooner() -> None:
    for look in (Inspection(message="edited"), Inspection(error="no SSH"), Inspection(refusal="another key")):
        look.digest, look.at, look.registries = DIGEST, NOW, seen(HOST).registries
        assert inspection_due_at(node(inspection=look), DEMAND, NOW) == NOW + REFUSED_INTERVAL


def test_waiting_is_for_the_first_time_that_comes() -> None:
    assert time_until_first([None, NOW + SECOND, NOW + PROOF_INTERVAL], NOW) == SECOND
    assert time_until_first([NOW - SECOND], NOW) == timedelta()
    assert time_until_first([None], NOW) is None


def test_what_other_registries_said_since_the_change_stays() -> None:
    old = RecordedProof(digest=DIGEST, at=NOW, results=[ProofResult(registry=OTHER), ProofResult(registry="gone")])
    new = [ProofResult(registry=HOST, verdict=TRUSTED, at=NOW + SECOND)]
    known = merge_results(node(proof=old), new, digest=DIGEST, hosts={HOST, OTHER})
    assert [(one.registry, one.at) for one in known.results] == [(OTHER, NOW), (HOST, NOW + SECOND)]
    assert known.at == NOW
    known = merge_results(node(proof=old, changed=NOW), new, digest=DIGEST, hosts={HOST, OTHER})
    assert known == RecordedProof(digest=DIGEST, at=NOW + SECOND, results=new)


HOSTS = st.sampled_from([HOST, OTHER, "third"])


@given(st.dictionaries(HOSTS, st.integers(1, 50)), st.dictionaries(HOSTS, st.integers(1, 100), min_size=1))
def test_merging_never_makes_a_result_younger_and_a_proof_is_as_old_as_its_oldest(
    old: dict[str, int], new: dict[str, int]
) -> None:
    def results(seconds: dict[str, int]) -> list[ProofResult]:
        return [ProofResult(registry=host, at=NOW + one * SECOND) for host, one in sorted(seconds.items())]

    before = RecordedProof(digest=DIGEST, at=NOW + min(old.values(), default=0) * SECOND, results=results(old))
    known = merge_results(node(proof=before), results(new), digest=DIGEST, hosts={HOST, OTHER})
    kept = {host: one for host, one in old.items() if host in (HOST, OTHER) and host not in new}
    assert known.results == results(kept | new)
    assert known.at == NOW + min((kept | new).values()) * SECOND
    assert includes_proof(known, RecordedProof(digest=DIGEST, at=known.at, results=results(new)))


def test_a_proof_includes_another_when_nothing_of_that_is_newer() -> None:
    recorded = proof()
    recorded.results[0].at = NOW
    assert includes_proof(recorded, recorded)
    assert not includes_proof(None, recorded)
    assert not includes_proof(proof(at=NOW - SECOND), recorded)
    assert not includes_proof(proof(host=OTHER), recorded)


def nodes(*verdicts: str) -> list[NodeFacts]:
    """Return nodes that were asked a second after each other, the last of them now."""
    last = len(verdicts) - 1
    return [
        node(machine=f"m{number}", node=f"n{number}", proof=proof(one, at=NOW - (last - number) * SECOND))
        for number, one in enumerate(verdicts)
    ]


def test_a_registry_is_silent_when_the_last_nodes_that_asked_had_no_answer() -> None:
    assert silent_registries(nodes(TRUSTED, *[UNCLEAR, UNREACHABLE] * 3), DEMAND) == {HOST}
    assert silent_registries(nodes(*[UNREACHABLE] * 4), DEMAND) == set()
    assert silent_registries(nodes(*[UNREACHABLE] * 9, NOT_TRUSTED), DEMAND) == set()
    assert is_silent([False] * SILENT_AFTER)
    assert not is_silent([False] * (SILENT_AFTER - 1))


def test_a_silent_registry_is_asked_by_those_who_have_waited_longest_and_by_few() -> None:
    asked = schedule_proofs(nodes(*[UNREACHABLE] * 20), DEMAND, NOW)
    soon = [one for one in asked if one.due < NOW + 2 * RETRY_INTERVAL]
    assert {one.facts.machine for one in soon} == {f"m{number}" for number in range(MAX_SILENT_PROBES)}
    # Within the last minute, eight were asked: the first of them is the one to wait for.
    assert {one.due for one in soon} == {NOW - (MAX_SILENT_PROBES - 1) * SECOND + RETRY_INTERVAL}
    assert all(one.due > NOW + PROOF_INTERVAL - 20 * SECOND for one in asked[MAX_SILENT_PROBES:])


def test_a_silent_registry_delays_no_question_about_another_one_and_no_first_one() -> None:
    many = [*nodes(*[UNREACHABLE] * 20), node(machine="new", node="new", proof=None)]
    demand = ProofDemand(in_force=DIGEST, hosts=frozenset({HOST, OTHER}))
    asked = schedule_proofs(many, demand, NOW)
    due = {(one.facts.machine, one.host): one.due for one in asked}
    assert len(due) == 42
    assert all(at <= NOW for (machine, host), at in due.items() if host == OTHER or machine == "new")
    assert [one.due for one in asked] == sorted(one.due for one in asked)


def test_a_registry_that_answers_again_is_asked_by_all_who_had_no_answer() -> None:
    asked = schedule_proofs(nodes(*[UNREACHABLE] * 20, TRUSTED), DEMAND, NOW)
    assert sum(one.due <= NOW + RETRY_INTERVAL for one in asked) == 20
