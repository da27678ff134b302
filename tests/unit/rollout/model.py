"""Model of a cluster during a rollout: the actual state of its nodes, and the manager's records.

The manager knows only the records. It may be killed between any two steps of a plan and during a write; a finished
write is then on the node without a record. `carry_out` rejects steps that violate a guarantee, by the actual state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from trustplane.rollout.planning.inputs import REPLACE_MACHINES, WRITE_IN_PLACE, Canary, RolloutInput, RolloutNode
from trustplane.rollout.planning.plan import plan_rollout
from trustplane.rollout.planning.steps import RolloutPlan, RolloutState

EDITED = "edited"  # the set of a machine that booted with an edited boot set
LIMIT = 3


@dataclass
class Machine:
    name: str
    control_plane: bool
    group: str
    booted: str
    # Actual state.
    content: str
    is_drifted: bool = False
    is_on: bool = True
    refuses_always: bool = False  # refuses a registry with any set
    is_full: bool = False  # writes to it fail
    written: str | None = None  # last set written to it since the set in force changed
    # Records.
    has: str | None = None
    drifted: bool = False
    proven: str | None = None
    refused: str | None = None
    reachable: bool = True
    failing: str = ""
    writing: str | None = None
    has_unrecorded_write: bool = False  # a write whose start is recorded, but not its end
    # Reports of Cluster API.
    joined: bool = False
    stuck: bool = False
    deleting: bool = False
    updating: bool = False
    leaving: bool = False
    unverifiable: bool = False
    marked: bool = False

    @property
    def busy(self) -> bool:
        return self.deleting or self.updating

    def observe(self) -> RolloutNode:
        return RolloutNode(
            name=self.name,
            group=self.group,
            is_control_plane=self.control_plane,
            booted_with=self.booted,
            observed="uncertain" if self.has_unrecorded_write else self.has,
            has_drifted=self.drifted,
            proven=self.proven,
            refused=self.refused,
            is_unverifiable=self.unverifiable,
            is_reachable=self.reachable,
            update_error=self.failing,
            is_writing=self.writing is not None,
            is_busy=self.busy,
            is_being_replaced=self.leaving,
            has_joined=self.joined,
            is_stuck=self.stuck,
            is_replaceable=True,
            is_marked=self.marked,
        )

    def inspect(self) -> None:
        """Inspect the node; a verdict about an earlier set of the node no longer counts."""
        self.reachable = self.is_on
        if not self.is_on or not self.joined:
            return
        if (self.content, self.is_drifted) != (self.has or self.booted, self.drifted):
            self.proven = self.refused = None
        self.has, self.drifted = self.content, self.is_drifted

    def be_written(self, digest: str, *, is_known: bool) -> None:
        """Finish a write; the manager may be killed before it records the end."""
        if self.is_on:
            self.has_unrecorded_write = True
        if self.is_on and not self.is_full:
            self.content, self.is_drifted, self.written = digest, False, digest
        if is_known:
            self.has_unrecorded_write = self.has_unrecorded_write and self.is_full
            self.failing = "no space left" if self.is_on and self.is_full else ""
            self.proven = self.refused = None
            self.inspect()

    def answer(self, in_force: str, bad: set[str]) -> None:
        """Record a verdict, if the node can give one."""
        if self.is_on and self.joined and not self.unverifiable:
            is_refused = self.refuses_always or self.content in bad
            self.proven, self.refused = (None, in_force) if is_refused else (in_force, None)


@dataclass
class World:
    in_force: str = "a"
    boot: str | None = None
    edited: bool = False
    last_proven: str | None = None
    canary: Canary | None = None
    paused: bool = False
    strategy: str = WRITE_IN_PLACE
    can_write: bool = True
    provable: bool = True
    registry_answers: bool = True
    replace_unreachable: bool = False
    repair: bool = False
    allowance: int = LIMIT
    machines: list[Machine] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)  # sets that lack the registry's CA
    hopeless: set[str] = field(default_factory=set)  # sets with which no machine joins
    passed: set[str] = field(default_factory=set)  # canaries replaced by another machine
    # Sets written by machine before any proof, although a proof was possible.
    ungated_writes: dict[str, str] = field(default_factory=dict)
    boots: list[str] = field(default_factory=list)
    created: int = 0

    @property
    def existing(self) -> list[Machine]:
        """Machines that are not being deleted; the manager ignores the others."""
        return [machine for machine in self.machines if not machine.deleting]

    def observe(self) -> RolloutInput:
        return RolloutInput(
            in_force=self.in_force,
            boot_set=self.boot,
            is_boot_set_edited=self.edited,
            last_proven=self.last_proven,
            nodes=tuple(machine.observe() for machine in self.existing),
            is_deleting_machines=any(machine.deleting for machine in self.machines),
            is_paused=self.paused,
            strategy=self.strategy,
            can_write=self.can_write,
            canary=self.canary,
            has_registry=self.provable,
            write_limit=LIMIT,
            fleet_allowance=self.allowance,
            replace_unreachable=self.replace_unreachable,
            repairs_drift=self.repair,
        )

    # Events.

    def want(self, digest: str) -> None:
        if digest != self.in_force:
            self.in_force = digest
            self.passed.clear()
            self.ungated_writes.clear()
            for machine in self.machines:
                machine.written = None

    def make(self, *, control_plane: bool, group: str) -> None:
        """Boot a machine, if a boot set exists."""
        if self.boot is not None:
            self.created += 1
            content = EDITED if self.edited else self.boot
            self.machines.append(Machine(f"m{self.created}", control_plane, group, content, content))

    def join(self, machine: Machine, *, is_late: bool = False) -> None:
        machine.joined = machine.joined or (machine.is_on and machine.content not in self.hopeless)
        machine.stuck = not machine.joined and is_late

    def replace(self, machine: Machine) -> None:
        self.machines.remove(machine)
        self.make(control_plane=machine.control_plane, group=machine.group)

    def kill(self, *, after_the_script: bool) -> None:
        """Kill the manager; its writes in progress finish or not."""
        for machine in self.machines:
            if machine.writing is not None and after_the_script:
                machine.be_written(machine.writing, is_known=False)
            machine.writing = None

    def finish(self, machine: Machine) -> None:
        if machine.writing is not None:
            digest, machine.writing = machine.writing, None
            machine.be_written(digest, is_known=True)

    def ask(self) -> None:
        """Let nodes prove the set; proofs depend on the sets of nodes, not on the state of the rollout.

        Refusing nodes prove it again, because the user may correct the registry.
        """
        cluster = self.observe()
        for node_machine, node in zip(self.existing, cluster.nodes, strict=True):
            if (
                self.registry_answers
                and node.is_writable
                and cluster.has_in_force(node)
                and not cluster.is_settled(node)
            ):
                node_machine.answer(self.in_force, self.bad)

    # Actions of the manager.

    def carry_out(self, current: RolloutPlan, steps: int | None = None) -> None:
        """Execute a plan, or its first steps."""
        for step in current.steps[:steps]:
            assert not self.paused
            getattr(self, f"_{step.action.name.lower()}")(step.target)

    def _named(self, name: str) -> Machine:
        machine = next(machine for machine in self.machines if machine.name == name)
        assert not machine.busy, f"{name} is busy"
        return machine

    def _record_canary(self, name: str) -> None:
        self._named(name)
        if self.canary and self.canary.digest == self.in_force:
            self.passed.add(self.canary.machine)
        self.passed.discard(name)
        self.canary = Canary(name, self.in_force)

    def _record_proven(self, digest: str) -> None:
        self.last_proven = digest

    def _write_boot_set(self, digest: str) -> None:
        assert digest in {self.in_force, self.last_proven}
        if any(machine.has == self.in_force == machine.refused and not machine.drifted for machine in self.machines):
            assert digest == self.last_proven or self.last_proven is None, "a refused set is promoted"
        self.boot, self.edited = digest, False
        self.boots.append(digest)

    def _write(self, name: str) -> None:
        machine = self._named(name)
        assert self.strategy == WRITE_IN_PLACE
        assert self.can_write
        assert machine.joined
        assert machine.reachable
        assert machine.writing is None
        self._must_be_first(machine)
        if machine.control_plane:
            self._must_be_alone(machine)
        machine.writing = self.in_force
        assert sum(other.writing is not None and other.reachable for other in self.machines) <= LIMIT

    def _must_be_first(self, machine: Machine) -> None:
        """Reject a second write before a node has proven the set, if one can."""
        is_proven = self.last_proven == self.in_force or any(
            other.has == self.in_force == other.proven for other in self.machines
        )
        first = next((other for other in self.machines if self.canary and other.name == self.canary.machine), None)
        if is_proven or not self.provable or (first is not None and first.unverifiable):
            return
        waited = [
            other.name
            for other in self._waited_for(machine)
            if self.ungated_writes.get(other.name) == self.in_force and other.name not in self.passed
        ]
        assert not waited, f"{machine.name} is written before {waited} has proven the set"
        assert self.canary == Canary(machine.name, self.in_force), "it is not recorded"
        self.ungated_writes[machine.name] = self.in_force

    def _must_be_alone(self, machine: Machine) -> None:
        assert self.canary == Canary(machine.name, self.in_force), "it is not recorded"
        written = [other for other in self.machines if other.control_plane and other.reachable and other.writing]
        assert not written, f"{machine.name} is written with another machine of the control plane"
        waited = [
            other.name
            for other in self._waited_for(machine)
            if other.control_plane and other.written == other.content == self.in_force and other.name not in self.passed
        ]
        assert not waited, f"{machine.name} of the control plane is written before {waited} has proven the set"

    def _waited_for(self, machine: Machine) -> Iterator[Machine]:
        """Yield the other machines that can prove the set but have not."""
        for other in self.machines:
            can_prove = other.joined and other.reachable and not other.busy and not other.unverifiable
            is_done = other.proven == self.in_force or other.drifted
            if other is not machine and can_prove and self.provable and not is_done:
                yield other

    def _replace_group(self, group: str) -> None:
        assert self.strategy == REPLACE_MACHINES or not self.can_write
        assert (self.boot, self.edited) == (self.in_force, False)
        rolled = [machine for machine in self.machines if machine.control_plane or machine.group == group]
        for machine in (machine for machine in rolled if machine.control_plane == (group == "")):
            machine.leaving = True

    def _delete(self, name: str) -> None:
        machine = self._named(name)
        assert self.replace_unreachable
        assert not machine.control_plane
        assert not machine.reachable
        assert not any(other.deleting for other in self.machines)
        machine.deleting = True

    def _remediate(self, name: str) -> None:
        machine = self._named(name)
        assert self.replace_unreachable
        others = [other for other in self.machines if other.control_plane and other is not machine]
        assert len(others) >= 2
        assert all(other.reachable and other.joined and not other.busy and not other.marked for other in others)
        assert not any(other.deleting for other in self.machines)
        assert not machine.marked
        machine.marked = True

    # The end of all faults.

    def end_faults(self) -> None:
        self.paused, self.registry_answers, self.allowance = False, True, LIMIT
        self.hopeless.clear()
        for machine in self.machines:
            machine.is_on, machine.updating, machine.is_full = True, False, False

    def settle(self) -> RolloutPlan:
        """Run until the plan and the state no longer change; return the last plan."""
        self.end_faults()
        self.boots.clear()
        before = None
        for _ in range(20 + 8 * len(self.machines)):
            result = plan_rollout(self.observe())
            self.carry_out(result)
            self.ask()
            self._pass()
            now = (result, self.observe())
            if now == before:
                return result
            before = now
        raise AssertionError(f"The rollout does not settle: {result}")

    def _pass(self) -> None:
        """Finish everything in progress; Cluster API replaces one machine at a time, even an unjoined one."""
        gone = [
            machine
            for machine in self.machines
            if machine.deleting or machine.leaving or machine.stuck or machine.marked
        ]
        for machine in gone[:1]:
            self.replace(machine)
        for machine in self.machines:
            self.finish(machine)
            self.join(machine, is_late=True)
            machine.inspect()

    def assert_settled(self) -> None:
        result = self.settle()
        refusers = {machine.name for machine in self.machines if machine.content == self.in_force == machine.refused}
        if result.state is RolloutState.STOPPED:
            assert set(result.machines) <= refusers
            assert result.machines
            assert self.boot == (self.last_proven or self.boot)
        elif result.state is RolloutState.DRIFTED:
            assert not self.repair or self.strategy == REPLACE_MACHINES or not self.can_write
            assert {machine.name for machine in self.machines if machine.is_drifted} == set(result.machines)
        else:
            assert result.state is RolloutState.CURRENT, result
            assert all(machine.content == self.in_force for machine in self.machines)
            verifiable = [machine for machine in self.machines if self.provable and not machine.unverifiable]
            assert all(machine.proven == self.in_force for machine in verifiable)
            assert (self.boot, self.edited) == (self.in_force, False)
        # A promoted set may be reverted once it is refused, but not repeatedly.
        assert len(self.boots) <= 4, self.boots
