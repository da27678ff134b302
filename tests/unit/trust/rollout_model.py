"""A cluster whose trust is rolled out: what is really on its nodes, and what is recorded of that.

The manager knows records only. It may be killed between any two steps of a plan, and while it writes; what it wrote by
then is on the node, and nobody knows. `carry_out` refuses steps that break a promise, by what is really so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from trustplane.trust.rollout.observed import IN_PLACE, REPLACE, Canary, Node, Observed
from trustplane.trust.rollout.plan import plan
from trustplane.trust.rollout.steps import Plan, State

EDITED = "edited"  # what a machine has that booted with an edited boot set
LIMIT = 3


@dataclass
class Machine:
    name: str
    control_plane: bool
    group: str
    booted: str
    # What is so.
    content: str
    is_drifted: bool = False
    is_on: bool = True
    is_odd: bool = False  # refuses whatever set it has
    is_full: bool = False  # writes on it fail
    ours: str | None = None  # what we wrote on it since the wanted set changed last
    # What is known.
    has: str | None = None
    drifted: bool = False
    proven: str | None = None
    refused: str | None = None
    reachable: bool = True
    failing: str = ""
    writing: str | None = None
    # What Cluster API says.
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

    def observe(self) -> Node:
        return Node(
            name=self.name,
            group=self.group,
            control_plane=self.control_plane,
            booted=self.booted,
            has=self.has,
            drifted=self.drifted,
            proven=self.proven,
            refused=self.refused,
            unverifiable=self.unverifiable,
            reachable=self.reachable,
            failing=self.failing,
            writing=self.writing is not None,
            busy=self.busy,
            leaving=self.leaving,
            joined=self.joined,
            stuck=self.stuck,
            replaceable=True,
            marked=self.marked,
        )

    def inspect(self) -> None:
        """Look at the node; what was said about something else that it had counts no more."""
        self.reachable = self.is_on
        if not self.is_on or not self.joined:
            return
        if (self.content, self.is_drifted) != (self.has or self.booted, self.drifted):
            self.proven = self.refused = None
        self.has, self.drifted = self.content, self.is_drifted

    def be_written(self, digest: str, *, is_known: bool) -> None:
        """Let a write end; the manager may not live to know of it."""
        if self.is_on and not self.is_full:
            self.content, self.is_drifted, self.ours = digest, False, digest
        if is_known:
            self.failing = "no space left" if self.is_on and self.is_full else ""
            self.proven = self.refused = None
            self.inspect()

    def answer(self, wanted: str, bad: set[str]) -> None:
        """Answer whether the registry is accepted, where anything is said at all."""
        if self.is_on and self.joined and not self.unverifiable:
            is_refused = self.is_odd or self.content in bad
            self.proven, self.refused = (None, wanted) if is_refused else (wanted, None)


@dataclass
class World:
    wanted: str = "a"
    boot: str | None = None
    edited: bool = False
    last_proven: str | None = None
    canary: Canary | None = None
    paused: bool = False
    strategy: str = IN_PLACE
    can_write: bool = True
    provable: bool = True
    registry_answers: bool = True
    replace_unreachable: bool = False
    repair: bool = False
    allowance: int = LIMIT
    machines: list[Machine] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)  # sets that lack the registry's CA
    hopeless: set[str] = field(default_factory=set)  # sets with which no machine joins
    passed: set[str] = field(default_factory=set)  # canaries that another one took the place of
    gated: dict[str, str] = field(default_factory=dict)  # who was written while a proof was possible, and none there
    boots: list[str] = field(default_factory=list)
    made: int = 0

    @property
    def there(self) -> list[Machine]:
        """Machines whose deletion has not begun: the manager looks at no others."""
        return [one for one in self.machines if not one.deleting]

    def observe(self) -> Observed:
        return Observed(
            wanted=self.wanted,
            boot=self.boot,
            edited=self.edited,
            last_proven=self.last_proven,
            nodes=tuple(one.observe() for one in self.there),
            deleting=any(one.deleting for one in self.machines),
            paused=self.paused,
            strategy=self.strategy,
            can_write=self.can_write,
            canary=self.canary,
            provable=self.provable,
            limit=LIMIT,
            allowance=self.allowance,
            replace_unreachable=self.replace_unreachable,
            repair=self.repair,
        )

    # What happens.

    def want(self, digest: str) -> None:
        if digest != self.wanted:
            self.wanted = digest
            self.passed.clear()
            self.gated.clear()
            for one in self.machines:
                one.ours = None

    def make(self, *, control_plane: bool, group: str) -> None:
        """Boot a machine; without a boot set, none boots."""
        if self.boot is not None:
            self.made += 1
            content = EDITED if self.edited else self.boot
            self.machines.append(Machine(f"m{self.made}", control_plane, group, content, content))

    def join(self, one: Machine, *, is_late: bool = False) -> None:
        one.joined = one.joined or (one.is_on and one.content not in self.hopeless)
        one.stuck = not one.joined and is_late

    def replace(self, one: Machine) -> None:
        self.machines.remove(one)
        self.make(control_plane=one.control_plane, group=one.group)

    def kill(self, *, after_the_script: bool) -> None:
        """End the manager; what it was writing is written, or not."""
        for one in self.machines:
            if one.writing is not None and after_the_script:
                one.be_written(one.writing, is_known=False)
            one.writing = None

    def finish(self, one: Machine) -> None:
        if one.writing is not None:
            digest, one.writing = one.writing, None
            one.be_written(digest, is_known=True)

    def ask(self) -> None:
        """Have nodes prove the set: the controller of proofs goes by what they have, whatever the rollout is at.

        Those that refused it are asked again: somebody may put the registry right.
        """
        look = self.observe()
        for one, node in zip(self.there, look.nodes, strict=True):
            if self.registry_answers and node.takes_part and look.has_wanted(node) and not look.is_settled(node):
                one.answer(self.wanted, self.bad)

    # What the manager does.

    def carry_out(self, found: Plan, steps: int | None = None) -> None:
        """Carry out a plan, or so many of its steps."""
        for step in found.steps[:steps]:
            assert not self.paused
            getattr(self, f"_{step.action.name.lower()}")(step.target)

    def _named(self, name: str) -> Machine:
        one = next(one for one in self.machines if one.name == name)
        assert not one.busy, f"{name} is busy"
        return one

    def _elect(self, name: str) -> None:
        self._named(name)
        if self.canary and self.canary.digest == self.wanted:
            self.passed.add(self.canary.machine)
        self.passed.discard(name)
        self.canary = Canary(name, self.wanted)

    def _record_proven(self, digest: str) -> None:
        self.last_proven = digest

    def _boot(self, digest: str) -> None:
        assert digest in {self.wanted, self.last_proven}
        if any(one.has == self.wanted == one.refused and not one.drifted for one in self.machines):
            assert digest == self.last_proven or self.last_proven is None, "a set is promoted that somebody refuses"
        self.boot, self.edited = digest, False
        self.boots.append(digest)

    def _write(self, name: str) -> None:
        one = self._named(name)
        assert self.strategy == IN_PLACE
        assert self.can_write
        assert one.joined
        assert one.reachable
        assert one.writing is None
        self._must_be_first(one)
        if one.control_plane:
            self._must_be_alone(one)
        one.writing = self.wanted
        assert sum(other.writing is not None and other.reachable for other in self.machines) <= LIMIT

    def _must_be_first(self, one: Machine) -> None:
        """Refuse a second node before a first one has proven the set, where one can."""
        is_proven = self.last_proven == self.wanted or any(
            other.has == self.wanted == other.proven for other in self.machines
        )
        first = next((other for other in self.machines if self.canary and other.name == self.canary.machine), None)
        if is_proven or not self.provable or (first is not None and first.unverifiable):
            return
        waited = [
            other.name
            for other in self._waited_for(one)
            if self.gated.get(other.name) == self.wanted and other.name not in self.passed
        ]
        assert not waited, f"{one.name} is written before {waited} has proven the set"
        assert self.canary == Canary(one.name, self.wanted), "it is not recorded"
        self.gated[one.name] = self.wanted

    def _must_be_alone(self, one: Machine) -> None:
        assert self.canary == Canary(one.name, self.wanted), "it is not recorded"
        written = [other for other in self.machines if other.control_plane and other.reachable and other.writing]
        assert not written, f"{one.name} is written with another one of the control plane"
        waited = [
            other.name
            for other in self._waited_for(one)
            if other.control_plane and other.ours == other.content == self.wanted and other.name not in self.passed
        ]
        assert not waited, f"{one.name} of the control plane is written before {waited} has proven the set"

    def _waited_for(self, one: Machine) -> Iterator[Machine]:
        """Return the others that can prove the set, and have not."""
        for other in self.machines:
            can_say = other.joined and other.reachable and not other.busy and not other.unverifiable
            has_said = other.proven == self.wanted or other.drifted
            if other is not one and can_say and self.provable and not has_said:
                yield other

    def _roll(self, group: str) -> None:
        assert self.strategy == REPLACE or not self.can_write
        assert (self.boot, self.edited) == (self.wanted, False)
        rolled = [one for one in self.machines if one.control_plane or one.group == group]
        for one in (one for one in rolled if one.control_plane == (group == "")):
            one.leaving = True

    def _delete(self, name: str) -> None:
        one = self._named(name)
        assert self.replace_unreachable
        assert not one.control_plane
        assert not one.reachable
        assert not any(other.deleting for other in self.machines)
        one.deleting = True

    def _remediate(self, name: str) -> None:
        one = self._named(name)
        assert self.replace_unreachable
        others = [other for other in self.machines if other.control_plane and other is not one]
        assert len(others) >= 2
        assert all(other.reachable and other.joined and not other.busy and not other.marked for other in others)
        assert not any(other.deleting for other in self.machines)
        assert not one.marked
        one.marked = True

    # When nothing is in the way any more.

    def end_faults(self) -> None:
        self.paused, self.registry_answers, self.allowance = False, True, LIMIT
        self.hopeless.clear()
        for one in self.machines:
            one.is_on, one.updating, one.is_full = True, False, False

    def settle(self) -> Plan:
        """Go on until there is nothing left to do, and return the last plan."""
        self.end_faults()
        self.boots.clear()
        before = None
        for _ in range(20 + 8 * len(self.machines)):
            found = plan(self.observe())
            self.carry_out(found)
            self.ask()
            self._pass()
            now = (found, self.observe())
            if now == before:
                return found
            before = now
        raise AssertionError(f"It does not come to rest: {found}")

    def _pass(self) -> None:
        """Let all that goes on end; Cluster API replaces one machine at a time, those that did not join, too."""
        gone = [one for one in self.machines if one.deleting or one.leaving or one.stuck or one.marked]
        for one in gone[:1]:
            self.replace(one)
        for one in self.machines:
            self.finish(one)
            self.join(one, is_late=True)
            one.inspect()

    def assert_settled(self) -> None:
        found = self.settle()
        refusers = {one.name for one in self.machines if one.content == self.wanted == one.refused}
        if found.state is State.STOPPED:
            assert set(found.machines) <= refusers
            assert found.machines
            assert self.boot == (self.last_proven or self.boot)
        elif found.state is State.DRIFTED:
            assert not self.repair or self.strategy == REPLACE or not self.can_write
            assert {one.name for one in self.machines if one.is_drifted} == set(found.machines)
        else:
            assert found.state is State.CURRENT, found
            assert all(one.content == self.wanted for one in self.machines)
            asked = [one for one in self.machines if self.provable and not one.unverifiable]
            assert all(one.proven == self.wanted for one in asked)
            assert (self.boot, self.edited) == (self.wanted, False)
        # There and back is possible, when what was promoted is refused; not again and again.
        assert len(self.boots) <= 4, self.boots
