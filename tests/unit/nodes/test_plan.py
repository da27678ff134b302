import dataclasses
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.nodes import plan
from trustplane.nodes.plan import Drift
from trustplane.nodes.state import LoadedFiles, NodeFile, NodeReport, RuntimeRun, TrustManifest

PATHS = [f"/etc/ssl/certs/tkg-{name}.pem" for name in "abc"] + ["/etc/containerd/certs.d/r.test/hosts.toml"]
A, B, C, TOML = PATHS


@dataclasses.dataclass
class Node:
    """A node as `trust.sh` treats it; every event advances its clock by one."""

    files: dict[str, tuple[str, int]]
    manifest: TrustManifest | None = None
    loaded: LoadedFiles | None = None
    started: int = 0
    pool: Mapping[str, str] = dataclasses.field(default_factory=dict)
    now: int = 0
    certs_changed: int = 0
    bootstrapped: int = 0
    runs: int = 1

    def __post_init__(self) -> None:
        self.restart()

    def tick(self) -> int:
        self.now += 1
        return self.now

    def put(self, path: str, content: str | None) -> None:
        self.files.pop(path, None)
        if content is not None:
            self.files[path] = (content, self.tick())
        if path.startswith("/etc/ssl"):
            self.certs_changed = self.tick()

    def restart(self) -> None:
        self.started, self.runs = self.tick(), self.runs + 1
        self.pool = self.roots()

    def roots(self) -> dict[str, str]:
        return {path: content for path, (content, _) in self.files.items() if path.startswith("/etc/ssl")}

    def state(self) -> NodeReport:
        files = {path: NodeFile(plan.digest_of(content), when) for path, (content, when) in self.files.items()}
        return NodeReport(
            files=files,
            manifest=self.manifest,
            runtime=RuntimeRun("active", str(self.runs), self.started),
            loaded=self.loaded,
            links=frozenset(path.rpartition("/")[2] for path in files),
            has_openssl=True,
            certs_changed_at=self.certs_changed,
            bootstrapped_at=self.bootstrapped,
            kubelet_state="active",
            token="t",
        )

    def carry_out(self, todo: plan.NodePlan, steps: int = 1000, *, check: Callable[[], None] = lambda: None) -> None:
        """Carry out a plan, or only its first steps; call `check` after each."""
        actions = [lambda: setattr(self, "manifest", todo.intent)]
        if todo.restart:
            actions.append(lambda: setattr(self, "loaded", None))
        actions += [lambda write=write: self.put(write.path, write.content) for write in todo.writes]
        roots = [path for path in todo.removes if path.startswith("/etc/ssl")]
        actions += [lambda path=path: self.put(path, None) for path in roots]
        if todo.restart:
            actions.append(self.restart)
        actions += [lambda path=path: self.put(path, None) for path in todo.removes if path not in roots]
        actions += [lambda: setattr(self, "manifest", todo.manifest), lambda: self.record_loaded(todo)]
        for action in actions[:steps]:
            action()
            check()

    def record_loaded(self, todo: plan.NodePlan) -> None:
        times = {path: when for path, (_, when) in self.files.items()}
        self.loaded = LoadedFiles(todo.pool_digest, str(self.runs), times)


contents = st.sampled_from(["one", "two", "three"])
sets = st.dictionaries(st.sampled_from(PATHS), contents)


def booted(files: Mapping[str, str]) -> Node:
    return Node({path: (content, 0) for path, content in files.items()})


@given(boot=sets, first=sets, second=sets, crashes=st.lists(st.integers(0, 12), max_size=4))
def test_interrupted_plans_converge_to_the_desired_files(
    boot: dict[str, str], first: dict[str, str], second: dict[str, str], crashes: list[int]
) -> None:
    node = booted(boot)
    node.carry_out(plan.plan_write(first, node.state(), boot))
    for steps in crashes:
        node.carry_out(plan.plan_write(second, node.state(), boot), steps)
    node.carry_out(plan.plan_write(second, node.state(), boot))

    assert {path: content for path, (content, _) in node.files.items()} == second
    assert node.pool == node.roots()
    assert plan.find_drift(second, node.state(), boot) == Drift()
    assert not plan.plan_write(second, node.state(), boot).is_needed


@given(boot=sets, desired=sets, foreign=sets, previous_known=st.booleans())
def test_foreign_files_are_never_touched(
    boot: dict[str, str], desired: dict[str, str], foreign: dict[str, str], *, previous_known: bool
) -> None:
    node = booted(foreign | boot)
    foreign = {path: content for path, content in foreign.items() if path not in boot}
    previous = boot if previous_known else {}
    todo = plan.plan_write(desired, node.state(), previous)
    changed = {write.path for write in todo.writes if write.path not in todo.conflicts} | set(todo.removes)
    assert not changed & foreign.keys()
    occupied = {path for path in foreign if path in desired and foreign[path] != desired[path]}
    assert occupied <= set(todo.conflicts)


@given(boot=sets, desired=sets)
def test_containerd_restarts_only_if_its_pool_changes_or_is_unknown(
    boot: dict[str, str], desired: dict[str, str]
) -> None:
    node = booted(boot)  # containerd started after the files were written
    todo = plan.plan_write(desired, node.state(), boot)
    roots = {path: content for path, content in desired.items() if path.startswith("/etc/ssl")}
    assert todo.restart == (roots != node.pool)


def current(desired: Mapping[str, str]) -> Node:
    node = booted({})
    node.carry_out(plan.plan_write(desired, node.state()))
    return node


