"""A missing service list, as after a deletion of the object, is not an empty list."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trustplane.api.annotations import ALLOW_REMOVAL, TRUST_MERGE
from trustplane.api.configuration import STOCK_SPEC, TkgServiceConfiguration, TrustedCA, is_customised
from trustplane.trust import list_sources
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet, parse_list
from trustplane.trust.list_sources import LastGoodList
from trustplane.trust.policy import Policy, read_policy
from trustplane.trust.propagation import PropagationDecision, PropagationInput, PropagationRecord, decide_propagation

EXAMPLES = Path(__file__).parents[3] / "examples"
START = datetime(2026, 1, 1, tzinfo=UTC)
STOCK = TkgServiceConfiguration(spec=STOCK_SPEC)
ALLOWED = {ALLOW_REMOVAL: "true"}


@cache
def cas() -> dict[str, str]:
    """Base64 of the PEM of CAs a and b."""
    spec = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]
    return dict(zip("ab", (entry["data"] for entry in spec["trust"]["additionalTrustedCAs"]), strict=True))


def trust(names: str) -> TrustSet:
    return parse_list([TrustedCA(name=name, data=cas()[name]) for name in names]).trust


def configuration(names: str | None, **annotations: str) -> TkgServiceConfiguration:
    """Return the object with a list of these entries; None: without a list."""
    spec: dict[str, Any] = {"defaultCNI": "antrea"}
    if names is not None:
        spec["trust"] = {"additionalTrustedCAs": [{"name": name, "data": cas()[name]} for name in names]}
    return msgspec.convert({"metadata": {"annotations": annotations}, "spec": spec}, TkgServiceConfiguration)


@pytest.mark.parametrize("stored", [None, STOCK, configuration(None)], ids=["absent", "stock", "without-a-list"])
def test_the_last_good_list_replaces_a_missing_one(stored: TkgServiceConfiguration | None) -> None:
    reading = list_sources.parse_service_list(stored, LastGoodList(trust("a")))
    assert (reading.is_valid, reading.trust) == (True, trust("a"))
    [finding] = reading.findings
    assert finding.code == "list-left-out"
    assert f"a ({trust('a').entries[0].fingerprints[0][:10]}" in finding.what
    assert "allow-removal" in finding.next_step


@pytest.mark.parametrize(
    "stored", [configuration(None, **ALLOWED), configuration("")], ids=["allowed", "an-empty-list-that-is-written"]
)
def test_a_list_or_a_permission_replaces_the_last_good_list(stored: TkgServiceConfiguration) -> None:
    assert list_sources.parse_service_list(stored, LastGoodList(trust("a"))) == ParsedList()


def test_a_new_installation_has_no_last_good_list() -> None:
    assert (
        list_sources.parse_service_list(STOCK, None)
        == list_sources.parse_service_list(STOCK, LastGoodList(EMPTY_SET))
        == ParsedList()
    )


def test_an_unreadable_last_good_list_is_an_error() -> None:
    reading = list_sources.parse_service_list(STOCK, LastGoodList(None))
    assert not reading.is_valid
    assert [finding.code for finding in reading.findings] == ["last-good-unreadable"]


def test_the_merge_policy_belongs_to_the_last_good_list() -> None:
    kept = LastGoodList(trust("a"), "Append")
    assert list_sources.service_policy_annotations(STOCK, kept) == {TRUST_MERGE: "Append"}
    assert list_sources.service_policy_annotations(configuration("b"), kept) == {}
    assert list_sources.service_policy_annotations(configuration(None, **ALLOWED), kept) == ALLOWED


def test_a_list_is_recorded_once_and_a_missing_one_never() -> None:
    stored = configuration("a", **{TRUST_MERGE: "Append"})
    good = list_sources.last_good_list_to_record(stored, None)
    assert good == LastGoodList(trust("a"), "Append")
    assert list_sources.last_good_list_to_record(stored, good) is None
    assert list_sources.last_good_list_to_record(STOCK, good) is None
    assert list_sources.last_good_list_to_record(configuration(None, **ALLOWED), good) == LastGoodList(EMPTY_SET)


@dataclass
class World:
    """A service, one cluster, and a manager that may be killed between any two steps."""

    stored: TkgServiceConfiguration | None = STOCK
    kept: LastGoodList | None = None
    own: ParsedList | None = None
    cluster: dict[str, str] = field(default_factory=dict)  # annotations of the policies
    updates: int = 0
    requested_at: datetime | None = None
    now: datetime = START
    frozen: PropagationRecord | None = None
    in_force: TrustSet | None = None

    def record(self) -> None:
        if self.stored is None:
            self.stored = STOCK
        self.kept = list_sources.last_good_list_to_record(self.stored, self.kept) or self.kept

    def policy(self) -> Policy:
        policies = read_policy(self.cluster, list_sources.service_policy_annotations(self.stored, self.kept))
        return replace(policies, requests=(self.requested_at,) if self.requested_at else ())

    def reconcile(self) -> PropagationDecision | None:
        """Reconcile as the controller of clusters does; return None if it waits."""
        self.now += timedelta(minutes=1)
        if self.stored is None:
            return None
        service = list_sources.parse_service_list(self.stored, self.kept)
        customised = is_customised(self.stored.spec) or list_sources.uses_last_good_list(service)
        decision = decide_propagation(
            PropagationInput(
                record=self.frozen,
                in_force=self.in_force,
                service=service,
                last_good=self.kept.trust if self.kept else None,
                own=self.own,
                policy=self.policy(),
                first_customized_at=START if customised else None,
                update_digests={"version": str(self.updates)},
                now=self.now,
            )
        )
        if decision.takes_set and list_sources.last_good_list_to_record(self.stored, self.kept) is not None:
            return None
        if decision.trust is not None:
            self.frozen, self.in_force = decision.record, decision.trust
        return decision

    def settle(self) -> None:
        self.record()
        self.reconcile()


UPDATES = {
    "automatic": lambda world: world.cluster.update({"trustplane.dev/propagation": "Automatic"}),
    "request": lambda world: setattr(world, "requested_at", world.now),
    "other update": lambda world: setattr(world, "updates", world.updates + 1),
}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("remade", [None, STOCK, configuration(None)], ids=["by-manager", "stock", "by-user"])
def test_a_deletion_empties_no_cluster_under_any_policy(update: str, remade: TkgServiceConfiguration | None) -> None:
    world = World(stored=configuration("ab"))
    world.settle()
    assert world.in_force == trust("ab")
    world.stored = remade
    UPDATES[update](world)
    world.settle()
    decision = world.reconcile()
    assert decision is not None
    assert (decision.takes_set, decision.is_current, world.in_force) == (False, True, trust("ab"))

    world.stored = configuration("b")
    UPDATES[update](world)
    world.settle()
    assert world.in_force == trust("b")


def test_a_deletion_keeps_an_appended_list() -> None:
    world = World(stored=configuration("a", **{TRUST_MERGE: "Append"}), own=ParsedList(trust("b")))
    world.cluster = {"trustplane.dev/propagation": "Automatic"}
    world.settle()
    assert world.in_force == trust("ab")
    world.stored = None
    world.settle()
    assert world.in_force == trust("ab")


def test_a_set_is_taken_only_after_it_is_recorded() -> None:
    world = World(stored=configuration("a"))
    assert world.reconcile() is None
    assert world.in_force is None
    world.record()
    world.reconcile()
    assert world.in_force == trust("a")


def test_a_recorded_permission_may_be_removed() -> None:
    world = World(stored=configuration("a"), cluster={"trustplane.dev/propagation": "Automatic"})
    world.settle()
    world.stored = configuration(None, **ALLOWED)
    world.settle()
    assert world.in_force == EMPTY_SET
    world.stored = STOCK
    world.settle()
    assert world.in_force == EMPTY_SET


class Histories(RuleBasedStateMachine):
    """Any order of lists, deletions, updates, and kills of the manager between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.requested: list[TrustSet] = [EMPTY_SET]  # sets requested by lists or a permission

    @rule(names=st.sampled_from(["", "a", "b", "ab"]), merge=st.sampled_from([{}, {TRUST_MERGE: "Append"}]))
    def write_a_list(self, names: str, merge: dict[str, str]) -> None:
        self.world.stored = configuration(names, **merge)
        self.requested.append(trust(names))

    @rule()
    def allow_the_removal(self) -> None:
        self.world.stored = configuration(None, **ALLOWED)
        self.requested.append(EMPTY_SET)

    @rule(remade=st.sampled_from([None, STOCK, configuration(None)]))
    def delete(self, remade: TkgServiceConfiguration | None) -> None:
        before = self.world.in_force
        recorded = self.world.kept.trust if self.world.kept else EMPTY_SET
        self.world.stored = remade
        self.requested = [recorded or EMPTY_SET]
        self.world.settle()
        self.world.reconcile()
        if before is not None and self.world.own is None:
            assert self.world.in_force in (before, *self.requested)

    @rule()
    def record(self) -> None:
        self.world.record()

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @rule(update=st.sampled_from(sorted(UPDATES)))
    def update(self, update: str) -> None:
        UPDATES[update](self.world)

    @invariant()
    def only_requested_sets_are_taken(self) -> None:
        taken = self.world.in_force
        before = getattr(self, "_before", None)
        if taken is not None and before is not None and taken != before:
            assert taken in self.requested
        self._before = taken


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=80, stateful_step_count=30)
