"""What a rollout is decided from, out of what Machines say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import REMEDIATE
from trustplane.api.clusterapi import KubeadmControlPlane, Machine, MachineDeployment, MachineHealthCheck
from trustplane.api.clustertrust import (
    BOOTSTRAP,
    IN_PLACE,
    NOT_TRUSTED,
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    UNREADABLE,
    UNVERIFIABLE,
    VERDICTS,
    VERIFIED,
    Hindrance,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.clusterapi.machine_facts import NODE_STARTUP_TIMEOUT
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.rollout.planning.facts import Work, groups, node
from trustplane.rollout.planning.observed import Node

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SET, OTHER = "a" * 64, "b" * 64
ONE, TWO = "one.corp", "two.corp"
HOSTS = frozenset({ONE, TWO})
WORKER = {"topology.cluster.x-k8s.io/deployment-name": "np", "cluster.x-k8s.io/deployment-name": "c-np-x7"}
CONTROL_PLANE = {"cluster.x-k8s.io/control-plane": ""}
NO_WORK = Work()


def proof(*, digest: str = SET, at: datetime = NOW, **said: str) -> RecordedProof:
    """Return a proof by which registries are trusted, but for those that something else is said of."""
    results = [
        ProofResult(registry=host, verdict=verdict)
        for host in sorted(HOSTS)
        if (verdict := said.get(host.partition(".")[0], TRUSTED))
    ]
    return RecordedProof(digest=digest, at=at, results=results)


def look(*, digest: str = SET, at: datetime = NOW, is_drifted: bool = False, **seen: str) -> Inspection:
    """Return a look by which registries are asked with verification, but for those that something else is said of."""
    access = [
        RegistryAccess(registry=host, verification=verification)
        for host in sorted(HOSTS)
        if (verification := seen.get(host.partition(".")[0], VERIFIED))
    ]
    return Inspection(digest=digest, at=at, is_drifted=is_drifted, registries=access, registries_at=at)


def facts(**values: Any) -> NodeFacts:
    """Return what is known of a node that was written in place, and has proven that."""
    known = {
        "machine": "m",
        "node": "n",
        "created": NOW - timedelta(days=1),
        "digest": SET,
        "method": IN_PLACE,
        "booted": OTHER,
        "changed": NOW - 100 * SECOND,
        "proof": proof(),
        "inspection": look(),
    }
    return NodeFacts(**(known | values))


def hindrance(*, is_unreachable: bool) -> Hindrance:
    return Hindrance(digest=OTHER, at=NOW, message="why", is_unreachable=is_unreachable)


def observed(
    known: NodeFacts | None = None,
    *,
    hosts: frozenset[str] = HOSTS,
    labels: dict[str, str] | None = None,
    work: Work = NO_WORK,
    after: dict[str, datetime] | None = None,
    annotations: dict[str, str] | None = None,
    checks: Sequence[MachineHealthCheck] = (),
    blind: bool = False,
) -> Node:
    known = known or facts()
    metadata = {
        "name": known.machine,
        "labels": WORKER if labels is None else labels,
        "annotations": annotations or {},
        "ownerReferences": [{"kind": "Owner", "name": "o", "controller": True}],
    }
    machine = msgspec.convert({"metadata": metadata, "spec": {"clusterName": "c"}}, Machine)
    return node(known, machine, hosts, work=work, after=after or {}, checks=checks, now=NOW, blind=blind)


def test_a_node_that_has_proven_what_was_written_on_it() -> None:
    expected = Node(name="m", group="np", booted=OTHER, has=SET, proven=SET, replaceable=True)
    assert observed() == expected


@pytest.mark.parametrize(
    ("known", "proven", "refused"),
    [
        (facts(proof=None), None, None),
        (facts(proof=proof(one=NOT_TRUSTED)), None, SET),
        (facts(proof=proof(one=NOT_TRUSTED, two=UNREACHABLE)), None, SET),
        (facts(proof=proof(one=UNREACHABLE)), None, None),
        (facts(proof=proof(one=UNCLEAR)), None, None),
        (facts(proof=proof(one="")), None, None),  # it was not asked of that one yet
        # What is about another set, or older than the last change, says nothing.
        (facts(proof=proof(digest=OTHER)), None, None),
        (facts(proof=proof(digest=OTHER, one=NOT_TRUSTED)), None, None),
        (facts(changed=NOW, proof=proof(one=NOT_TRUSTED)), None, None),
        (facts(changed=NOW), None, None),
        # That a pull worked proves something only where the certificate was seen to be verified.
        (facts(inspection=None), None, None),
        (facts(inspection=look(one=UNREADABLE)), None, None),
        (facts(inspection=look(digest=OTHER)), None, None),
        # A registry of which no pull can prove anything is not waited for, as long as there is another one.
        (facts(inspection=look(one=UNVERIFIABLE)), SET, None),
        (facts(inspection=look(one=UNVERIFIABLE), proof=proof(two=UNREACHABLE)), None, None),
        (facts(inspection=look(one=UNVERIFIABLE, two=UNVERIFIABLE)), None, None),
    ],
)
def test_what_counts_as_proven_and_as_refused(known: NodeFacts, proven: str | None, refused: str | None) -> None:
    found = observed(known)
    assert (found.proven, found.refused) == (proven, refused)


@pytest.mark.parametrize(
    ("known", "proven"),
    [
        (facts(inspection=None), SET),
        (facts(inspection=look(one=UNREADABLE)), SET),
        (facts(inspection=None, proof=proof(one=NOT_TRUSTED)), None),
        (facts(inspection=None, proof=proof(one=UNREACHABLE)), None),
        (facts(inspection=None, proof=proof(one="")), None),
        (facts(inspection=None, changed=NOW), None),
    ],
)
def test_where_nobody_can_look_it_is_enough_that_every_kubelet_was_accepted(
    known: NodeFacts, proven: str | None
) -> None:
    assert observed(known, blind=True).proven == proven
    assert observed(known).proven is None


def test_a_registry_that_is_none_of_the_clusters_counts_for_nothing() -> None:
    found = observed(facts(proof=proof(two=NOT_TRUSTED)), hosts=frozenset({ONE}))
    assert (found.proven, found.refused) == (SET, None)


def test_without_registries_nothing_is_proven_or_unverifiable() -> None:
    found = observed(hosts=frozenset())
    assert (found.proven, found.refused, found.unverifiable) == (None, None, False)


def test_a_set_that_only_removes_is_proven_by_any_definite_answer() -> None:
    """It is to prove less: what it no longer covers is refused rightly."""
    removed = facts(only_removes=True, proof=proof(one=NOT_TRUSTED))
    assert (observed(removed).proven, observed(removed).refused) == (SET, None)
    unseen = replace(removed, inspection=None)  # by the one that is trusted, too
    assert (observed(unseen).proven, observed(unseen).refused) == (SET, None)
    for verdict in (UNREACHABLE, UNCLEAR, ""):
        found = observed(facts(only_removes=True, proof=proof(one=verdict)))
        assert (found.proven, found.refused) == (None, None)


@pytest.mark.parametrize(
    ("inspection", "unverifiable"),
    [
        (None, False),
        (look(), False),
        (look(one=UNVERIFIABLE), False),
        (look(one=UNVERIFIABLE, two=UNREADABLE), False),
        (look(one=UNVERIFIABLE, two=UNVERIFIABLE), True),
        (look(one=UNVERIFIABLE, two=""), False),
        (look(one=UNVERIFIABLE, two=UNVERIFIABLE, at=NOW - 100 * SECOND), False),
    ],
)
def test_a_node_of_which_no_pull_can_prove_anything(inspection: Inspection | None, *, unverifiable: bool) -> None:
    assert observed(facts(inspection=inspection)).unverifiable is unverifiable


def test_a_node_that_booted_with_a_set_holds_it_and_can_prove_it() -> None:
    born = facts(method=BOOTSTRAP, booted=SET)
    found = observed(born)
    assert (found.booted, found.has, found.holds, found.proven) == (SET, None, SET, SET)


def test_of_a_node_that_nobody_has_written_or_looked_at_nothing_is_known() -> None:
    unknown = facts(method=BOOTSTRAP, booted="", digest="", changed=None, proof=None, inspection=None)
    found = observed(unknown)
    assert (found.booted, found.has, found.holds, found.proven) == (None, None, None, None)


def test_a_part_of_a_set_is_another_one_until_it_is_completed() -> None:
    part = facts(method=BOOTSTRAP, booted=SET, is_partial=True)
    found = observed(part)
    assert found.booted == SET  # which a machine that does not join is judged by
    assert found.holds not in (SET, None)
    assert observed(replace(part, method=IN_PLACE, is_partial=False)).holds == SET


@pytest.mark.parametrize(
    ("inspection", "drifted"),
    [(None, False), (look(), False), (look(is_drifted=True), True), (look(is_drifted=True, digest=OTHER), False)],
)
def test_files_that_were_changed_count_until_the_next_write(inspection: Inspection | None, *, drifted: bool) -> None:
    assert observed(facts(inspection=inspection)).drifted is drifted
    assert not observed(facts(inspection=inspection, changed=NOW)).drifted


@pytest.mark.parametrize(
    ("values", "is_resting", "reachable", "failing"),
    [
        ({}, False, True, ""),
        ({"silence": "stopped"}, False, False, ""),
        ({"hindrance": hindrance(is_unreachable=True)}, True, False, ""),
        ({"hindrance": hindrance(is_unreachable=True)}, False, True, ""),  # it is asked again
        ({"hindrance": hindrance(is_unreachable=False)}, True, True, "why"),
        ({"hindrance": hindrance(is_unreachable=False)}, False, True, "why"),
        ({}, True, True, ""),
    ],
)
def test_a_node_that_does_not_answer_is_told_from_one_that_answers_with_an_error(
    values: dict[str, Any], *, is_resting: bool, reachable: bool, failing: str
) -> None:
    found = observed(facts(**values), work=Work(resting=frozenset({"m"} if is_resting else ())))
    assert (found.reachable, found.failing, found.resting) == (reachable, failing, is_resting)


def test_the_work_of_this_process_is_by_machine() -> None:
    assert observed(work=Work(writing=frozenset({"m"}))).writing
    others = observed(work=Work(writing=frozenset({"x"}), resting=frozenset({"x"})))
    assert not others.writing
    assert not others.resting


def test_a_machine_that_somebody_else_updates_is_left_alone() -> None:
    assert observed(facts(is_busy=True)).busy


@pytest.mark.parametrize(
    ("age", "name", "joined", "stuck"),
    [
        (NODE_STARTUP_TIMEOUT, "", False, False),
        (NODE_STARTUP_TIMEOUT + SECOND, "", False, True),
        (NODE_STARTUP_TIMEOUT + SECOND, "n", True, False),
    ],
)
def test_a_machine_that_takes_too_long_to_join_is_stuck(
    age: timedelta, name: str, *, joined: bool, stuck: bool
) -> None:
    found = observed(facts(created=NOW - age, node=name))
    assert (found.joined, found.stuck) == (joined, stuck)


@pytest.mark.parametrize(
    ("after", "leaving"),
    [
        ({}, False),
        ({"np": NOW}, True),
        ({"np": NOW + SECOND}, False),  # for later
        ({"np": NOW - timedelta(days=2)}, False),  # it was made since
        ({"": NOW, "other": NOW, "c-np-x7": NOW}, False),
    ],
)
def test_a_machine_that_cluster_api_replaces_anyway_is_leaving(after: dict[str, datetime], *, leaving: bool) -> None:
    assert observed(after=after).leaving is leaving


@pytest.mark.parametrize(
    ("labels", "control_plane", "group", "replaceable"),
    [
        (WORKER, False, "np", True),
        ({"cluster.x-k8s.io/deployment-name": "c-md-0"}, False, "c-md-0", True),
        (CONTROL_PLANE, True, "", False),
        (CONTROL_PLANE | WORKER, True, "", False),
        ({}, False, "", False),  # somebody's own Machine: nobody would make another
    ],
)
def test_who_makes_another_machine(
    labels: dict[str, str], *, control_plane: bool, group: str, replaceable: bool
) -> None:
    found = observed(labels=labels, after={"": NOW})
    assert (found.control_plane, found.group, found.replaceable) == (control_plane, group, replaceable)
    assert found.leaving is (not group and control_plane)


def test_of_a_control_plane_a_health_check_makes_another_machine() -> None:
    spec = {"clusterName": "c", "selector": {"matchLabels": CONTROL_PLANE}}
    checks = [msgspec.convert({"metadata": {"name": "checks"}, "spec": spec}, MachineHealthCheck)]
    assert observed(labels=CONTROL_PLANE, checks=checks).replaceable
    assert not observed(labels={}, checks=checks).replaceable
    found = observed(labels=CONTROL_PLANE, checks=checks, annotations={REMEDIATE: ""})
    assert (found.replaceable, found.marked) == (True, True)
    assert not observed().marked


def test_groups_are_named_as_machines_name_them() -> None:
    asked = {"rollout": {"after": NOW.isoformat()}}
    plane = msgspec.convert({"metadata": {"name": "c"}, "spec": asked}, KubeadmControlPlane)
    topology = msgspec.convert({"metadata": {"name": "c-np-x7", "labels": WORKER}, "spec": asked}, MachineDeployment)
    plain = msgspec.convert({"metadata": {"name": "c-md-0"}, "spec": asked}, MachineDeployment)
    never = msgspec.convert({"metadata": {"name": "c-md-1"}}, MachineDeployment)
    assert groups(plane, [topology, plain, never]) == {"": NOW, "np": NOW, "c-md-0": NOW}
    assert groups(None, []) == {}


VERDICT = st.sampled_from([*VERDICTS, "", "Else"])
ACCESS = st.sampled_from([VERIFIED, UNVERIFIABLE, UNREADABLE, "", "Else"])
TIMES = st.integers(-200, 200).map(lambda seconds: NOW + seconds * SECOND)
DIGESTS = st.sampled_from([SET, OTHER])


@given(
    proofs=st.none() | st.builds(proof, digest=DIGESTS, at=TIMES, one=VERDICT, two=VERDICT),
    looks=st.none() | st.builds(look, digest=DIGESTS, at=TIMES, one=ACCESS, two=ACCESS, is_drifted=st.booleans()),
    only_removes=st.booleans(),
    hosts=st.sets(st.sampled_from(sorted(HOSTS))).map(frozenset),
)
def test_nothing_is_proven_and_refused_and_nothing_by_words_from_before(
    proofs: RecordedProof | None, looks: Inspection | None, hosts: frozenset[str], *, only_removes: bool
) -> None:
    known = facts(proof=proofs, inspection=looks, only_removes=only_removes)
    found = observed(known, hosts=hosts)
    assert found.proven is None or found.refused is None
    if found.proven or found.refused:
        assert proofs
        assert proofs.at
        assert proofs.digest == SET
        assert proofs.at > known.changed_at
    if found.proven and not only_removes:
        assert looks
        verified = {one.registry for one in looks.registries if one.verification == VERIFIED}
        trusted = {one.registry for one in proofs.results if one.verdict == TRUSTED} if proofs else set()
        assert verified & trusted & hosts
    if only_removes:
        assert found.refused is None
