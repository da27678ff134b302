import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from trustplane.api.configuration import TrustedCA
from trustplane.api.keys import Key
from trustplane.cli.plan.effects import (
    CREATED,
    HELD,
    IN_PLACE,
    NOTHING,
    REFUSED,
    REPLACED,
    UPDATED,
    Effect,
    MachineCounts,
    annotations_after,
    cluster_effect,
)
from trustplane.trust.entries import ParsedList, parse_list
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import PropagationInput, PropagationRecord, decide_propagation

KEY = Key("default", "shop")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLE_DIGESTS = {"1/version": "a"}


def listed(data: dict[str, str], **names: str) -> ParsedList:
    return parse_list([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()])


@pytest.fixture
def known(data: dict[str, str]) -> PropagationInput:
    old = listed(data, corp="a")
    return PropagationInput(
        record=PropagationRecord(
            digest=old.trust.digest, update_digests=EXAMPLE_DIGESTS, first_customisation_handled=True
        ),
        in_force=old.trust,
        service=old,
        last_good=None,
        own=None,
        policy=Policy(),
        first_customized_at=NOW,
        update_digests=EXAMPLE_DIGESTS,
        now=NOW,
    )


MACHINES = MachineCounts(3, 2)


def planned(situation: PropagationInput, strategy: str = "InPlace", machines: MachineCounts = MACHINES) -> Effect:
    return cluster_effect(KEY, situation, decide_propagation(situation), machines, strategy=strategy)


def test_the_same_list_does_nothing(known: PropagationInput) -> None:
    assert planned(known).effect == NOTHING


def test_a_changed_service_list_is_held_until_an_update(known: PropagationInput, data: dict[str, str]) -> None:
    result = planned(replace(known, service=listed(data, corp="a", apps="b")))
    assert (result.effect, result.how, result.restarts, result.machines) == (HELD, "", False, 0)
    document = result.as_json()
    assert document["added"] == [
        {"name": "apps", "fingerprints": list(listed(data, x="b").trust.entries[0].fingerprints), "hosts": []}
    ]
    assert "trustplane update shop" in result.message


def test_an_own_list_updates_immediately_in_place(known: PropagationInput, data: dict[str, str]) -> None:
    result = planned(replace(known, own=listed(data, apps="b")))
    assert (result.effect, result.reason, result.how) == (UPDATED, "OwnTrustChanged", IN_PLACE)
    assert result.restarts
    assert (result.machines, result.replaced) == (5, 0)
    assert [item["name"] for item in result.as_json()["removed"]] == ["corp"]


def test_registry_scoped_entries_restart_nothing(known: PropagationInput, data: dict[str, str]) -> None:
    own = listed(data, corp="a", apps="b")
    result = planned(replace(known, own=ParsedList(own.trust.with_scopes({"apps": ["r.test"]}))))
    assert (result.effect, result.how, result.restarts) == (UPDATED, IN_PLACE, False)
    assert [item["hosts"] for item in result.as_json()["added"]] == [["r.test"]]
    result = planned(replace(known, own=ParsedList(own.trust.with_scopes({"corp": ["r.test"]}))))
    assert result.restarts
    assert [(item["fromHosts"], item["toHosts"]) for item in result.as_json()["changed"]] == [([], ["r.test"])]


def test_replacement_restarts_nothing(known: PropagationInput, data: dict[str, str]) -> None:
    policy = Policy(propagation="Automatic")
    result = planned(replace(known, service=listed(data, corp="b"), policy=policy), "Replace")
    assert (result.reason, result.how, result.restarts, result.replaced) == ("Automatic", REPLACED, False, 5)
    assert [item["name"] for item in result.as_json()["changed"]] == ["corp"]


def test_a_single_control_plane_node_is_updated_in_place(known: PropagationInput, data: dict[str, str]) -> None:
    result = planned(replace(known, own=listed(data, apps="b")), machines=MachineCounts(1, 2))
    assert (result.how, result.restarts, result.machines, result.replaced) == (IN_PLACE, True, 3, 0)
    assert result.message == ""


def test_another_change_of_the_cluster_replaces_its_machines(known: PropagationInput) -> None:
    result = planned(replace(known, update_digests={"1/version": "b"}))
    assert (result.effect, result.reason, result.how) == (UPDATED, "OtherUpdate", REPLACED)


def test_the_first_customisation_updates_all(known: PropagationInput, data: dict[str, str]) -> None:
    frozen = replace(known.record or PropagationRecord(digest=""), first_customisation_handled=False)
    result = planned(replace(known, record=frozen, service=listed(data, corp="a", apps="b")))
    assert (result.effect, result.reason) == (UPDATED, "FirstCustomisation")


def test_a_new_cluster_starts_with_the_list(known: PropagationInput) -> None:
    result = planned(replace(known, record=None, in_force=None))
    assert (result.effect, result.change.added) == (CREATED, ("corp",))


def test_an_invalid_list_has_no_effect_and_is_refused_for_a_new_cluster(known: PropagationInput) -> None:
    broken = parse_list([TrustedCA(name="bad", data="!")])
    assert planned(replace(known, service=broken)).effect == NOTHING
    assert "not base64" in planned(replace(known, service=broken)).message
    assert planned(replace(known, service=broken, record=None, in_force=None)).effect == REFUSED


@pytest.mark.parametrize(
    ("applied", "manifest", "after"),
    [
        ({}, {}, {"scope": "a=b"}),  # set by `kubectl annotate`
        ({"scope": "a=b"}, {}, {}),  # it was in the last applied manifest
        ({"scope": "a=b"}, {"scope": "a=c"}, {"scope": "a=c"}),
        ({"scope": "x=y"}, {"other": "1"}, {"other": "1"}),
    ],
)
def test_an_annotation_is_removed_if_kubectl_applied_it(
    applied: dict[str, str], manifest: dict[str, str], after: dict[str, str]
) -> None:
    last = "kubectl.kubernetes.io/last-applied-configuration"
    kept = {"scope": "a=b", last: json.dumps({"metadata": {"annotations": applied}})}
    result = annotations_after(kept, manifest)
    assert {name: value for name, value in result.items() if name != last} == after


@pytest.mark.parametrize(
    "applied", ["", "{", "[]", '{"metadata": null}', '{"metadata": {"annotations": null}}', "\udc80"]
)
def test_annotations_are_kept_without_a_last_applied_manifest(applied: str) -> None:
    kept = {"scope": "a=b", "kubectl.kubernetes.io/last-applied-configuration": applied}
    assert annotations_after(kept, {}) == kept
    assert annotations_after({"scope": "a=b"}, {}) == {"scope": "a=b"}
