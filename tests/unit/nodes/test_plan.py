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
    """A node as `trust.sh` treats it: one step of time for each thing that happens."""

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
        """Do what a plan says, or only its first steps; check after each."""
        deeds = [lambda: setattr(self, "manifest", todo.intent)]
        if todo.restart:
            deeds.append(lambda: setattr(self, "loaded", None))
        deeds += [lambda one=one: self.put(one.path, one.content) for one in todo.writes]
        roots = [path for path in todo.removes if path.startswith("/etc/ssl")]
        deeds += [lambda path=path: self.put(path, None) for path in roots]
        if todo.restart:
            deeds.append(self.restart)
        deeds += [lambda path=path: self.put(path, None) for path in todo.removes if path not in roots]
        deeds += [lambda: setattr(self, "manifest", todo.manifest), lambda: self.note(todo)]
        for deed in deeds[:steps]:
            deed()
            check()

    def note(self, todo: plan.NodePlan) -> None:
        times = {path: when for path, (_, when) in self.files.items()}
        self.loaded = LoadedFiles(todo.pool_digest, str(self.runs), times)


contents = st.sampled_from(["one", "two", "three"])
sets = st.dictionaries(st.sampled_from(PATHS), contents)


def booted(files: Mapping[str, str]) -> Node:
    return Node({path: (content, 0) for path, content in files.items()})


