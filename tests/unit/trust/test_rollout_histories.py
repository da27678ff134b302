"""Any order of changes, faults and kills: no promise is broken, and when faults end the rollout comes to its end."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.trust.rollout_model import Machine, World

from trustplane.trust.rollout.observed import IN_PLACE, REPLACE
from trustplane.trust.rollout.plan import plan

digests = st.sampled_from("abc")
which = st.integers(0, 7)


class Histories(RuleBasedStateMachine):
    """A cluster from its creation, or from a set that was proven everywhere."""

    @initialize(
        control_planes=st.sampled_from([1, 3]),
        workers=st.integers(0, 4),
        strategy=st.sampled_from([IN_PLACE, IN_PLACE, REPLACE]),
        is_new=st.sampled_from([False, False, True]),
        wanted=digests,
    )
    def begin(self, *, control_planes: int, workers: int, strategy: str, is_new: bool, wanted: str) -> None:
        self.world = World(strategy=strategy)
        self.world.carry_out(plan(self.world.observe()))
        for number in range(control_planes + workers):
            is_control_plane = number < control_planes
            self.world.make(control_plane=is_control_plane, group="" if is_control_plane else f"p{number % 2}")
        if not is_new:
            self.world.assert_settled()
        self.world.want(wanted)

    def one(self, number: int) -> Machine | None:
        machines = self.world.machines
        return machines[number % len(machines)] if machines else None

    # The manager.

    @rule()
    def reconcile(self) -> None:
        self.world.carry_out(plan(self.world.observe()))

    @rule(steps=st.integers(0, 4), after_the_script=st.booleans())
    def is_killed_between_two_steps(self, *, steps: int, after_the_script: bool) -> None:
        self.world.carry_out(plan(self.world.observe()), steps)
        self.world.kill(after_the_script=after_the_script)

    @rule(number=which)
    def a_write_ends(self, number: int) -> None:
        if one := self.one(number):
            self.world.finish(one)

    @rule()
    def all_writes_end(self) -> None:
        for one in self.world.machines:
            self.world.finish(one)

    @rule()
    def nodes_are_asked(self) -> None:
        self.world.ask()

    @rule(number=which)
    def look(self, number: int) -> None:
        if one := self.one(number):
            one.inspect()

    # Nodes.

    @rule(number=which, fault=st.sampled_from(["is_on", "is_full", "updating", "is_odd", "unverifiable"]))
    def a_fault_comes_or_goes(self, number: int, fault: str) -> None:
        if one := self.one(number):
            setattr(one, fault, not getattr(one, fault))

    @rule(number=which)
    def files_are_edited(self, number: int) -> None:
        if one := self.one(number):
            one.is_drifted = True

    @rule(number=which)
    def a_machine_is_deleted(self, number: int) -> None:
        if one := self.one(number):
            one.deleting = True

    @rule(number=which)
    def a_machine_is_marked(self, number: int) -> None:
        if one := self.one(number):
            one.marked = True

    @rule(number=which)
    def cluster_api_replaces(self, number: int) -> None:
        one = self.one(number)
        if one and (one.deleting or one.leaving or one.marked):
            self.world.replace(one)

    @precondition(lambda self: len(self.world.machines) < 8)
    @rule(control_plane=st.booleans())
    def a_machine_is_made(self, *, control_plane: bool) -> None:
        self.world.make(control_plane=control_plane, group="" if control_plane else "p1")

    @rule(is_late=st.booleans())
    def machines_join(self, *, is_late: bool) -> None:
        for one in self.world.machines:
            self.world.join(one, is_late=is_late)

    # The cluster.

    @rule(digest=digests)
    def the_set_changes(self, digest: str) -> None:
        self.world.want(digest)

    @rule(digest=digests, sets=st.sampled_from(["bad", "hopeless"]))
    def a_set_becomes_wrong_or_right(self, digest: str, sets: str) -> None:
        getattr(self.world, sets).symmetric_difference_update({digest})

    @rule(digest=st.sampled_from([*"abc", None]))
    def somebody_edits_the_boot_set(self, digest: str | None) -> None:
        self.world.edited = digest == self.world.boot and digest is not None
        self.world.boot = digest if digest is None else self.world.boot

    @rule(
        flag=st.sampled_from(
            ["paused", "provable", "registry_answers", "replace_unreachable", "repair", "can_write", "strategy"]
        )
    )
    def somebody_decides_otherwise(self, flag: str) -> None:
        if flag == "strategy":
            self.world.strategy = IN_PLACE if self.world.strategy == REPLACE else REPLACE
        else:
            setattr(self.world, flag, not getattr(self.world, flag))

    @rule(allowance=st.integers(0, 3))
    def the_fleet_grants(self, allowance: int) -> None:
        self.world.allowance = allowance

    @rule()
    def faults_end(self) -> None:
        self.world.assert_settled()

    @invariant()
    def the_same_observation_gives_the_same_plan(self) -> None:
        if hasattr(self, "world"):
            assert plan(self.world.observe()) == plan(self.world.observe())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.assert_settled()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40)
