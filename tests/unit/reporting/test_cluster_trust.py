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
from trustplane.reporting.cluster_trust import TrustSets, cluster_trust_status, describe_set
from trustplane.rollout.planning.steps import RolloutPlan, RolloutReason, RolloutState
from trustplane.trust.entries import EMPTY_SET, TrustSet, parse_list

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOST = "registry.corp:5000"
HOSTS = frozenset({HOST})
DONE = RolloutPlan(state=RolloutState.CURRENT, reason=RolloutReason.UP_TO_DATE)


def trust(data: dict[str, str], **names: str) -> TrustSet:
    return parse_list([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()]).trust


def sets(in_force: TrustSet, desired: TrustSet | None = None) -> TrustSets:
    return TrustSets(
        digest=in_force.digest, in_force=in_force, desired=in_force if desired is None else desired, source="Service"
    )


def inspected(digest: str, verification: str = VERIFIED, reason: str = "", **fields: str) -> Inspection:
    reached = RegistryAccess(registry=HOST, verification=verification, reason=reason)
    return Inspection(digest=digest, at=NOW, registries=[reached], registries_at=NOW, **fields)


def node(name: str, digest: str, verdict: str = TRUSTED, message: str = "") -> NodeFacts:
    results = [ProofResult(registry=HOST, verdict=verdict, message=message)]
    return NodeFacts(
        machine=name,
        node=name,
        created=NOW - SECOND,
        digest=digest,
        proof=RecordedProof(digest=digest, at=NOW, results=results) if verdict else None,
        inspection=inspected(digest),
    )


def report(
    nodes: list[NodeFacts], known: TrustSets, hosts: frozenset[str] = HOSTS, *, rollout: RolloutPlan = DONE
) -> ClusterTrustStatus:
    return cluster_trust_status(nodes, known, hosts, rollout=rollout, before=ClusterTrustStatus(), now=NOW)


def values(result: ClusterTrustStatus, type_: str) -> tuple[str, str, str]:
    reported = condition(result.conditions, type_)
    assert reported is not None
    return reported.status, reported.reason, reported.message