@given(boot=sets, first=sets, then=sets, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_whatever_is_cut_short_the_end_is_what_is_desired(
    boot: dict[str, str], first: dict[str, str], then: dict[str, str], cuts: list[int]
) -> None:
    node = booted(boot)
    node.carry_out(plan.plan_write(first, node.state(), boot))
    for cut in cuts:
        node.carry_out(plan.plan_write(then, node.state(), boot), cut)
    node.carry_out(plan.plan_write(then, node.state(), boot))

    assert {path: content for path, (content, _) in node.files.items()} == then
    assert node.pool == node.roots()
    assert plan.find_drift(then, node.state(), boot) == Drift()
    assert not plan.plan_write(then, node.state(), boot).is_needed


@given(boot=sets, desired=sets, foreign=sets, previous_known=st.booleans())
def test_foreign_files_are_never_touched(
    boot: dict[str, str], desired: dict[str, str], foreign: dict[str, str], *, previous_known: bool
) -> None:
    node = booted(foreign | boot)
    theirs = {path: content for path, content in foreign.items() if path not in boot}
    previous = boot if previous_known else {}
    todo = plan.plan_write(desired, node.state(), previous)
    touched = {one.path for one in todo.writes if one.path not in todo.conflicts} | set(todo.removes)
    assert not touched & theirs.keys()
    mistaken = {path for path in theirs if path in desired and theirs[path] != desired[path]}
    assert mistaken <= set(todo.conflicts)


@given(boot=sets, desired=sets)
def test_containerd_restarts_only_when_its_pool_changes_or_is_not_known(
    boot: dict[str, str], desired: dict[str, str]
) -> None:
    node = booted(boot)  # it started after the files were there
    todo = plan.plan_write(desired, node.state(), boot)
    roots = {path: content for path, content in desired.items() if path.startswith("/etc/ssl")}
    assert todo.restart == (roots != node.pool)


def current(desired: Mapping[str, str]) -> Node:
    node = booted({})
    node.carry_out(plan.plan_write(desired, node.state()))
    return node


def test_a_crash_between_removal_and_restart_is_made_good_even_twice() -> None:
    node = current({A: "one"})
    todo = plan.plan_write({}, node.state())
    node.carry_out(todo, 3)
    assert (node.files, node.pool) == ({}, {A: "one"})
    node.carry_out(plan.plan_write({}, node.state()), 2)
    node.carry_out(plan.plan_write({}, node.state()))
    assert node.pool == {}


def test_somebody_elses_files_and_restarts_cost_no_restart() -> None:
    node = current({A: "one"})
    node.put("/etc/ssl/certs/tkg-theirs.pem", "x")
    assert not plan.plan_write({A: "one"}, node.state()).is_needed
    node.restart()
    assert not plan.plan_write({A: "one"}, node.state()).restart


@pytest.mark.parametrize("deed", ["edit", "restore", "remove"])
def test_a_file_that_was_touched_costs_a_restart(deed: str) -> None:
    node = current({A: "one"})
    node.put(A, {"edit": "two", "restore": "one", "remove": None}[deed])
    assert plan.plan_write({A: "one"}, node.state()).restart


def test_a_containerd_that_does_not_run_is_started() -> None:
    state = dataclasses.replace(current({A: "one"}).state(), runtime=RuntimeRun("failed", "x", 0))
    assert plan.plan_write({A: "one"}, state).restart
    assert plan.find_drift({A: "one"}, state).is_stale


def test_drift_is_told_apart() -> None:
    node = current({A: "one", B: "one", C: "one", TOML: "one"})
    node.put(A, "two")
    node.put(B, None)
    node.put("/etc/ssl/certs/tkg-theirs.pem", "x")
    state = node.state()
    replaced = dataclasses.replace(state.files[C], is_regular=False)
    state = dataclasses.replace(state, files={**state.files, C: replaced})
    assert plan.find_drift({A: "one", B: "one", C: "one", "/etc/ssl/certs/tkg-d.pem": "one"}, state) == Drift(
        edited=(A,),
        removed=(B,),
        replaced=(C,),
        outdated=(TOML,),
        missing=("/etc/ssl/certs/tkg-d.pem",),
        foreign=("/etc/ssl/certs/tkg-theirs.pem",),
    )


def test_a_right_file_that_containerd_has_not_loaded_is_stale() -> None:
    node = booted({})
    node.put(A, "one")  # by hand
    found = plan.find_drift({A: "one"}, node.state(), {})
    assert found == Drift(is_stale=True)
    assert not found.is_current


def bootstrapped(boot: Mapping[str, str]) -> Node:
    """A node whose containerd was there before its bootstrap wrote files."""
    node = Node({})
    for path, content in boot.items():
        node.put(path, content)
    node.bootstrapped = node.tick()
    return node


def test_what_the_bootstrap_wrote_counts_as_loaded_though_containerd_was_there_before() -> None:
    node = bootstrapped({A: "one"})
    node.certs_changed = node.tick()  # by a file that is not ours
    assert plan.find_drift({A: "one"}, node.state(), {A: "one"}) == Drift()
    assert not plan.plan_write({A: "one"}, node.state(), {A: "one"}).restart


@pytest.mark.parametrize("content", ["one", "two", None])
def test_what_was_touched_after_the_bootstrap_does_not(content: str | None) -> None:
    node = bootstrapped({A: "one", B: "one"})
    node.put(B, content)
    node.put(B, "one")
    assert plan.find_drift({A: "one", B: "one"}, node.state(), {A: "one", B: "one"}) == Drift(is_stale=True)


def test_a_file_of_the_bootstrap_that_was_removed_by_hand_is_still_loaded() -> None:
    node = bootstrapped({A: "one", B: "one"})
    node.put(B, None)
    assert plan.plan_write({A: "one"}, node.state(), {A: "one", B: "one"}).restart


def test_the_bootstrap_counts_only_until_there_is_a_manifest() -> None:
    boot = {A: "one"}
    node = booted(boot)
    node.carry_out(plan.plan_write({}, node.state(), boot))
    node.put(A, "theirs")
    todo = plan.plan_write({}, node.state(), boot)
    assert todo.removes == ()
    assert plan.find_drift({}, node.state(), boot).foreign == (A,)


def test_a_file_of_the_bootstrap_that_was_edited_is_still_ours() -> None:
    boot = {A: "one"}
    node = booted({A: "edited"})
    assert plan.plan_write({}, node.state(), boot).removes == (A,)
    assert plan.plan_write(boot, node.state(), boot).conflicts == ()
    assert plan.plan_write(boot, node.state(), None).conflicts == (A,)


@given(before=sets, after=sets, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_an_entry_of_the_whole_node_or_of_a_registry_is_trusted_at_any_moment(
    before: dict[str, str], after: dict[str, str], cuts: list[int]
) -> None:
    """A is an entry that is for the whole node, TOML the same for a registry."""

    def made(known: dict[str, str]) -> dict[str, str]:
        return known if known.keys() & {A, TOML} else known | {A: "one"}

    node = current(made(before))

    def check() -> None:
        assert A in node.pool or TOML in node.files

    for cut in [*cuts, 1000]:
        node.carry_out(plan.plan_write(made(after), node.state()), cut, check=check)
    assert node.pool == node.roots()


def test_a_hosts_toml_goes_before_what_it_names() -> None:
    ca = TOML.replace("hosts.toml", "a.pem")
    node = current({ca: "one", TOML: "two"})
    assert plan.plan_write({}, node.state()).removes == (TOML, ca)
