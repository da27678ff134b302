"""The rules of docs/reference/propagation.md by number, then all of them in random histories."""

import base64
import dataclasses
import string
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trustplane.api.configuration import TrustedCA
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet, parse_list
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import Policy
from trustplane.trust.propagation import PropagationDecision, PropagationInput, PropagationRecord, decide_propagation

EXAMPLES = Path(__file__).parents[3] / "examples"
START = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def cas() -> dict[str, str]:
    """Base64 of the PEM of CAs a and b."""
    spec = yaml.safe_load((EXAMPLES / "tkgserviceconfiguration.yaml").read_text())["spec"]
    return dict(zip("ab", (entry["data"] for entry in spec["trust"]["additionalTrustedCAs"]), strict=True))


def listed(**names: str) -> ParsedList:
    """Return a list: `corp="a"` is entry corp with CA a, `corp="!"` is broken."""
    return parse_list([TrustedCA(name=name, data=cas().get(ca, ca)) for name, ca in names.items()])


def again(**names: str) -> ParsedList:
    """Return the same list in another encoding: order, line ends, line lengths, comments."""
    entries = []
    for name, ca in reversed(names.items()):
        pem = b"# other\r\n" + base64.b64decode(cas()[ca]).replace(b"\n", b"\r\n").rstrip()
        data = "\n".join(textwrap.wrap(base64.b64encode(pem).decode(), 50))
        entries.append(TrustedCA(name=name, data=data))
    return parse_list(entries)


@dataclass
class World:
    """A service and one cluster; `reconcile` writes the decision, as the controllers do."""

    service: ParsedList = field(default_factory=ParsedList)
    last_good: TrustSet | None = EMPTY_SET
    own: ParsedList | None = None
    policy: Policy = field(default_factory=Policy)
    first_customized_at: datetime | None = None
    updates: Mapping[str, str] = field(default_factory=lambda: {"version": "1", "pool/a": "1"})
    now: datetime = START
    annotations: dict[str, str] = field(default_factory=dict)
    in_force: TrustSet | None = None  # None: no Cluster exists

    def configure(self, service: ParsedList) -> None:
        self.service = service
        if service.is_valid:
            self.last_good = service.trust
        if self.first_customized_at is None:
            self.first_customized_at = self.now

    def request(self, after: int = 0) -> None:
        self.policy = dataclasses.replace(self.policy, requests=(self.now + timedelta(seconds=after),))

    def decide(self) -> PropagationDecision:
        return decide_propagation(
            PropagationInput(
                record=PropagationRecord.from_annotations(self.annotations),
                in_force=self.in_force or None,  # an empty set has no Secret
                service=self.service,
                last_good=self.last_good,
                own=self.own,
                policy=self.policy,
                first_customized_at=self.first_customized_at,
                update_digests=self.updates,
                now=self.now,
            )
        )

    def reconcile(self) -> PropagationDecision:
        self.now += timedelta(minutes=1)
        decision = self.decide()
        if decision.trust is not None and decision.record is not None:
            self.in_force, self.annotations = decision.trust, decision.record.to_annotations()
        return decision


@pytest.fixture
def world() -> World:
    """A customised service with entry corp, and a cluster with this set in force."""
    world = World()
    world.configure(listed(corp="a"))
    assert world.reconcile().reason == "Created"
    return world


def test_p1_a_change_of_the_service_list_is_held_and_shown(world: World) -> None:
    world.configure(listed(corp="a", new="b"))
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason, decision.is_current) == (False, "Held", False)
    assert decision.difference.added == ("new",)
    assert world.in_force == listed(corp="a").trust


def test_p1_a_change_of_the_service_list_reaches_new_clusters(world: World) -> None:
    world.configure(listed(new="b"))
    later = World(service=world.service, last_good=world.last_good, first_customized_at=world.first_customized_at)
    decision = later.reconcile()
    assert (decision.takes_set, decision.reason, decision.is_current) == (True, "Created", True)
    assert later.in_force == listed(new="b").trust
    assert not later.reconcile().takes_set


def test_p2_an_existing_cluster_takes_it_on_request(world: World) -> None:
    world.configure(listed(new="b"))
    world.reconcile()
    world.request()
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason, decision.is_current) == (True, "Requested", True)
    assert world.in_force == listed(new="b").trust


