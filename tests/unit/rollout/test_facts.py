"""The input of a rollout, from the records of Machines."""

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
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
    UpdateError,
)
from trustplane.clusterapi.machine_facts import NODE_STARTUP_TIMEOUT
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.rollout.planning.facts import OngoingWrites, build_node, rollout_after_by_group
from trustplane.rollout.planning.inputs import RolloutNode

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SET, OTHER = "a" * 64, "b" * 64
ONE, TWO = "first.corp", "second.corp"
HOSTS = frozenset({ONE, TWO})
WORKER = {"topology.cluster.x-k8s.io/deployment-name": "np", "cluster.x-k8s.io/deployment-name": "c-np-x7"}
CONTROL_PLANE = {"cluster.x-k8s.io/control-plane": ""}
NO_WORK = OngoingWrites()


def proof(*, digest: str = SET, at: datetime = NOW, **verdicts: str) -> RecordedProof:
    """Return a proof with verdict Trusted for every registry without another one here."""
    results = [
        ProofResult(registry=host, verdict=verdict)
        for host in sorted(HOSTS)
        if (verdict := verdicts.get(host.partition(".")[0], TRUSTED))
    ]
    return RecordedProof(digest=digest, at=at, results=results)


def inspected(*, digest: str = SET, at: datetime = NOW, is_drifted: bool = False, **verifications: str) -> Inspection:
    """Return an inspection with verification for every registry without another value here."""
    access = [
        RegistryAccess(registry=host, verification=verification)
        for host in sorted(HOSTS)
        if (verification := verifications.get(host.partition(".")[0], VERIFIED))
    ]
    return Inspection(digest=digest, at=at, is_drifted=is_drifted, registries=access, registries_at=at)


def facts(**values: Any) -> NodeFacts:
    """Return the facts of a node that was written in place and has proven the set."""
    known = {
        "machine": "m",
        "node": "n",
        "created": NOW - timedelta(days=1),
        "digest": SET,
        "method": IN_PLACE,
        "boot_digest": OTHER,
        "changed": NOW - 100 * SECOND,
        "proof": proof(),
        "inspection": inspected(),
    }
    return NodeFacts(**(known | values))


def update_error(*, is_unreachable: bool) -> UpdateError:
    return UpdateError(digest=OTHER, at=NOW, message="why", is_unreachable=is_unreachable)


def observed(
    known: NodeFacts | None = None,
    *,
    hosts: frozenset[str] = HOSTS,
    labels: dict[str, str] | None = None,
    work: OngoingWrites = NO_WORK,
    after: dict[str, datetime] | None = None,
    annotations: dict[str, str] | None = None,
    checks: Sequence[MachineHealthCheck] = (),
    blind: bool = False,
) -> RolloutNode:
    known = known or facts()
    metadata = {
        "name": known.machine,
        "labels": WORKER if labels is None else labels,
        "annotations": annotations or {},
        "ownerReferences": [{"kind": "Owner", "name": "o", "controller": True}],
    }
    machine = msgspec.convert({"metadata": metadata, "spec": {"clusterName": "c"}}, Machine)
    return build_node(
        known, machine, hosts, writes=work, rollout_after=after or {}, checks=checks, now=NOW, is_uninspectable=blind
    )


def test_a_proven_node() -> None:
    expected = RolloutNode(name="m", group="np", booted_with=OTHER, observed=SET, proven=SET, is_replaceable=True)
    assert observed() == expected


@pytest.mark.parametrize(
    ("known", "proven", "refused"),
    [
        (facts(proof=None), None, None),
        (facts(proof=proof(first=NOT_TRUSTED)), None, SET),
        (facts(proof=proof(first=NOT_TRUSTED, second=UNREACHABLE)), None, SET),
        (facts(proof=proof(first=UNREACHABLE)), None, None),
        (facts(proof=proof(first=UNCLEAR)), None, None),
        (facts(proof=proof(first="")), None, None),  # no proof against this registry yet
        # A proof about another set, or older than the last change, does not count.
        (facts(proof=proof(digest=OTHER)), None, None),
        (facts(proof=proof(digest=OTHER, first=NOT_TRUSTED)), None, None),
        (facts(changed=NOW, proof=proof(first=NOT_TRUSTED)), None, None),
        (facts(changed=NOW), None, None),
        # A successful pull is a proof only if the runtime verified the certificate.
        (facts(inspection=None), None, None),
        (facts(inspection=inspected(first=UNREADABLE)), None, None),
        (facts(inspection=inspected(digest=OTHER)), None, None),
        # An unverifiable registry does not matter if another one is verifiable.
        (facts(inspection=inspected(first=UNVERIFIABLE)), SET, None),
        (facts(inspection=inspected(first=UNVERIFIABLE), proof=proof(second=UNREACHABLE)), None, None),
        (facts(inspection=inspected(first=UNVERIFIABLE, second=UNVERIFIABLE)), None, None),
    ],
)
def test_proven_and_refused(known: NodeFacts, proven: str | None, refused: str | None) -> None:
    result = observed(known)
    assert (result.proven, result.refused) == (proven, refused)


