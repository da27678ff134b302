from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.clustertrust import (
    ACCEPTED,
    CURRENT,
    MAX_NODES,
    NOT_TRUSTED,
    PROVEN,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    UNVERIFIABLE,
    VERIFIED,
    ClusterTrustStatus,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import condition
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.reporting.cluster_trust import Sets, described, status
from trustplane.rollout.planning.steps import Plan, Reason, State
from trustplane.trust.entries import EMPTY, TrustSet, read

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOST = "registry.corp:5000"
HOSTS = frozenset({HOST})
DONE = Plan(state=State.CURRENT, reason=Reason.UP_TO_DATE)


def trust(data: dict[str, str], **names: str) -> TrustSet:
    return read([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()]).trust


def sets(in_force: TrustSet, desired: TrustSet | None = None) -> Sets:
    return Sets(
        digest=in_force.digest, in_force=in_force, desired=in_force if desired is None else desired, source="Service"
    )


def seen(digest: str, verification: str = VERIFIED, reason: str = "", **values: str) -> Inspection:
    reached = RegistryAccess(registry=HOST, verification=verification, reason=reason)
    return Inspection(digest=digest, at=NOW, registries=[reached], registries_at=NOW, **values)


def node(name: str, digest: str, verdict: str = TRUSTED, message: str = "") -> NodeFacts:
    results = [ProofResult(registry=HOST, verdict=verdict, message=message)]
    return NodeFacts(
        machine=name,
        node=name,
        created=NOW - SECOND,
        digest=digest,
        proof=RecordedProof(digest=digest, at=NOW, results=results) if verdict else None,
        inspection=seen(digest),
    )


def report(
    nodes: list[NodeFacts], known: Sets, hosts: frozenset[str] = HOSTS, *, rollout: Plan = DONE
) -> ClusterTrustStatus:
    return status(nodes, known, hosts, rollout=rollout, before=ClusterTrustStatus(), now=NOW)


def said(found: ClusterTrustStatus, type_: str) -> tuple[str, str, str]:
    one = condition(found.conditions, type_)
    assert one is not None
    return one.status, one.reason, one.message


def test_all_is_well(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    found = report([node("a", known.digest), node("b", known.short)], sets(known))
    assert said(found, CURRENT)[:2] == ("True", "UpToDate")
    assert known.entries[0].fingerprints[0][:10] in said(found, CURRENT)[2]
    assert said(found, PROVEN) == ("True", "Proven", f"2 of 2 nodes: {HOST}")
    assert found.proven_nodes == "2/2"
    assert found.nodes == []
    assert found.last_proof == NOW


def test_the_worst_node_is_named_with_registry_and_fingerprint(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    nodes = [node("a", known.digest, UNREACHABLE), node("b", known.digest, NOT_TRUSTED, "x509: unknown authority")]
    state, reason, message = said(report(nodes, sets(known)), PROVEN)
    assert (state, reason) == ("False", NOT_TRUSTED)
    assert f"b: {HOST} is not trusted: x509: unknown authority" in message
    assert f"corp ({known.entries[0].fingerprints[0][:10]})" in message


def test_a_set_that_waits_is_told_by_name_and_fingerprint(data: dict[str, str]) -> None:
    old, new = trust(data, corp="a"), trust(data, corp="a", apps="b")
    found = report([node("a", old.digest)], replace(sets(old, new), command="trustplane update x"))
    assert said(found, CURRENT)[:2] == ("False", "Held")
    assert "add apps (" in said(found, CURRENT)[2]
    assert "`trustplane update x`" in said(found, CURRENT)[2]
    assert found.difference.startswith("add apps (")
    assert said(found, PROVEN)[0] == "True"  # of what is in force


def test_from_nothing_and_to_nothing(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    assert report([], sets(EMPTY, known)).difference.startswith("add corp")
    assert report([], sets(known, EMPTY)).difference.startswith("remove corp")
    assert said(report([], sets(EMPTY)), PROVEN)[:2] == ("Unknown", "NoNodes")


def test_a_broken_list_and_a_lost_secret_are_told(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    broken = replace(sets(known), desired=None, problem="entry x is no base64")
    assert said(report([], broken), CURRENT)[1] == "Invalid"
    assert "no base64" in said(report([], broken), CURRENT)[2]
    lost = replace(sets(known), in_force=None, desired=EMPTY)
    assert said(report([], lost), CURRENT)[1] == "Unreadable"


def test_nodes_that_do_not_have_it_make_it_not_current(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    rollout = Plan(state=State.UPDATING, reason=Reason.WRITING, machines=("a",))
    part = replace(node("c", known.digest), is_partial=True)
    found = report([node("a", "c" * 64), node("b", known.digest), part], sets(known), rollout=rollout)
    assert said(found, CURRENT)[:2] == ("False", "Updating")
    message = said(found, CURRENT)[2]
    assert message.startswith("2 of 3 nodes do not have it: a: it has set cccccccccc and waits for its turn")
    assert "a part of set" in message
    assert message.endswith("The trust set is being written to a")


def test_a_rollout_that_a_refusal_stopped_names_registry_node_and_change(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    rollout = Plan(state=State.STOPPED, reason=Reason.REFUSED, machines=("b",))
    nodes = [node("a", "c" * 64), node("b", known.digest, NOT_TRUSTED, "x509: unknown authority")]
    found = report(nodes, replace(sets(known), change="add corp (0123456789)"), rollout=rollout)
    assert said(found, CURRENT)[:2] == ("False", "Stopped")
    message = said(found, CURRENT)[2]
    assert "with the trust set, b refuses a registry" in message
    assert f"b: {HOST} is not trusted: x509: unknown authority" in message
    assert message.endswith("The change was: add corp (0123456789)")


def test_a_set_that_is_held_is_told_before_the_rollout_of_the_one_in_force(data: dict[str, str]) -> None:
    old, new = trust(data, corp="a"), trust(data, corp="a", apps="b")
    rollout = Plan(state=State.STOPPED, reason=Reason.REFUSED, machines=("a",))
    found = report([node("a", old.digest, NOT_TRUSTED)], sets(old, new), rollout=rollout)
    assert said(found, CURRENT)[:2] == ("False", "Held")


def test_without_a_registry_proven_is_unknown(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    assert said(report([node("a", known.digest)], sets(known), frozenset()), PROVEN)[:2] == (
        "Unknown",
        "NothingToProve",
    )


def test_since_stays_while_the_state_does(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    first = report([node("a", known.digest, NOT_TRUSTED)], sets(known))
    later = status(
        [node("a", known.digest, NOT_TRUSTED)],
        sets(known),
        HOSTS,
        rollout=DONE,
        before=first,
        now=NOW + timedelta(hours=1),
    )
    assert later == first


@given(st.lists(st.sampled_from([TRUSTED, NOT_TRUSTED, UNREACHABLE, ""]), max_size=120))
def test_counts_add_up_and_detail_is_bounded(verdicts: list[str]) -> None:
    nodes = [node(f"n{index:03}", EMPTY.digest, verdict) for index, verdict in enumerate(verdicts)]
    found = report(nodes, sets(EMPTY))
    counts = msgspec.to_builtins(found.summary)
    assert sum(counts.values()) == 2 * counts["total"] == 2 * len(verdicts)
    assert len(found.nodes) <= MAX_NODES
    assert len(found.nodes) + found.more == counts["total"] - counts["proven"]
    assert (said(found, PROVEN)[0] == "True") == (bool(verdicts) and set(verdicts) == {TRUSTED})
    states = [one.state for one in found.nodes]
    assert states == sorted(states, key=[NOT_TRUSTED, UNREACHABLE, "Applied"].index)


def test_registries_of_an_entry_are_reported(data: dict[str, str]) -> None:
    whole = trust(data, apps="a", corp="b")
    scoped = whole.scoped({"apps": [HOST]})
    found = report([node("a", whole.digest)], sets(whole, scoped))
    assert found.desired is not None
    assert [(one.name, one.hosts) for one in found.desired.entries] == [("apps", [HOST]), ("corp", [])]
    assert f" for {HOST}" in said(found, CURRENT)[2]
    assert f" for {HOST})" in described(scoped)


def test_what_is_hidden_by_ours_is_told_of_a_proven_node_too(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    look = seen(known.digest, hidden="/x because of /y")
    found = report([replace(node("a", known.digest), inspection=look), node("b", known.digest)], sets(known))
    assert said(found, PROVEN) == ("True", "Proven", f"2 of 2 nodes: {HOST}; a: /x because of /y")


def test_what_no_pull_can_prove_is_unclear_with_the_reason_and_what_was_not_seen_is_accepted() -> None:
    plain = replace(node("a", EMPTY.digest), inspection=seen(EMPTY.digest, UNVERIFIABLE, "skip_verify"))
    unseen = replace(node("b", EMPTY.digest), inspection=None)
    found = report([plain, unseen, node("c", EMPTY.digest)], sets(EMPTY))
    assert said(found, PROVEN)[:2] == ("Unknown", UNCLEAR)
    assert (
        f"1 of 3 nodes are proven; Unclear: a: {HOST}: whether it is trusted is not clear: skip_verify"
        in (said(found, PROVEN)[2])
    )
    assert (found.summary.proven, found.summary.unclear, found.summary.accepted) == (1, 1, 1)
    found = report([unseen, node("c", EMPTY.digest)], sets(EMPTY))
    assert said(found, PROVEN)[:2] == ("Unknown", ACCEPTED)
    assert "SSH" in said(found, PROVEN)[2]


def test_many_entries_are_cut_short_in_words(data: dict[str, str]) -> None:
    many = trust(data, **{f"n{index}": "abc"[index % 3] for index in range(9)})
    assert described(many).endswith("and 4 more")
    assert described(EMPTY) == "no additional CA"
    assert "cannot be read" in described(None)