def test_p2_a_request_counts_once(world: World) -> None:
    world.request()
    world.reconcile()
    world.configure(listed(new="b"))
    assert world.reconcile().reason == "Held"
    world.request(-3600)
    assert world.reconcile().reason == "Held"
    world.request()
    assert world.reconcile().reason == "Requested"


def test_p2_a_handled_request_stays_handled(world: World) -> None:
    world.request()
    world.reconcile()
    answered = world.policy
    world.policy = Policy()
    world.own = listed(private="b")
    world.reconcile()
    world.policy = answered
    world.own = None
    assert world.reconcile().reason == "OwnTrustChanged"
    world.configure(listed(new="b"))
    assert world.reconcile().reason == "Held"


def test_p2_creation_handles_earlier_requests() -> None:
    world = World()
    world.request(-10)
    world.configure(listed(corp="a"))
    world.reconcile()
    world.configure(listed(new="b"))
    assert world.reconcile().reason == "Held"


def test_p2_a_request_dated_in_the_future_waits_for_its_time(world: World) -> None:
    world.configure(listed(new="b"))
    world.request(3600)
    decision = world.reconcile()
    assert (decision.takes_set, decision.wait_until) == (False, world.policy.requests[0])
    world.now += timedelta(hours=1)
    assert world.reconcile().reason == "Requested"


def test_p2_a_request_for_now_does_not_wait_for_a_scheduled_one(world: World) -> None:
    world.configure(listed(new="b"))
    scheduled = world.now + timedelta(hours=1)
    world.policy = Policy(requests=(world.now, scheduled))
    decision = world.reconcile()
    assert (decision.reason, decision.wait_until) == ("Requested", scheduled)
    world.configure(listed(corp="a"))
    assert world.reconcile().reason == "Held"
    world.now = scheduled
    assert world.reconcile().reason == "Requested"


def test_p2_automatic_takes_every_change_immediately(world: World) -> None:
    world.policy = Policy(propagation="Automatic")
    world.configure(listed(new="b"))
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (True, "Automatic")
    assert world.in_force == listed(new="b").trust
    assert world.reconcile().reason == "UpToDate"


def test_p3_the_first_customisation_updates_existing_clusters_once() -> None:
    world = World()
    assert world.reconcile().trust == EMPTY_SET
    world.configure(listed(corp="a"))
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (True, "FirstCustomisation")
    assert world.in_force == listed(corp="a").trust
    world.configure(listed(corp="b"))
    assert world.reconcile().reason == "Held"


def test_p3_a_recreated_configuration_is_not_a_first_customisation(world: World) -> None:
    world.first_customized_at = None
    world.own = listed(private="b")
    assert world.reconcile().reason == "OwnTrustChanged"
    world.own = None
    world.reconcile()
    world.configure(listed(new="b"))
    assert world.reconcile().reason == "Held"


@pytest.mark.parametrize("change", [{"version": "2"}, {"pool/a": "2"}])
def test_p4_any_other_update_takes_the_desired_set(world: World, change: dict[str, str]) -> None:
    world.configure(listed(new="b"))
    world.reconcile()
    world.updates = {**world.updates, **change}
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (True, "OtherUpdate")
    assert world.in_force == listed(new="b").trust


def test_p4_added_or_removed_pools_update_nothing(world: World) -> None:
    world.configure(listed(new="b"))
    world.updates = {**world.updates, "pool/b": "1"}
    assert world.reconcile().reason == "Held"
    world.updates = {"version": "1", "pool/b": "1"}
    assert world.reconcile().reason == "Held"
    world.updates = {"version": "1", "pool/b": "2"}
    assert world.reconcile().reason == "OtherUpdate"


@pytest.mark.parametrize("own", [listed(private="a"), listed(corp="b"), ParsedList()], ids=["new", "content", "none"])
def test_p5_a_change_of_the_own_list_updates_immediately(world: World, own: ParsedList) -> None:
    world.own = own
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (True, "OwnTrustChanged")
    assert world.in_force == own.trust


def test_p5_new_content_under_an_unchanged_name_updates_immediately(world: World) -> None:
    world.own = listed(private="a")
    world.reconcile()
    world.own = listed(private="b")
    assert world.reconcile().reason == "OwnTrustChanged"
    assert world.in_force == listed(private="b").trust


