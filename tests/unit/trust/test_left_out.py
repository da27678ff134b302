"""A service list that is left out, as after a deletion of the object, is not an empty list."""

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
from trustplane.trust import lists
from trustplane.trust.entries import EMPTY, Reading, TrustSet, read
from trustplane.trust.lists import LastGood
from trustplane.trust.policy import Policy, policy
from trustplane.trust.propagation import Decision, Frozen, Situation, decide

EXAMPLES = Path(__file__).parents[3] / "examples"
START = datetime(2026, 1, 1, tzinfo=UTC)
STOCK = TkgServiceConfiguration(spec=STOCK_SPEC)
ALLOWED = {ALLOW_REMOVAL: "true"}


@cache
def cas() -> dict[str, str]:
    """Base64 of the PEM of CAs a and b."""
    spec = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]
    return dict(zip("ab", (one["data"] for one in spec["trust"]["additionalTrustedCAs"]), strict=True))


def trust(names: str) -> TrustSet:
    return read([TrustedCA(name=name, data=cas()[name]) for name in names]).trust


def configuration(names: str | None, **annotations: str) -> TkgServiceConfiguration:
    """The object with a list of these entries; None: without a list."""
    spec: dict[str, Any] = {"defaultCNI": "antrea"}
    if names is not None:
        spec["trust"] = {"additionalTrustedCAs": [{"name": name, "data": cas()[name]} for name in names]}
    return msgspec.convert({"metadata": {"annotations": annotations}, "spec": spec}, TkgServiceConfiguration)


@pytest.mark.parametrize("found", [None, STOCK, configuration(None)], ids=["absent", "stock", "without-a-list"])
def test_the_last_good_list_counts_in_place_of_one_that_is_left_out(found: TkgServiceConfiguration | None) -> None:
    reading = lists.service(found, LastGood(trust("a")))
    assert (reading.ok, reading.trust) == (True, trust("a"))
    [finding] = reading.findings
    assert finding.code == "list-left-out"
    assert f"a ({trust('a').entries[0].fingerprints[0][:10]}" in finding.what
    assert "allow-removal" in finding.next_step


@pytest.mark.parametrize(
    "found", [configuration(None, **ALLOWED), configuration("")], ids=["allowed", "an-empty-list-that-is-written"]
)
def test_what_somebody_said_counts(found: TkgServiceConfiguration) -> None:
    assert lists.service(found, LastGood(trust("a"))) == Reading()


def test_a_new_installation_has_nothing_to_keep() -> None:
    assert lists.service(STOCK, None) == lists.service(STOCK, LastGood(EMPTY)) == Reading()


def test_a_last_good_list_that_cannot_be_read_is_no_empty_list() -> None:
    reading = lists.service(STOCK, LastGood(None))
    assert not reading.ok
    assert [one.code for one in reading.findings] == ["last-good-unreadable"]


def test_how_the_service_merges_stays_with_its_list() -> None:
    kept = LastGood(trust("a"), "Append")
    assert lists.service_policies(STOCK, kept) == {TRUST_MERGE: "Append"}
    assert lists.service_policies(configuration("b"), kept) == {}
    assert lists.service_policies(configuration(None, **ALLOWED), kept) == ALLOWED


def test_a_list_is_recorded_once_and_one_that_is_left_out_never() -> None:
    found = configuration("a", **{TRUST_MERGE: "Append"})
    good = lists.recorded(found, None)
    assert good == LastGood(trust("a"), "Append")
    assert lists.recorded(found, good) is None
    assert lists.recorded(STOCK, good) is None
    assert lists.recorded(configuration(None, **ALLOWED), good) == LastGood(EMPTY)


