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
    TRUST_PROOF,
    TRUST_UPDATE_ERROR,
    TRUST_WRITE_STARTED,
    AppliedTrust,
    UpdateError,
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
    return {TRUST_APPLIED: recorded.encode_record(AppliedTrust(**{"digest": DIGEST, "at": NOW, **values}))}


def test_the_set_of_a_new_machine_is_unknown() -> None:
    node = node_facts(machine())
    assert (node.digest, node.boot_digest, node.method, node.node) == ("", "", BOOTSTRAP, "n")
    assert node.changed_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert not node.has_set("")


def test_a_machine_has_the_set_in_its_bootstrap_data() -> None:
    node = node_facts(machine(applied(method=BOOTSTRAP, booted=DIGEST)))
    assert (node.digest, node.boot_digest, node.method) == (DIGEST, DIGEST, BOOTSTRAP)
    assert node.changed_at == NOW
    assert node.has_set(DIGEST)
    assert not node.has_set(OTHER)


def test_a_later_write_counts_and_the_booted_set_stays_known() -> None:
    written = {"digest": DIGEST, "at": "2026-02-02T00:00:00Z", "method": IN_PLACE, "booted": OTHER, "more": 1}
    node = node_facts(machine({TRUST_APPLIED: json.dumps(written)}))
    assert (node.digest, node.boot_digest, node.method) == (DIGEST, OTHER, IN_PLACE)
    assert node.changed_at == datetime(2026, 2, 2, tzinfo=UTC)


def test_a_partial_set_is_not_the_set() -> None:
    node = node_facts(machine(applied(method=BOOTSTRAP, is_partial=True)))
    assert node.digest == DIGEST
    assert not node.has_set(DIGEST)


def test_a_record_older_than_an_unrecorded_write_is_not_the_set_of_the_node() -> None:
    before = applied(method=IN_PLACE)
    assert node_facts(machine(before)).has_set(DIGEST)
    node = node_facts(machine(before | {TRUST_WRITE_STARTED: OTHER}))
    assert (node.digest, node.has_set(DIGEST), node.has_set(OTHER)) == (DIGEST, False, False)
    assert node_facts(machine(before | {TRUST_WRITE_STARTED: "\x1b[2J"})).has_unrecorded_write  # any value counts


def test_a_write_that_only_removes_is_recorded() -> None:
    assert node_facts(machine(applied(method=IN_PLACE, only_removes=True))).only_removes
    assert not node_facts(machine(applied(method=IN_PLACE))).only_removes


@pytest.mark.parametrize("booted", ["", "no digest", "../../x", DIGEST + "0", "\x1b[2J"])
def test_an_invalid_booted_digest_is_unknown(booted: str) -> None:
    assert node_facts(machine(applied(booted=booted))).boot_digest == ""


@pytest.mark.parametrize("method", ["", "Sideways", "\x1b[2J"])
def test_an_unknown_method_counts_as_bootstrap(method: str) -> None:
    assert node_facts(machine(applied(method=method))).method == BOOTSTRAP


def test_an_update_error_concerns_only_its_set() -> None:
    update_error = UpdateError(digest=OTHER, at=NOW, message="Cannot open SSH", is_unreachable=True)
    node = node_facts(machine(applied() | {TRUST_UPDATE_ERROR: recorded.encode_record(update_error)}))
    assert node.update_error == update_error
    assert node.write_error(OTHER) == "Cannot open SSH"
    assert node.write_error(DIGEST) == ""  # the set on the node


def test_a_plain_text_update_error_of_an_earlier_release_is_ignored() -> None:
    node = node_facts(machine({TRUST_UPDATE_ERROR: "Cannot open SSH"}))
    assert node.update_error is None
    assert node.ignored_annotations == (TRUST_UPDATE_ERROR,)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"digest": 1}'])
def test_a_malformed_annotation_counts_as_absent(text: str) -> None:
    names = (TRUST_APPLIED, TRUST_UPDATE_ERROR, TRUST_PROOF)
    node = node_facts(machine(dict.fromkeys(names, text)))
    assert (node.proof, node.update_error, node.digest) == (None, None, "")
    assert node.ignored_annotations == (names if text else ())


def test_a_record_from_the_future_is_ignored() -> None:
    late = applied(at=NOW + recorded.MAX_CLOCK_SKEW + timedelta(seconds=1))
    assert node_facts(machine(late), now=NOW).ignored_annotations == (TRUST_APPLIED,)
    assert node_facts(machine(applied(at=NOW + recorded.MAX_CLOCK_SKEW)), now=NOW).digest == DIGEST


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
def test_a_machine_with_another_update_in_progress_is_busy(
    annotations: dict[str, str], conditions: list[Json], *, is_busy: bool
) -> None:
    assert node_facts(machine(annotations, *conditions)).is_busy is is_busy


def test_a_kubelet_that_stops_reporting_is_unreachable() -> None:
    stopped = {"type": "NodeReady", "status": "Unknown", "message": "* Node.Ready: Kubelet \x1b[2Jstopped"}
    silence = node_facts(machine(None, stopped)).unreachable_reason
    assert silence.startswith("its kubelet does not report: Kubelet")
    assert silence.endswith("stopped")
    assert silence.isprintable()
    assert node_facts(machine(None, stopped, nodeRef={})).unreachable_reason == ""  # it never reported
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
def test_a_machine_belongs_to_the_control_plane_or_to_a_pool(
    labels: dict[str, str], *, control_plane: bool, pool: str
) -> None:
    labelled = machine(labels=labels)
    assert (is_control_plane(labelled), pool_name(labelled)) == (control_plane, pool)


def addresses(*entries: tuple[str, str]) -> Machine:
    return machine(addresses=[{"type": type_, "address": address} for type_, address in entries])


def test_an_internal_address_is_preferred() -> None:
    inside, outside, name = ("InternalIP", "198.18.0.10"), ("ExternalIP", "203.0.113.1"), ("InternalDNS", "m.internal")
    assert ssh_address(addresses(name, outside, inside)) == "198.18.0.10"
    assert ssh_address(addresses(name, outside, ("InternalIP", ""))) == "203.0.113.1"
    assert ssh_address(addresses(("Hostname", "m"), name)) == "m.internal"


def test_a_machine_without_an_address_is_a_transient_error() -> None:
    for unreachable in (addresses(), addresses(("Hostname", "m"))):
        with pytest.raises(TransientError, match="no address"):
            ssh_address(unreachable)


@given(hostile_annotations, st.datetimes(timezones=st.just(UTC)))
def test_facts_from_hostile_annotations_are_bounded(values: dict[str, str], now: datetime) -> None:
    latest = now + recorded.MAX_CLOCK_SKEW if now.year < 9999 else now
    node = node_facts(machine(values), now=now if now.year < 9999 else NOW)
    assert node.method in (BOOTSTRAP, IN_PLACE)
    assert all(digest == "" or recorded.is_digest(digest) for digest in (node.digest, node.boot_digest))
    assert node.update_error is None or node.update_error.message.isprintable()
    assert node.changed is None or now.year == 9999 or node.changed <= latest