def test_p5_without_an_own_list_a_cluster_takes_the_service_list(world: World) -> None:
    world.own = listed(private="b")
    world.reconcile()
    world.own = None
    assert world.reconcile().reason == "OwnTrustChanged"
    assert world.in_force == listed(corp="a").trust


def test_p7_another_encoding_updates_nothing(world: World) -> None:
    world.policy = Policy(propagation="Automatic", merge="Append")
    world.configure(listed(corp="a", new="b"))
    world.own = listed(private="b", other="a")
    world.reconcile()
    before = dict(world.annotations)
    world.configure(again(corp="a", new="b"))
    world.own = again(private="b", other="a")
    world.updates = dict(world.updates)
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (False, "UpToDate")
    assert world.annotations == before


def test_p8_new_machines_get_the_set_in_force(world: World) -> None:
    world.configure(listed(new="b"))
    assert world.reconcile().trust == listed(corp="a").trust


def test_p8_a_lost_secret_is_restored(world: World) -> None:
    world.in_force = None
    decision = world.reconcile()
    assert (decision.reason, decision.trust) == ("SecretLost", listed(corp="a").trust)


def test_p10_a_broken_service_list_changes_nothing(world: World) -> None:
    world.policy = Policy(propagation="Automatic")
    world.configure(listed(corp="!", new="b"))
    world.request()
    world.updates = {**world.updates, "version": "2"}
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason, decision.is_invalid) == (False, "Invalid", True)
    assert decision.findings[0].code == "not-base64"
    assert world.in_force == listed(corp="a").trust


def test_p10_a_broken_own_list_changes_nothing(world: World) -> None:
    world.own = listed(private="b")
    world.reconcile()
    world.own = listed(private="!")
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason, decision.is_current) == (False, "Invalid", False)
    assert world.in_force == listed(private="b").trust
    world.own = listed(private="a")
    assert world.reconcile().reason == "OwnTrustChanged"


def test_p10_a_request_is_handled_once_the_list_is_repaired(world: World) -> None:
    world.configure(listed(corp="!"))
    world.request()
    world.reconcile()
    world.configure(listed(new="b"))
    assert world.reconcile().reason == "Requested"


def test_p10_a_new_cluster_takes_the_last_good_service_list() -> None:
    world = World()
    world.configure(listed(corp="a"))
    world.configure(listed(corp="!"))
    decision = world.reconcile()
    assert (decision.reason, decision.trust, decision.is_invalid) == ("Created", listed(corp="a").trust, True)
    assert world.reconcile().is_current


def test_p10_a_new_cluster_without_any_good_list_is_held() -> None:
    world = World(service=listed(corp="!"), last_good=None)
    decision = world.reconcile()
    assert (decision.reason, decision.trust, decision.record, decision.takes_set) == ("Invalid", None, None, False)


def test_p10_a_new_cluster_with_a_broken_own_list_is_held(world: World) -> None:
    new = World(service=world.service, last_good=world.last_good, own=listed(private="!"))
    assert new.reconcile().trust is None
    new.own = listed(private="b")
    assert new.reconcile().reason == "Created"


def test_p10_an_unused_broken_list_has_no_effect(world: World) -> None:
    world.configure(listed(corp="!"))
    world.own = listed(private="b")
    decision = world.reconcile()
    assert (decision.reason, decision.is_invalid) == ("OwnTrustChanged", False)


def test_an_explicitly_empty_list_is_valid(world: World) -> None:
    world.configure(ParsedList())
    assert world.reconcile().difference.removed == ("corp",)
    world.request()
    assert world.reconcile().trust == EMPTY_SET
    assert world.reconcile().reason == "UpToDate"


def test_an_update_without_a_difference_takes_nothing(world: World) -> None:
    world.request()
    decision = world.reconcile()
    assert (decision.takes_set, decision.reason) == (False, "UpToDate")
    assert decision.record
    assert decision.record.reason == "Created"


times = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
digests = st.text("0123456789abcdef", min_size=10, max_size=64)
frozen = st.builds(
    PropagationRecord,
    digest=digests,
    own_digest=st.just("") | digests,
    update_digests=st.dictionaries(st.text(), st.text()),
    handled_at=times,
    first_customisation_handled=st.booleans(),
    reason=st.text(string.ascii_letters, min_size=1, max_size=64),
)


@given(frozen)
def test_annotations_keep_the_whole_record(some: PropagationRecord) -> None:
    assert PropagationRecord.from_annotations(some.to_annotations()) == some