@pytest.mark.parametrize(
    ("known", "proven"),
    [
        (facts(inspection=None), SET),
        (facts(inspection=inspected(first=UNREADABLE)), SET),
        (facts(inspection=None, proof=proof(first=NOT_TRUSTED)), None),
        (facts(inspection=None, proof=proof(first=UNREACHABLE)), None),
        (facts(inspection=None, proof=proof(first="")), None),
        (facts(inspection=None, changed=NOW), None),
    ],
)
def test_without_inspection_accepted_pulls_are_sufficient(known: NodeFacts, proven: str | None) -> None:
    assert observed(known, blind=True).proven == proven
    assert observed(known).proven is None


def test_verdicts_on_other_registries_do_not_count() -> None:
    result = observed(facts(proof=proof(second=NOT_TRUSTED)), hosts=frozenset({ONE}))
    assert (result.proven, result.refused) == (SET, None)


def test_without_registries_nothing_is_proven_or_unverifiable() -> None:
    result = observed(hosts=frozenset())
    assert (result.proven, result.refused, result.is_unverifiable) == (None, None, False)


def test_any_definite_verdict_proves_a_set_that_only_removes() -> None:
    """Nodes correctly refuse a registry that the set no longer covers."""
    removed = facts(only_removes=True, proof=proof(first=NOT_TRUSTED))
    assert (observed(removed).proven, observed(removed).refused) == (SET, None)
    uninspected = replace(removed, inspection=None)  # verdict Accepted
    assert (observed(uninspected).proven, observed(uninspected).refused) == (SET, None)
    for verdict in (UNREACHABLE, UNCLEAR, ""):
        result = observed(facts(only_removes=True, proof=proof(first=verdict)))
        assert (result.proven, result.refused) == (None, None)


@pytest.mark.parametrize(
    ("inspection", "unverifiable"),
    [
        (None, False),
        (inspected(), False),
        (inspected(first=UNVERIFIABLE), False),
        (inspected(first=UNVERIFIABLE, second=UNREADABLE), False),
        (inspected(first=UNVERIFIABLE, second=UNVERIFIABLE), True),
        (inspected(first=UNVERIFIABLE, second=""), False),
        (inspected(first=UNVERIFIABLE, second=UNVERIFIABLE, at=NOW - 100 * SECOND), False),
    ],
)
def test_an_unverifiable_node(inspection: Inspection | None, *, unverifiable: bool) -> None:
    assert observed(facts(inspection=inspection)).is_unverifiable is unverifiable


def test_a_node_can_prove_the_set_that_it_booted_with() -> None:
    born = facts(method=BOOTSTRAP, boot_digest=SET)
    result = observed(born)
    assert (result.booted_with, result.observed, result.current, result.proven) == (SET, None, SET, SET)


def test_a_node_without_records_has_an_unknown_set() -> None:
    unknown = facts(method=BOOTSTRAP, boot_digest="", digest="", changed=None, proof=None, inspection=None)
    result = observed(unknown)
    assert (result.booted_with, result.observed, result.current, result.proven) == (None, None, None, None)


def test_a_partial_set_differs_from_the_whole_one() -> None:
    part = facts(method=BOOTSTRAP, boot_digest=SET, is_partial=True)
    result = observed(part)
    assert result.booted_with == SET  # decides about a machine that does not join
    assert result.current not in (SET, None)
    assert observed(replace(part, method=IN_PLACE, is_partial=False)).current == SET


@pytest.mark.parametrize("before", [{}, {"method": BOOTSTRAP, "boot_digest": SET}, {"digest": "", "boot_digest": ""}])
def test_an_unrecorded_write_makes_the_set_of_a_node_uncertain(before: dict[str, Any]) -> None:
    result = observed(facts(**before, has_unrecorded_write=True))
    assert result.current not in (SET, None)


@pytest.mark.parametrize(
    ("inspection", "drifted"),
    [
        (None, False),
        (inspected(), False),
        (inspected(is_drifted=True), True),
        (inspected(is_drifted=True, digest=OTHER), False),
    ],
)
def test_drift_counts_until_the_next_write(inspection: Inspection | None, *, drifted: bool) -> None:
    assert observed(facts(inspection=inspection)).has_drifted is drifted
    assert not observed(facts(inspection=inspection, changed=NOW)).has_drifted


@pytest.mark.parametrize(
    ("values", "is_resting", "reachable", "failing"),
    [
        ({}, False, True, ""),
        ({"unreachable_reason": "stopped"}, False, False, ""),
        ({"update_error": update_error(is_unreachable=True)}, True, False, ""),
        ({"update_error": update_error(is_unreachable=True)}, False, True, ""),  # the next attempt decides
        ({"update_error": update_error(is_unreachable=False)}, True, True, "why"),
        ({"update_error": update_error(is_unreachable=False)}, False, True, "why"),
        ({}, True, True, ""),
    ],
)
def test_unreachable_and_failing_nodes_are_distinct(
    values: dict[str, Any], *, is_resting: bool, reachable: bool, failing: str
) -> None:
    result = observed(facts(**values), work=OngoingWrites(backing_off=frozenset({"m"} if is_resting else ())))
    assert (result.is_reachable, result.update_error, result.is_backing_off) == (reachable, failing, is_resting)


