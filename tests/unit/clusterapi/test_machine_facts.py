import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trust.hostile import annotations as hostile_annotations

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import (
    BOOTSTRAP,
    IN_PLACE,
    TRUST_APPLIED,
    TRUST_HINDRANCE,
    TRUST_PROOF,
    AppliedTrust,
    Hindrance,
)
from trustplane.api.meta import Json
from trustplane.clusterapi.machine_facts import is_control_plane, node_facts, pool_name, ssh_address
from trustplane.errors import TransientError
from trustplane.trust import recorded

DIGEST, OTHER = "0123456789abcdef" * 4, "f" * 64
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
UPDATING = {"type": "Updating", "status": "True"}


def machine(
    annotations: dict[str, str] | None = None, *conditions: Json, labels: dict[str, str] | None = None, **status: Any
) -> Machine:
    metadata = {"name": "m", "annotations": annotations or {}, "labels": labels or {}}
    body = {
        "metadata": {**metadata, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "status": {"nodeRef": {"name": "n"}, "conditions": list(conditions), **status},
    }
    return msgspec.convert(body, Machine)


def applied(**values: Any) -> dict[str, str]:
    return {TRUST_APPLIED: recorded.text(AppliedTrust(**{"digest": DIGEST, "at": NOW, **values}))}


def test_of_a_new_machine_it_is_not_known_what_it_has() -> None:
    found = node_facts(machine())
    assert (found.digest, found.boot_digest, found.method, found.node) == ("", "", BOOTSTRAP, "n")
    assert found.changed_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert not found.has_set("")


def test_a_machine_has_what_its_bootstrap_data_was_seen_to_have() -> None:
    found = node_facts(machine(applied(method=BOOTSTRAP, booted=DIGEST)))
    assert (found.digest, found.boot_digest, found.method) == (DIGEST, DIGEST, BOOTSTRAP)
    assert found.changed_at == NOW
    assert found.has_set(DIGEST)
    assert not found.has_set(OTHER)


def test_what_was_written_later_counts_and_what_it_booted_with_stays_known() -> None:
    written = {"digest": DIGEST, "at": "2026-02-02T00:00:00Z", "method": IN_PLACE, "booted": OTHER, "more": 1}
    found = node_facts(machine({TRUST_APPLIED: json.dumps(written)}))
    assert (found.digest, found.boot_digest, found.method) == (DIGEST, OTHER, IN_PLACE)
    assert found.changed_at == datetime(2026, 2, 2, tzinfo=UTC)


def test_a_part_of_a_set_is_not_the_set() -> None:
    found = node_facts(machine(applied(method=BOOTSTRAP, is_partial=True)))
    assert found.digest == DIGEST
    assert not found.has_set(DIGEST)


def test_that_something_was_only_removed_is_kept() -> None:
    assert node_facts(machine(applied(method=IN_PLACE, only_removes=True))).only_removes
    assert not node_facts(machine(applied(method=IN_PLACE))).only_removes


@pytest.mark.parametrize("booted", ["", "no digest", "../../x", DIGEST + "0", "\x1b[2J"])
def test_a_set_that_it_booted_with_is_a_digest_or_unknown(booted: str) -> None:
    assert node_facts(machine(applied(booted=booted))).boot_digest == ""


@pytest.mark.parametrize("method", ["", "Sideways", "\x1b[2J"])
def test_an_unknown_way_of_writing_counts_as_bootstrap(method: str) -> None:
    assert node_facts(machine(applied(method=method))).method == BOOTSTRAP


def test_why_a_node_could_not_be_written_is_known_for_the_set_that_it_is_about() -> None:
    hindrance = Hindrance(digest=OTHER, at=NOW, message="Cannot open SSH", is_unreachable=True)
    found = node_facts(machine(applied() | {TRUST_HINDRANCE: recorded.text(hindrance)}))
    assert found.update_error == hindrance
    assert found.write_error(OTHER) == "Cannot open SSH"
    assert found.write_error(DIGEST) == ""  # which it has


def test_a_hindrance_in_plain_words_of_an_earlier_release_is_not_believed() -> None:
    found = node_facts(machine({TRUST_HINDRANCE: "Cannot open SSH"}))
    assert found.update_error is None
    assert found.ignored_annotations == (TRUST_HINDRANCE,)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"digest": 1}'])