@given(
    st.dictionaries(
        st.sampled_from(sorted(PropagationRecord(digest="x", handled_at=START).to_annotations())), st.text()
    )
)
def test_any_annotations_can_be_read(values: dict[str, str]) -> None:
    PropagationRecord.from_annotations(values)


lists = st.sampled_from(
    [listed(), listed(x="a"), listed(x="b"), listed(y="a"), listed(x="a", y="b"), listed(x="!"), listed(x="a", y="!")]
)


class Histories(RuleBasedStateMachine):
    """Changes, crashes before a decision is written, and reconciles in any order."""

    @initialize(service=lists, own=st.none() | lists)
    def begin(self, service: ParsedList, own: ParsedList | None) -> None:
        self.world = World(own=own)
        if service.trust or service.findings:
            self.world.configure(service)
        self.good: set[TrustSet] = set()
        self.note()

    def note(self) -> None:
        """Record every set that lists without errors ever requested."""
        for service in (self.world.service, ParsedList(self.world.last_good or EMPTY_SET)):
            desired = merge_lists(service, self.world.own, self.world.policy.merge)
            if desired.is_valid:
                self.good.add(desired.trust)

    @property
    def desired(self) -> ParsedList:
        return merge_lists(self.world.service, self.world.own, self.world.policy.merge)

    def settle(self) -> None:
        self.world.reconcile()
        assert not self.world.reconcile().takes_set

    @rule()
    def reconcile_again_and_again(self) -> None:
        self.world.reconcile()
        before = (self.world.in_force, dict(self.world.annotations))
        decision = self.world.reconcile()
        assert not decision.takes_set
        assert (self.world.in_force, self.world.annotations) == before

    @rule()
    def crash_before_writing(self) -> None:
        first, second = self.world.decide(), self.world.decide()
        assert first == second

    @rule(service=lists)
    def change_the_service(self, service: ParsedList) -> None:
        self.settle()
        before = self.world.in_force
        first = self.world.first_customized_at is None
        self.world.configure(service)
        self.note()
        decision = self.world.reconcile()
        if before is None:
            return
        if not self.desired.is_valid:
            assert self.world.in_force == before
        elif first or self.world.policy.propagation == "Automatic":
            assert self.world.in_force == self.desired.trust
        elif decision.reason not in ("Requested", "OwnTrustChanged", "FirstCustomisation"):
            assert self.world.in_force == before
            assert decision.is_current == (before == self.desired.trust)

    @rule(own=st.none() | lists)
    def change_the_own_list(self, own: ParsedList | None) -> None:
        self.settle()
        before, changed = self.world.in_force, own != self.world.own
        self.world.own = own
        self.note()
        self.world.reconcile()
        if self.desired.is_valid and changed:
            assert self.world.in_force is not None
        if not self.desired.is_valid and before is not None:
            assert self.world.in_force == before

    @rule()
    def request(self) -> None:
        self.world.request()
        self.world.reconcile()
        if self.desired.is_valid:
            assert self.world.in_force == self.desired.trust

    @rule(part=st.sampled_from(["version", "pool/a"]))
    def update_for_another_reason(self, part: str) -> None:
        self.world.updates = {**self.world.updates, part: self.world.updates[part] + "+"}
        self.world.reconcile()
        if self.desired.is_valid:
            assert self.world.in_force == self.desired.trust

    @rule(propagation=st.sampled_from(["OnNextUpdate", "Automatic"]), merge=st.sampled_from(["Override", "Append"]))
    def change_the_policy(self, propagation: str, merge: str) -> None:
        self.world.policy = dataclasses.replace(self.world.policy, propagation=propagation, merge=merge)
        self.note()

    @precondition(lambda self: self.world.in_force is not None)
    @rule()
    def lose_the_secret(self) -> None:
        self.world.in_force = None
        decision = self.world.reconcile()
        assert decision.trust is None or decision.trust in self.good

    @invariant()
    def nothing_is_in_force_that_nobody_asked_for(self) -> None:
        if hasattr(self, "world") and self.world.in_force is not None:
            assert self.world.in_force in self.good

    @invariant()
    def what_is_written_names_what_is_in_force(self) -> None:
        if hasattr(self, "world") and self.world.in_force is not None:
            kept = PropagationRecord.from_annotations(self.world.annotations)
            assert kept
            assert kept.digest == self.world.in_force.digest


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30)
