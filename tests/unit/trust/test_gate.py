"""The gate against single scenes, then a whole roll against random orders, crashes and verdicts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import UPDATE_IN_PROGRESS
from trustplane.api.clustertrust import (
    TRUST_APPLIED,
    TRUST_INSPECTION,
    TRUST_PROOF,
    UNREADABLE,
    UNVERIFIABLE,
    VERIFIED,
    AppliedTrust,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.trust.gate import PARALLEL, Canary, Member, Move, Scene, permit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "0" * 64, "1" * 64
HOST = "registry.corp.test"


def applied(digest: str, at: datetime = NOW) -> AppliedTrust:
    return AppliedTrust(digest=digest, at=at, method="InPlace")


def proof(verdict: str, digest: str = NEW, seconds: int = 1, host: str = HOST) -> RecordedProof:
    result = ProofResult(registry=host, verdict=verdict, message="x509: unknown authority")
    return RecordedProof(digest=digest, at=NOW + timedelta(seconds=seconds), results=[result])


def members(*names: str) -> tuple[Member, ...]:
    return tuple(Member(name, is_updating=True, applied=applied(OLD)) for name in names)


def scene(*found: Member, canary: str = "", adds: bool = True, registries: tuple[str, ...] = (HOST,)) -> Scene:
    elected = Canary(NEW, canary, adds) if canary else None
    return Scene(NEW, found or members("a", "b", "c"), elected, registries, "add corp (12ab)")


def seen(verification: str = VERIFIED, reason: str = "", *, digest: str = NEW, seconds: int = 1) -> Inspection:
    reached = RegistryAccess(registry=HOST, verification=verification, reason=reason)
    return Inspection(digest=digest, at=NOW + timedelta(seconds=seconds), registries=[reached])


def taken(name: str, said: RecordedProof | None = None, look: Inspection | None = None) -> Member:
    return Member(name, applied=applied(NEW), proof=said or RecordedProof(), inspection=look or seen())


def test_without_a_canary_a_machine_is_to_be_elected() -> None:
    assert permit("b", scene()).move is Move.ELECT


def test_a_canary_of_another_set_counts_for_nothing() -> None:
    assert permit("b", replace(scene(), canary=Canary(OLD, "a"))).move is Move.ELECT


def test_the_canary_goes_and_the_others_wait_for_it() -> None:
    assert permit("a", scene(canary="a")).move is Move.GO
    other = permit("b", scene(canary="a"))
    assert (other.move, other.reason) == (Move.WAIT, "Machine a takes the changed trust first")


def test_the_others_wait_for_the_proof() -> None:
    waiting = permit("b", scene(taken("a"), *members("b"), canary="a"))
    assert (waiting.move, waiting.reason) == (Move.WAIT, f"Waiting for the proof of registry {HOST} on Machine a")


def test_when_it_is_proven_the_others_go() -> None:
    assert permit("b", scene(taken("a", proof("Trusted")), *members("b"), canary="a")).move is Move.GO


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (Inspection(), "Waiting until it is seen over SSH"),
        (seen(seconds=0), "Waiting until it is seen over SSH"),
        (seen(digest=OLD), "Waiting until it is seen over SSH"),
        (seen(UNREADABLE, "containerd's configuration was changed"), "was changed"),
        (
            Inspection(digest=NEW, at=NOW + timedelta(seconds=1), error="Node refuses the SSH key"),
            "refuses the SSH key",
        ),
        (Inspection(digest=NEW, at=NOW + timedelta(seconds=1), refusal="another host key"), "another host key"),
    ],
)
def test_a_trust_that_was_not_seen_to_be_verified_lets_nobody_go(look: Inspection, why: str) -> None:
    waiting = permit("b", scene(taken("a", proof("Trusted"), look), *members("b"), canary="a"))
    assert waiting.move is Move.WAIT
    assert HOST in waiting.reason
    assert why in waiting.reason


@pytest.mark.parametrize("said", [None, proof("Trusted"), proof("Unclear"), proof("Unreachable")])
def test_a_registry_that_no_pull_can_prove_counts_for_nothing(said: RecordedProof | None) -> None:
    canary = taken("a", said, seen(UNVERIFIABLE, "skip_verify"))
    assert permit("b", scene(canary, *members("b"), canary="a")).move is Move.GO
    both = scene(canary, *members("b"), canary="a", registries=(HOST, "apps.corp.test"))
    assert permit("b", both).move is Move.WAIT


def test_a_refusal_stops_however_the_registry_is_reached() -> None:
    canary = taken("a", proof("NotTrusted"), seen(UNVERIFIABLE, "mirror"))
    assert permit("b", scene(canary, *members("b"), canary="a")).move is Move.STOP


def test_a_removal_needs_no_verified_answer() -> None:
    canary = taken("a", proof("Trusted"), Inspection())
    assert permit("b", scene(canary, *members("b"), canary="a", adds=False)).move is Move.GO


@pytest.mark.parametrize("stale", [proof("Trusted", seconds=0), proof("Trusted", digest=OLD)])
def test_a_proof_from_before_the_change_or_of_another_set_proves_nothing(stale: RecordedProof) -> None:
    assert permit("b", scene(taken("a", stale), *members("b"), canary="a")).move is Move.WAIT


def test_a_bad_ca_stops_after_the_canary_and_names_node_registry_and_fingerprint() -> None:
    stopped = permit("b", scene(taken("a", proof("NotTrusted")), *members("b"), canary="a"))
    assert stopped.move is Move.STOP
    assert all(word in stopped.reason for word in ("Machine a", HOST, "x509", "12ab"))


def test_a_set_that_only_removes_goes_on_at_any_definite_verdict() -> None:
    found = (taken("a", proof("NotTrusted")), *members("b"))
    assert permit("b", scene(*found, canary="a", adds=False)).move is Move.GO


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("verdict", ["Unreachable", "Unclear"])
def test_words_that_say_nothing_about_trust_are_waited_out(verdict: str, *, adds: bool) -> None:
    found = (taken("a", proof(verdict)), *members("b"))
    assert permit("b", scene(*found, canary="a", adds=adds)).move is Move.WAIT


def test_every_registry_counts() -> None:
    found = scene(taken("a", proof("Trusted")), *members("b"), canary="a", registries=(HOST, "apps.corp.test"))
    assert permit("b", found).move is Move.WAIT


def test_without_registries_there_is_nothing_to_prove() -> None:
    assert permit("b", scene(taken("a"), *members("b"), canary="a", registries=())).move is Move.GO


@pytest.mark.parametrize("canary", [(), (Member("a", is_running=False),)])
def test_a_canary_that_is_gone_or_off_is_replaced(canary: tuple[Member, ...]) -> None:
    assert permit("b", scene(*canary, *members("b"), canary="a")).move is Move.ELECT


def test_a_proven_canary_that_goes_down_has_said_its_word() -> None:
    found = replace(taken("a", proof("Trusted")), is_running=False)
    assert permit("b", scene(found, *members("b"), canary="a")).move is Move.GO


def test_so_many_at_a_time_and_those_that_are_off_take_nobodys_place() -> None:
    names = [f"m{number:02}" for number in range(PARALLEL + 3)]
    off = Member("m00", is_running=False, is_updating=True)
    found = scene(taken("a", proof("Trusted")), off, *members(*names[1:]), canary="a")
    going = [name for name in names if permit(name, found).move is Move.GO]
    assert going == names[1 : PARALLEL + 1]


def test_a_machine_is_read_out_of_its_annotations() -> None:
    values = {
        TRUST_APPLIED: msgspec.json.encode(applied(NEW)).decode(),
        TRUST_PROOF: msgspec.json.encode(proof("Trusted")).decode(),
        TRUST_INSPECTION: msgspec.json.encode(seen()).decode(),
        UPDATE_IN_PROGRESS: "",
    }
    found = Member.read("a", values, is_running=True)
    assert (found.applied, found.is_updating, found.proof_of(NEW)[HOST].verdict) == (applied(NEW), True, "Trusted")
    assert found.access(NEW, HOST).verification == VERIFIED


@given(st.text() | st.sampled_from(["[]", "{}", "null", '{"digest": 1}', '{"results": [1]}']))
def test_what_cannot_be_read_says_nothing(text: str) -> None:
    found = Member.read("a", {TRUST_APPLIED: text, TRUST_PROOF: text, TRUST_INSPECTION: text}, is_running=True)
    assert found.proof_of(NEW) == {}
    assert found.access(NEW, HOST) == RegistryAccess()
    assert Canary.read(text) is None or Canary.read(text) == msgspec.json.decode(text, type=Canary)


@given(digest=st.text(), machine=st.text(), adds=st.booleans())
def test_an_election_survives_being_written_down(digest: str, machine: str, *, adds: bool) -> None:
    assert Canary.read(Canary(digest, machine, adds).text()) == Canary(digest, machine, adds)


@given(data=st.data(), count=st.integers(2, 6), verdict=st.sampled_from(["Trusted", "NotTrusted"]), adds=st.booleans())
def test_a_roll_has_one_canary_at_a_time_and_ends(data: st.DataObject, count: int, verdict: str, *, adds: bool) -> None:
    """Machines ask in any order; each answer is acted on, or the process dies before it could be."""
    names = [f"m{number}" for number in range(count)]
    now = scene(*members(*names))
    for _ in range(count * 20):
        left = [one for one in now.members if one.applied.digest == OLD]
        if not left:
            break
        name = data.draw(st.sampled_from([one.name for one in left]))
        move = permit(name, now).move
        others = [one for one in now.members if one.applied.digest == NEW and one.name != name]
        if move is Move.ELECT and data.draw(st.booleans()):
            now = replace(now, canary=Canary(NEW, name, adds))
        elif move is Move.GO:
            # Nobody but the canary takes the set before it is proven on the canary.
            assert now.canary
            canary = next(one for one in now.members if one.name == now.canary.machine)
            assert canary.name == name or canary.proof_of(NEW)
            now = _with(now, taken(name))
        elif now.canary and move is not Move.ELECT:
            now = _with(now, taken(now.canary.machine, proof(verdict))) if others else now
    changed = [one.name for one in now.members if one.applied.digest == NEW]
    if verdict == "NotTrusted" and adds:
        assert len(changed) <= 1


def _with(before: Scene, changed: Member) -> Scene:
    return replace(before, members=tuple(changed if one.name == changed.name else one for one in before.members))
