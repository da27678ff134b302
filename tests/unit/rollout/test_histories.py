"""Changes, faults and kills in any order: the rollout keeps its guarantees, and completes when the faults end."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.rollout.model import Machine, World

from trustplane.rollout.planning.inputs import REPLACE_MACHINES, WRITE_IN_PLACE
from trustplane.rollout.planning.plan import plan_rollout

digests = st.sampled_from("abc")
which = st.integers(0, 7)


class Histories(RuleBasedStateMachine):
    """A new cluster, or one whose nodes have all proven a set."""

    @initialize(
        control_planes=st.sampled_from([1, 3]),
        workers=st.integers(0, 4),
        strategy=st.sampled_from([WRITE_IN_PLACE, WRITE_IN_PLACE, REPLACE_MACHINES]),
        is_new=st.sampled_from([False, False, True]),
        in_force=digests,
    )
    def begin(self, *, control_planes: int, workers: int, strategy: str, is_new: bool, in_force: str) -> None:
        self.world = World(strategy=strategy)
        self.world.carry_out(plan_rollout(self.world.observe()))
        for number in range(control_planes + workers):
            is_control_plane = number < control_planes
            self.world.make(control_plane=is_control_plane, group="" if is_control_plane else f"p{number % 2}")
        if not is_new:
            self.world.assert_settled()
        self.world.want(in_force)

    def machine(self, number: int) -> Machine | None:
        machines = self.world.machines
        return machines[number % len(machines)] if machines else None

    # The manager.

    @rule()
    def reconcile(self) -> None:
        self.world.carry_out(plan_rollout(self.world.observe()))

    @rule(steps=st.integers(0, 4), after_the_script=st.booleans())
    def is_killed_between_two_steps(self, *, steps: int, after_the_script: bool) -> None:
        self.world.carry_out(plan_rollout(self.world.observe()), steps)
        self.world.kill(after_the_script=after_the_script)

    @rule(digest=digests)
    def is_killed_before_it_records_a_set_that_is_then_withdrawn(self, *, digest: str) -> None:
        before = self.world.in_force
        self.world.want(digest)
        self.world.carry_out(plan_rollout(self.world.observe()))
        self.world.kill(after_the_script=True)
        self.world.want(before)

    @rule(number=which)
    def a_write_ends(self, number: int) -> None:
        if machine := self.machine(number):
            self.world.finish(machine)

    @rule()
    def all_writes_end(self) -> None:
        for machine in self.world.machines:
            self.world.finish(machine)

    @rule()
    def nodes_prove(self) -> None:
        self.world.ask()

    @rule(number=which)
    def a_node_is_inspected(self, number: int) -> None:
        if machine := self.machine(number):
            machine.inspect()

    # Nodes.

    @rule(number=which, fault=st.sampled_from(["is_on", "is_full", "updating", "refuses_always", "unverifiable"]))
    def a_fault_comes_or_goes(self, number: int, fault: str) -> None:
        if machine := self.machine(number):
            setattr(machine, fault, not getattr(machine, fault))

    @rule(number=which)
    def files_are_edited(self, number: int) -> None:
        if machine := self.machine(number):
            machine.is_drifted = True

    @rule(number=which)
    def a_machine_is_deleted(self, number: int) -> None:
        if machine := self.machine(number):
            machine.deleting = True

    @rule(number=which)
    def a_machine_is_marked(self, number: int) -> None:
        if machine := self.machine(number):
            machine.marked = True

    @rule(number=which)
    def cluster_api_replaces(self, number: int) -> None:
        machine = self.machine(number)
        if machine and (machine.deleting or machine.leaving or machine.marked):
            self.world.replace(machine)

    @precondition(lambda self: len(self.world.machines) < 8)
    @rule(control_plane=st.booleans())
    def a_machine_is_created(self, *, control_plane: bool) -> None:
        self.world.make(control_plane=control_plane, group="" if control_plane else "p1")

    @rule(is_late=st.booleans())
    def machines_join(self, *, is_late: bool) -> None:
        for machine in self.world.machines:
            self.world.join(machine, is_late=is_late)

    # The cluster.

    @rule(digest=digests)
    def the_set_changes(self, digest: str) -> None:
        self.world.want(digest)

    @rule(digest=digests, sets=st.sampled_from(["bad", "hopeless"]))
    def a_set_becomes_wrong_or_right(self, digest: str, sets: str) -> None:
        getattr(self.world, sets).symmetric_difference_update({digest})

    @rule(digest=st.sampled_from([*"abc", None]))
    def the_boot_set_is_edited(self, digest: str | None) -> None:
        self.world.edited = digest == self.world.boot and digest is not None
        self.world.boot = digest if digest is None else self.world.boot

    @rule(
        flag=st.sampled_from(
            ["paused", "provable", "registry_answers", "replace_unreachable", "repair", "can_write", "strategy"]
        )
    )
    def a_policy_changes(self, flag: str) -> None:
        if flag == "strategy":
            self.world.strategy = WRITE_IN_PLACE if self.world.strategy == REPLACE_MACHINES else REPLACE_MACHINES
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
            assert plan_rollout(self.world.observe()) == plan_rollout(self.world.observe())

    @invariant()
    def a_node_recorded_with_the_set_in_force_has_it(self) -> None:
        """Holds even if a manager is killed before it records a write, and the previous set is restored."""
        if hasattr(self, "world"):
            cluster = self.world.observe()
            pairs = zip(self.world.existing, cluster.nodes, strict=True)
            assert all(machine.content == cluster.in_force for machine, node in pairs if cluster.has_in_force(node))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.assert_settled()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40)