def test_proven_nodes_with_the_set_in_force(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    result = report([node("a", known.digest), node("b", known.short)], sets(known))
    assert values(result, CURRENT)[:2] == ("True", "UpToDate")
    assert known.entries[0].fingerprints[0][:10] in values(result, CURRENT)[2]
    assert values(result, PROVEN) == ("True", "Proven", f"2 of 2 nodes: {HOST}")
    assert result.proven_nodes == "2/2"
    assert result.nodes == []
    assert result.last_proof == NOW


def test_the_worst_node_is_named_with_registry_and_fingerprint(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    nodes = [node("a", known.digest, UNREACHABLE), node("b", known.digest, NOT_TRUSTED, "x509: unknown authority")]
    state, reason, message = values(report(nodes, sets(known)), PROVEN)
    assert (state, reason) == ("False", NOT_TRUSTED)
    assert f"b: {HOST} is not trusted: x509: unknown authority" in message
    assert f"corp ({known.entries[0].fingerprints[0][:10]})" in message


def test_a_held_set_is_described_by_name_and_fingerprint(data: dict[str, str]) -> None:
    old, new = trust(data, corp="a"), trust(data, corp="a", apps="b")
    result = report([node("a", old.digest)], replace(sets(old, new), command="trustplane update x"))
    assert values(result, CURRENT)[:2] == ("False", "Held")
    assert "add apps (" in values(result, CURRENT)[2]
    assert "`trustplane update x`" in values(result, CURRENT)[2]
    assert result.difference.startswith("add apps (")
    assert values(result, PROVEN)[0] == "True"  # for the set in force


def test_differences_from_and_to_the_empty_set(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    assert report([], sets(EMPTY_SET, known)).difference.startswith("add corp")
    assert report([], sets(known, EMPTY_SET)).difference.startswith("remove corp")
    assert values(report([], sets(EMPTY_SET)), PROVEN)[:2] == ("Unknown", "NoNodes")


def test_a_broken_list_and_a_lost_secret_are_reported(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    broken = replace(sets(known), desired=None, problem="entry x is no base64")
    assert values(report([], broken), CURRENT)[1] == "Invalid"
    assert "no base64" in values(report([], broken), CURRENT)[2]
    lost = replace(sets(known), in_force=None, desired=EMPTY_SET)
    assert values(report([], lost), CURRENT)[1] == "Unreadable"


def test_nodes_without_the_set_make_it_not_current(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    rollout = RolloutPlan(state=RolloutState.UPDATING, reason=RolloutReason.WRITING, machines=("a",))
    part = replace(node("c", known.digest), is_partial=True)
    result = report([node("a", "c" * 64), node("b", known.digest), part], sets(known), rollout=rollout)
    assert values(result, CURRENT)[:2] == ("False", "Updating")
    message = values(result, CURRENT)[2]
    assert message.startswith("2 of 3 nodes do not have the set: a: it has set cccccccccc and waits for its turn")
    assert "a part of set" in message
    assert message.endswith("The trust set is being written to a")


def test_a_stopped_rollout_names_registry_node_and_change(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    rollout = RolloutPlan(state=RolloutState.STOPPED, reason=RolloutReason.REFUSED, machines=("b",))
    nodes = [node("a", "c" * 64), node("b", known.digest, NOT_TRUSTED, "x509: unknown authority")]
    result = report(nodes, replace(sets(known), change="add corp (0123456789)"), rollout=rollout)
    assert values(result, CURRENT)[:2] == ("False", "Stopped")
    message = values(result, CURRENT)[2]
    assert "with the trust set, b refuses a registry" in message
    assert f"b: {HOST} is not trusted: x509: unknown authority" in message
    assert message.endswith("The change was: add corp (0123456789)")


def test_a_held_set_is_reported_before_the_rollout(data: dict[str, str]) -> None:
    old, new = trust(data, corp="a"), trust(data, corp="a", apps="b")
    rollout = RolloutPlan(state=RolloutState.STOPPED, reason=RolloutReason.REFUSED, machines=("a",))
    result = report([node("a", old.digest, NOT_TRUSTED)], sets(old, new), rollout=rollout)
    assert values(result, CURRENT)[:2] == ("False", "Held")


def test_without_a_registry_proven_is_unknown(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    assert values(report([node("a", known.digest)], sets(known), frozenset()), PROVEN)[:2] == (
        "Unknown",
        "NothingToProve",
    )


def test_an_unchanged_state_keeps_its_time(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    first = report([node("a", known.digest, NOT_TRUSTED)], sets(known))
    later = cluster_trust_status(
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
    nodes = [node(f"n{index:03}", EMPTY_SET.digest, verdict) for index, verdict in enumerate(verdicts)]
    result = report(nodes, sets(EMPTY_SET))
    counts = msgspec.to_builtins(result.summary)
    assert sum(counts.values()) == 2 * counts["total"] == 2 * len(verdicts)
    assert len(result.nodes) <= MAX_NODES
    assert len(result.nodes) + result.more == counts["total"] - counts["proven"]
    assert (values(result, PROVEN)[0] == "True") == (bool(verdicts) and set(verdicts) == {TRUSTED})
    states = [entry.state for entry in result.nodes]
    assert states == sorted(states, key=[NOT_TRUSTED, UNREACHABLE, "Applied"].index)


def test_scopes_of_entries_are_reported(data: dict[str, str]) -> None:
    whole = trust(data, apps="a", corp="b")
    scoped = whole.with_scopes({"apps": [HOST]})
    result = report([node("a", whole.digest)], sets(whole, scoped))
    assert result.desired is not None
    assert [(entry.name, entry.hosts) for entry in result.desired.entries] == [("apps", [HOST]), ("corp", [])]
    assert f" for {HOST}" in values(result, CURRENT)[2]
    assert f" for {HOST})" in describe_set(scoped)


def test_hidden_files_of_a_proven_node_are_reported(data: dict[str, str]) -> None:
    known = trust(data, corp="a")
    inspection = inspected(known.digest, hidden="/x because of /y")
    result = report([replace(node("a", known.digest), inspection=inspection), node("b", known.digest)], sets(known))
    assert values(result, PROVEN) == ("True", "Proven", f"2 of 2 nodes: {HOST}; a: /x because of /y")


def test_unverifiable_is_unclear_and_uninspected_is_accepted() -> None:
    plain = replace(node("a", EMPTY_SET.digest), inspection=inspected(EMPTY_SET.digest, UNVERIFIABLE, "skip_verify"))
    uninspected = replace(node("b", EMPTY_SET.digest), inspection=None)
    result = report([plain, uninspected, node("c", EMPTY_SET.digest)], sets(EMPTY_SET))
    assert values(result, PROVEN)[:2] == ("Unknown", UNCLEAR)
    assert (
        f"1 of 3 nodes are proven; Unclear: a: {HOST}: whether it is trusted is unclear: skip_verify"
        in (values(result, PROVEN)[2])
    )
    assert (result.summary.proven, result.summary.unclear, result.summary.accepted) == (1, 1, 1)
    result = report([uninspected, node("c", EMPTY_SET.digest)], sets(EMPTY_SET))
    assert values(result, PROVEN)[:2] == ("Unknown", ACCEPTED)
    assert "SSH" in values(result, PROVEN)[2]


def test_descriptions_of_sets_are_short(data: dict[str, str]) -> None:
    many = trust(data, **{f"n{index}": "abc"[index % 3] for index in range(9)})
    assert describe_set(many).endswith("and 4 more")
    assert describe_set(EMPTY_SET) == "no additional CA"
    assert "unreadable" in describe_set(None)