def test_a_spoilt_annotation_counts_as_absent(text: str) -> None:
    names = (TRUST_APPLIED, TRUST_HINDRANCE, TRUST_PROOF)
    found = node_facts(machine(dict.fromkeys(names, text)))
    assert (found.proof, found.update_error, found.digest) == (None, None, "")
    assert found.ignored_annotations == (names if text else ())


def test_a_time_that_is_yet_to_come_is_not_believed() -> None:
    late = applied(at=NOW + recorded.SKEW + timedelta(seconds=1))
    assert node_facts(machine(late), now=NOW).ignored_annotations == (TRUST_APPLIED,)
    assert node_facts(machine(applied(at=NOW + recorded.SKEW)), now=NOW).digest == DIGEST


@pytest.mark.parametrize(
    ("annotations", "conditions", "is_busy"),
    [
        ({}, [], False),
        ({}, [UPDATING], True),
        ({}, [{**UPDATING, "status": "False"}], False),
        ({}, [{**UPDATING, "status": "Unknown"}], False),
        ({"in-place-updates.internal.cluster.x-k8s.io/update-in-progress": ""}, [], True),
    ],
)
def test_a_machine_that_somebody_else_updates_is_busy(
    annotations: dict[str, str], conditions: list[Json], *, is_busy: bool
) -> None:
    assert node_facts(machine(annotations, *conditions)).is_busy is is_busy


def test_a_kubelet_that_no_longer_reports_is_silent() -> None:
    stopped = {"type": "NodeReady", "status": "Unknown", "message": "* Node.Ready: Kubelet \x1b[2Jstopped"}
    silence = node_facts(machine(None, stopped)).unreachable_reason
    assert silence.startswith("its kubelet does not report: Kubelet")
    assert silence.endswith("stopped")
    assert silence.isprintable()
    assert node_facts(machine(None, stopped, nodeRef={})).unreachable_reason == ""  # it never did
    not_ready = {"type": "NodeReady", "status": "False", "message": "no CNI"}
    assert node_facts(machine(None, not_ready)).unreachable_reason == ""


@pytest.mark.parametrize(
    ("labels", "control_plane", "pool"),
    [
        ({}, False, ""),
        ({"cluster.x-k8s.io/control-plane": ""}, True, ""),
        ({"cluster.x-k8s.io/deployment-name": "c-np-x7"}, False, "c-np-x7"),
        (
            {"cluster.x-k8s.io/deployment-name": "c-np-x7", "topology.cluster.x-k8s.io/deployment-name": "np"},
            False,
            "np",
        ),
    ],
)
def test_a_machine_is_of_the_control_plane_or_of_a_pool(
    labels: dict[str, str], *, control_plane: bool, pool: str
) -> None:
    found = machine(labels=labels)
    assert (is_control_plane(found), pool_name(found)) == (control_plane, pool)


def addresses(*found: tuple[str, str]) -> Machine:
    return machine(addresses=[{"type": type_, "address": address} for type_, address in found])


def test_a_machine_is_reached_from_inside_if_it_can_be() -> None:
    inside, outside, name = ("InternalIP", "198.18.0.10"), ("ExternalIP", "203.0.113.1"), ("InternalDNS", "m.internal")
    assert ssh_address(addresses(name, outside, inside)) == "198.18.0.10"
    assert ssh_address(addresses(name, outside, ("InternalIP", ""))) == "203.0.113.1"
    assert ssh_address(addresses(("Hostname", "m"), name)) == "m.internal"


def test_a_machine_without_an_address_is_waited_for() -> None:
    for found in (addresses(), addresses(("Hostname", "m"))):
        with pytest.raises(TransientError, match="no address"):
            ssh_address(found)


@given(hostile_annotations, st.datetimes(timezones=st.just(UTC)))
def test_whatever_is_written_facts_are_bounded(values: dict[str, str], now: datetime) -> None:
    latest = now + recorded.SKEW if now.year < 9999 else now
    found = node_facts(machine(values), now=now if now.year < 9999 else NOW)
    assert found.method in (BOOTSTRAP, IN_PLACE)
    assert all(one == "" or recorded.is_digest(one) for one in (found.digest, found.boot_digest))
    assert found.update_error is None or found.update_error.message.isprintable()
    assert found.changed is None or now.year == 9999 or found.changed <= latest
