import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from trustplane.api.configuration import TrustedCA
from trustplane.cli.plan_effects import (
    CREATED,
    HELD,
    IN_PLACE,
    NOTHING,
    REFUSED,
    REPLACED,
    UPDATED,
    Effect,
    Machines,
    annotations_after,
    effect,
)
from trustplane.kube.resource import Key
from trustplane.trust.entries import Reading, read
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import Frozen, Situation, decide

KEY = Key("default", "shop")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLE_DIGESTS = {"1/version": "a"}


def listed(data: dict[str, str], **names: str) -> Reading:
    return read([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()])


@pytest.fixture
def known(data: dict[str, str]) -> Situation:
    old = listed(data, corp="a")
    return Situation(
        frozen=Frozen(digest=old.trust.digest, update_digests=EXAMPLE_DIGESTS, first_customisation_handled=True),
        in_force=old.trust,
        service=old,
        last_good=None,
        own=None,
        policy=Policy(),
        first_customized_at=NOW,
        update_digests=EXAMPLE_DIGESTS,
        now=NOW,
    )


def planned(situation: Situation, strategy: str = "InPlace", machines: Machines = Machines(3, 2)) -> Effect:  # noqa: B008
    return effect(KEY, situation, decide(situation), machines, strategy=strategy)


def test_the_same_list_does_nothing(known: Situation) -> None:
    assert planned(known).effect == NOTHING


def test_a_changed_service_list_waits_until_it_is_asked_for(known: Situation, data: dict[str, str]) -> None:
    found = planned(replace(known, service=listed(data, corp="a", apps="b")))
    assert (found.effect, found.how, found.restarts, found.machines) == (HELD, "", False, 0)
    document = found.as_json()
    assert document["added"] == [
        {"name": "apps", "fingerprints": list(listed(data, x="b").trust.entries[0].fingerprints), "hosts": []}
    ]
    assert "trustplane update shop" in found.message


def test_an_own_list_updates_at_once_in_place(known: Situation, data: dict[str, str]) -> None:
    found = planned(replace(known, own=listed(data, apps="b")))
    assert (found.effect, found.reason, found.how) == (UPDATED, "OwnTrustChanged", IN_PLACE)
    assert found.restarts
    assert (found.machines, found.replaced) == (5, 0)
    assert [one["name"] for one in found.as_json()["removed"]] == ["corp"]


def test_entries_of_single_registries_restart_nothing(known: Situation, data: dict[str, str]) -> None:
    own = listed(data, corp="a", apps="b")
    found = planned(replace(known, own=Reading(own.trust.scoped({"apps": ["r.test"]}))))
    assert (found.effect, found.how, found.restarts) == (UPDATED, IN_PLACE, False)
    assert [one["hosts"] for one in found.as_json()["added"]] == [["r.test"]]
    found = planned(replace(known, own=Reading(own.trust.scoped({"corp": ["r.test"]}))))
    assert found.restarts
    assert [(one["fromHosts"], one["toHosts"]) for one in found.as_json()["changed"]] == [([], ["r.test"])]


def test_replacement_restarts_nothing(known: Situation, data: dict[str, str]) -> None:
    policy = Policy(propagation="Automatic")
    found = planned(replace(known, service=listed(data, corp="b"), policy=policy), "Replace")
    assert (found.reason, found.how, found.restarts, found.replaced) == ("Automatic", REPLACED, False, 5)
    assert [one["name"] for one in found.as_json()["changed"]] == ["corp"]


def test_a_control_plane_of_one_is_changed_in_place_like_any_other(known: Situation, data: dict[str, str]) -> None:
    found = planned(replace(known, own=listed(data, apps="b")), machines=Machines(1, 2))
    assert (found.how, found.restarts, found.machines, found.replaced) == (IN_PLACE, True, 3, 0)
    assert found.message == ""


def test_another_change_of_the_cluster_replaces_its_machines(known: Situation) -> None:
    found = planned(replace(known, update_digests={"1/version": "b"}))
    assert (found.effect, found.reason, found.how) == (UPDATED, "OtherUpdate", REPLACED)


def test_the_first_customisation_updates_all(known: Situation, data: dict[str, str]) -> None:
    frozen = replace(known.frozen or Frozen(digest=""), first_customisation_handled=False)
    found = planned(replace(known, frozen=frozen, service=listed(data, corp="a", apps="b")))
    assert (found.effect, found.reason) == (UPDATED, "FirstCustomisation")


def test_a_new_cluster_is_made_with_the_list(known: Situation) -> None:
    found = planned(replace(known, frozen=None, in_force=None))
    assert (found.effect, found.change.added) == (CREATED, ("corp",))


def test_a_broken_list_changes_nothing_and_is_refused_for_a_new_cluster(known: Situation) -> None:
    broken = read([TrustedCA(name="bad", data="!")])
    assert planned(replace(known, service=broken)).effect == NOTHING
    assert "not base64" in planned(replace(known, service=broken)).message
    assert planned(replace(known, service=broken, frozen=None, in_force=None)).effect == REFUSED


@pytest.mark.parametrize(
    ("applied", "manifest", "after"),
    [
        ({}, {}, {"scope": "a=b"}),  # set by `kubectl annotate`
        ({"scope": "a=b"}, {}, {}),  # it was in the manifest that was applied before
        ({"scope": "a=b"}, {"scope": "a=c"}, {"scope": "a=c"}),
        ({"scope": "x=y"}, {"other": "1"}, {"other": "1"}),
    ],
)
def test_an_annotation_goes_where_kubectl_applied_it(
    applied: dict[str, str], manifest: dict[str, str], after: dict[str, str]
) -> None:
    last = "kubectl.kubernetes.io/last-applied-configuration"
    kept = {"scope": "a=b", last: json.dumps({"metadata": {"annotations": applied}})}
    found = annotations_after(kept, manifest)
    assert {name: value for name, value in found.items() if name != last} == after


@pytest.mark.parametrize(
    "applied", ["", "{", "[]", '{"metadata": null}', '{"metadata": {"annotations": null}}', "\udc80"]
)
def test_annotations_stay_where_nothing_is_known_to_be_applied_before(applied: str) -> None:
    kept = {"scope": "a=b", "kubectl.kubernetes.io/last-applied-configuration": applied}
    assert annotations_after(kept, {}) == kept
    assert annotations_after({"scope": "a=b"}, {}) == {"scope": "a=b"}