@dataclass
class World:
    """A service, one cluster, and a manager that may be killed between any two steps."""

    found: TkgServiceConfiguration | None = STOCK
    kept: LastGood | None = None
    own: Reading | None = None
    cluster: dict[str, str] = field(default_factory=dict)  # annotations of the policies
    updates: int = 0
    requested_at: datetime | None = None
    now: datetime = START
    frozen: Frozen | None = None
    in_force: TrustSet | None = None

    def record(self) -> None:
        if self.found is None:
            self.found = STOCK
        self.kept = lists.recorded(self.found, self.kept) or self.kept

    def policy(self) -> Policy:
        found = policy(self.cluster, lists.service_policies(self.found, self.kept))
        return replace(found, requested_at=self.requested_at)

    def reconcile(self) -> Decision | None:
        """As the controller of clusters does; None: it waits."""
        self.now += timedelta(minutes=1)
        if self.found is None:
            return None
        service = lists.service(self.found, self.kept)
        customised = is_customised(self.found.spec) or lists.is_kept(service)
        decision = decide(
            Situation(
                frozen=self.frozen,
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
        if decision.taken and lists.recorded(self.found, self.kept) is not None:
            return None
        if decision.trust is not None:
            self.frozen, self.in_force = decision.frozen, decision.trust
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
@pytest.mark.parametrize("remade", [None, STOCK, configuration(None)], ids=["by-us", "stock", "by-somebody"])
def test_a_deletion_empties_no_cluster_whatever_its_policy(update: str, remade: TkgServiceConfiguration | None) -> None:
    world = World(found=configuration("ab"))
    world.settle()
    assert world.in_force == trust("ab")
    world.found = remade
    UPDATES[update](world)
    world.settle()
    decision = world.reconcile()
    assert decision is not None
    assert (decision.taken, decision.current, world.in_force) == (False, True, trust("ab"))

    world.found = configuration("b")
    UPDATES[update](world)
    world.settle()
    assert world.in_force == trust("b")


def test_a_deletion_leaves_a_list_that_is_merged_into_a_clusters_own() -> None:
    world = World(found=configuration("a", **{TRUST_MERGE: "Append"}), own=Reading(trust("b")))
    world.cluster = {"trustplane.dev/propagation": "Automatic"}
    world.settle()
    assert world.in_force == trust("ab")
    world.found = None
    world.settle()
    assert world.in_force == trust("ab")


def test_nothing_is_taken_that_a_deletion_could_lose() -> None:
    world = World(found=configuration("a"))
    assert world.reconcile() is None
    assert world.in_force is None
    world.record()
    world.reconcile()
    assert world.in_force == trust("a")


def test_a_permission_that_was_recorded_need_not_stay() -> None:
    world = World(found=configuration("a"), cluster={"trustplane.dev/propagation": "Automatic"})
    world.settle()
    world.found = configuration(None, **ALLOWED)
    world.settle()
    assert world.in_force == EMPTY
    world.found = STOCK
    world.settle()
    assert world.in_force == EMPTY


class Histories(RuleBasedStateMachine):
    """Any order of lists, deletions, updates, and kills of the manager between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.asked: list[TrustSet] = [EMPTY]  # what lists that somebody wrote, or a permission, have asked for

    @rule(names=st.sampled_from(["", "a", "b", "ab"]), merge=st.sampled_from([{}, {TRUST_MERGE: "Append"}]))
    def write_a_list(self, names: str, merge: dict[str, str]) -> None:
        self.world.found = configuration(names, **merge)
        self.asked.append(trust(names))

    @rule()
    def allow_the_removal(self) -> None:
        self.world.found = configuration(None, **ALLOWED)
        self.asked.append(EMPTY)

    @rule(remade=st.sampled_from([None, STOCK, configuration(None)]))
    def delete(self, remade: TkgServiceConfiguration | None) -> None:
        before = self.world.in_force
        recorded = self.world.kept.trust if self.world.kept else EMPTY
        self.world.found = remade
        self.asked = [recorded or EMPTY]
        self.world.settle()
        self.world.reconcile()
        if before is not None and self.world.own is None:
            assert self.world.in_force in (before, *self.asked)

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
    def nothing_is_taken_but_what_somebody_asked_for(self) -> None:
        taken = self.world.in_force
        before = getattr(self, "_before", None)
        if taken is not None and before is not None and taken != before:
            assert taken in self.asked
        self._before = taken


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=80, stateful_step_count=30)