def test_the_next_plan_restarts_containerd_after_two_crashes_between_removal_and_restart() -> None:
    node = current({A: "one"})
    todo = plan.plan_write({}, node.state())
    node.carry_out(todo, 3)
    assert (node.files, node.pool) == ({}, {A: "one"})
    node.carry_out(plan.plan_write({}, node.state()), 2)
    node.carry_out(plan.plan_write({}, node.state()))
    assert node.pool == {}


def test_foreign_files_and_restarts_cost_no_restart() -> None:
    node = current({A: "one"})
    node.put("/etc/ssl/certs/tkg-foreign.pem", "x")
    assert not plan.plan_write({A: "one"}, node.state()).is_needed
    node.restart()
    assert not plan.plan_write({A: "one"}, node.state()).restart


@pytest.mark.parametrize("change", ["edit", "restore", "remove"])
def test_a_changed_file_costs_a_restart(change: str) -> None:
    node = current({A: "one"})
    node.put(A, {"edit": "two", "restore": "one", "remove": None}[change])
    assert plan.plan_write({A: "one"}, node.state()).restart


def test_a_stopped_containerd_is_started() -> None:
    state = dataclasses.replace(current({A: "one"}).state(), runtime=RuntimeRun("failed", "x", 0))
    assert plan.plan_write({A: "one"}, state).restart
    assert plan.find_drift({A: "one"}, state).is_stale


def test_drift_has_kinds() -> None:
    node = current({A: "one", B: "one", C: "one", TOML: "one"})
    node.put(A, "two")
    node.put(B, None)
    node.put("/etc/ssl/certs/tkg-foreign.pem", "x")
    state = node.state()
    replaced = dataclasses.replace(state.files[C], is_regular=False)
    state = dataclasses.replace(state, files={**state.files, C: replaced})
    assert plan.find_drift({A: "one", B: "one", C: "one", "/etc/ssl/certs/tkg-d.pem": "one"}, state) == Drift(
        edited=(A,),
        removed=(B,),
        replaced=(C,),
        outdated=(TOML,),
        missing=("/etc/ssl/certs/tkg-d.pem",),
        foreign=("/etc/ssl/certs/tkg-foreign.pem",),
    )


def test_a_desired_file_that_containerd_has_not_loaded_is_stale() -> None:
    node = booted({})
    node.put(A, "one")  # by hand
    drift = plan.find_drift({A: "one"}, node.state(), {})
    assert drift == Drift(is_stale=True)
    assert not drift.is_current


def bootstrapped(boot: Mapping[str, str]) -> Node:
    """Return a node whose containerd started before the bootstrap data wrote files."""
    node = Node({})
    for path, content in boot.items():
        node.put(path, content)
    node.bootstrapped = node.tick()
    return node


def test_files_of_the_bootstrap_count_as_loaded_even_if_containerd_started_before() -> None:
    node = bootstrapped({A: "one"})
    node.certs_changed = node.tick()  # by a foreign file
    assert plan.find_drift({A: "one"}, node.state(), {A: "one"}) == Drift()
    assert not plan.plan_write({A: "one"}, node.state(), {A: "one"}).restart


@pytest.mark.parametrize("content", ["one", "two", None])
def test_files_changed_after_the_bootstrap_do_not_count_as_loaded(content: str | None) -> None:
    node = bootstrapped({A: "one", B: "one"})
    node.put(B, content)
    node.put(B, "one")
    assert plan.find_drift({A: "one", B: "one"}, node.state(), {A: "one", B: "one"}) == Drift(is_stale=True)


def test_a_file_of_the_bootstrap_stays_loaded_after_it_was_removed_by_hand() -> None:
    node = bootstrapped({A: "one", B: "one"})
    node.put(B, None)
    assert plan.plan_write({A: "one"}, node.state(), {A: "one", B: "one"}).restart


def test_the_bootstrap_counts_only_until_the_first_manifest() -> None:
    boot = {A: "one"}
    node = booted(boot)
    node.carry_out(plan.plan_write({}, node.state(), boot))
    node.put(A, "foreign")
    todo = plan.plan_write({}, node.state(), boot)
    assert todo.removes == ()
    assert plan.find_drift({}, node.state(), boot).foreign == (A,)


def test_an_edited_file_of_the_bootstrap_stays_managed() -> None:
    boot = {A: "one"}
    node = booted({A: "edited"})
    assert plan.plan_write({}, node.state(), boot).removes == (A,)
    assert plan.plan_write(boot, node.state(), boot).conflicts == ()
    assert plan.plan_write(boot, node.state(), None).conflicts == (A,)


@given(before=sets, after=sets, crashes=st.lists(st.integers(0, 12), max_size=4))
def test_an_entry_stays_trusted_at_every_moment_while_its_scope_changes(
    before: dict[str, str], after: dict[str, str], crashes: list[int]
) -> None:
    """A is a node-wide entry, TOML the same entry for one registry."""

    def with_entry(files: dict[str, str]) -> dict[str, str]:
        return files if files.keys() & {A, TOML} else files | {A: "one"}

    node = current(with_entry(before))

    def check() -> None:
        assert A in node.pool or TOML in node.files

    for steps in [*crashes, 1000]:
        node.carry_out(plan.plan_write(with_entry(after), node.state()), steps, check=check)
    assert node.pool == node.roots()


def test_a_hosts_toml_is_removed_before_the_file_that_it_names() -> None:
    ca = TOML.replace("hosts.toml", "a.pem")
    node = current({ca: "one", TOML: "two"})
    assert plan.plan_write({}, node.state()).removes == (TOML, ca)