def test_writes_of_this_process_are_by_machine() -> None:
    assert observed(work=OngoingWrites(writing=frozenset({"m"}))).is_writing
    others = observed(work=OngoingWrites(writing=frozenset({"x"}), backing_off=frozenset({"x"})))
    assert not others.is_writing
    assert not others.is_backing_off


def test_a_machine_updated_by_another_tool_is_busy() -> None:
    assert observed(facts(is_busy=True)).is_busy


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
    result = observed(facts(created=NOW - age, node=name))
    assert (result.has_joined, result.is_stuck) == (joined, stuck)


@pytest.mark.parametrize(
    ("after", "leaving"),
    [
        ({}, False),
        ({"np": NOW}, True),
        ({"np": NOW + SECOND}, False),  # in the future
        ({"np": NOW - timedelta(days=2)}, False),  # the machine is newer
        ({"": NOW, "other": NOW, "c-np-x7": NOW}, False),
    ],
)
def test_a_machine_that_cluster_api_will_replace_is_leaving(after: dict[str, datetime], *, leaving: bool) -> None:
    assert observed(after=after).is_being_replaced is leaving


@pytest.mark.parametrize(
    ("labels", "control_plane", "group", "replaceable"),
    [
        (WORKER, False, "np", True),
        ({"cluster.x-k8s.io/deployment-name": "c-md-0"}, False, "c-md-0", True),
        (CONTROL_PLANE, True, "", False),
        (CONTROL_PLANE | WORKER, True, "", False),
        ({}, False, "", False),  # a standalone Machine: no controller creates a successor
    ],
)
def test_replaceable_machines(labels: dict[str, str], *, control_plane: bool, group: str, replaceable: bool) -> None:
    result = observed(labels=labels, after={"": NOW})
    assert (result.is_control_plane, result.group, result.is_replaceable) == (control_plane, group, replaceable)
    assert result.is_being_replaced is (not group and control_plane)


def test_a_health_check_makes_a_control_plane_machine_replaceable() -> None:
    spec = {"clusterName": "c", "selector": {"matchLabels": CONTROL_PLANE}}
    checks = [msgspec.convert({"metadata": {"name": "checks"}, "spec": spec}, MachineHealthCheck)]
    assert observed(labels=CONTROL_PLANE, checks=checks).is_replaceable
    assert not observed(labels={}, checks=checks).is_replaceable
    result = observed(labels=CONTROL_PLANE, checks=checks, annotations={REMEDIATE: ""})
    assert (result.is_replaceable, result.is_marked) == (True, True)
    assert not observed().is_marked


def test_groups_have_the_names_in_machines() -> None:
    spec = {"rollout": {"after": NOW.isoformat()}}
    plane = msgspec.convert({"metadata": {"name": "c"}, "spec": spec}, KubeadmControlPlane)
    topology = msgspec.convert({"metadata": {"name": "c-np-x7", "labels": WORKER}, "spec": spec}, MachineDeployment)
    plain = msgspec.convert({"metadata": {"name": "c-md-0"}, "spec": spec}, MachineDeployment)
    never = msgspec.convert({"metadata": {"name": "c-md-1"}}, MachineDeployment)
    assert rollout_after_by_group(plane, [topology, plain, never]) == {"": NOW, "np": NOW, "c-md-0": NOW}
    assert rollout_after_by_group(None, []) == {}


VERDICT = st.sampled_from([*VERDICTS, "", "Else"])
ACCESS = st.sampled_from([VERIFIED, UNVERIFIABLE, UNREADABLE, "", "Else"])
TIMES = st.integers(-200, 200).map(lambda seconds: NOW + seconds * SECOND)
DIGESTS = st.sampled_from([SET, OTHER])


@given(
    proofs=st.none() | st.builds(proof, digest=DIGESTS, at=TIMES, first=VERDICT, second=VERDICT),
    inspections=st.none()
    | st.builds(inspected, digest=DIGESTS, at=TIMES, first=ACCESS, second=ACCESS, is_drifted=st.booleans()),
    only_removes=st.booleans(),
    hosts=st.sets(st.sampled_from(sorted(HOSTS))).map(frozenset),
)
def test_proven_and_refused_exclude_each_other_and_need_current_records(
    proofs: RecordedProof | None, inspections: Inspection | None, hosts: frozenset[str], *, only_removes: bool
) -> None:
    known = facts(proof=proofs, inspection=inspections, only_removes=only_removes)
    result = observed(known, hosts=hosts)
    assert result.proven is None or result.refused is None
    if result.proven or result.refused:
        assert proofs
        assert proofs.at
        assert proofs.digest == SET
        assert proofs.at > known.changed_at
    if result.proven and not only_removes:
        assert inspections
        verified = {access.registry for access in inspections.registries if access.verification == VERIFIED}
        trusted = {item.registry for item in proofs.results if item.verdict == TRUSTED} if proofs else set()
        assert verified & trusted & hosts
    if only_removes:
        assert result.refused is None
