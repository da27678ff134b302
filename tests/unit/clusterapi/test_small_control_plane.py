"""Single scenes, then whole changes: Cluster API, the manager and a user take turns in any order, and may be killed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import IN_PLACE_REFUSED, PAUSED, ROLLOUT, TRUST_DIGEST
from trustplane.api.clusterapi import Cluster, KubeadmControlPlane, Machine
from trustplane.api.meta import Json
from trustplane.clusterapi import small_control_plane
from trustplane.clusterapi.small_control_plane import (
    PATIENCE,
    PAUSE,
    REST,
    Member,
    Move,
    Scene,
    is_paused,
    pause_value,
    step,
)
from trustplane.trust.entries import EMPTY
from trustplane.trust.places import Place, toml, toml_path
from trustplane.trust.policy import IN_PLACE, REPLACE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64
USERS = "maintenance"
HOST = "apps.corp.test"
OTHER = {"path": "/etc/other", "content": "x"}


def files(digest: str) -> list[Json]:
    """Return a machine's files: one of somebody else, and those of a set with an entry for one registry only."""
    common = {"owner": "root:root", "permissions": "0644"}
    secret = f"shop-trust-{digest[:10]}"
    from_secret = [
        {"path": place.path, **common, "contentFrom": {"secret": {"name": secret, "key": f"{place.name}.pem"}}}
        for place in (Place("corp", ""), Place("apps", HOST))
    ]
    inline = {"path": toml_path(HOST), **common, "content": toml(HOST, ["apps"])}
    return [OTHER] if digest == EMPTY.digest else [OTHER, *from_secret, inline]


def spec(digest: str, *, version: str = "v1.36.3", replicas: int = 1) -> Json:
    return {
        "replicas": replicas,
        "version": version,
        "kubeadmConfigSpec": {"files": files(digest), "users": [{"name": "u"}]},
        "machineTemplate": {"spec": {"infrastructureRef": {"name": "local"}}},
    }


@dataclass
class World:
    """A cluster of `replicas` control plane machines, and what was done to it."""

    replicas: int = 1
    digest: str = NEW
    variable: str = NEW  # what the Cluster asks for, and what it holds for its control plane
    held: str = OLD
    how: str = IN_PLACE
    are_pools_done: bool = True
    is_deleted: bool = False
    topology_seen: bool = True
    spec: Json = field(default_factory=dict)
    generation: int = 1
    observed: int = 1
    pause: str | None = None
    paused: bool = False
    paused_since: datetime = NOW - timedelta(days=1)
    nodes: dict[str, str] = field(default_factory=dict)
    applied: dict[str, str] = field(default_factory=dict)
    configs: dict[str, list[Json]] = field(default_factory=dict)
    borrowed: set[str] = field(default_factory=set)
    replaced: int = 0
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.spec = spec(OLD, replicas=self.replicas)
        for index in range(self.replicas):
            self.nodes[f"cp-{index}"] = OLD
            self.configs[f"cp-{index}"] = files(OLD)

    @property
    def scene(self) -> Scene:
        return Scene(
            cluster=self._cluster(),
            control_plane=self._control_plane(),
            spec=self.spec,
            members=[Member(self._machine(name), self.configs[name], name in self.borrowed) for name in self.nodes],
            are_pools_done=self.are_pools_done,
            now=self.now,
        )

    def _cluster(self) -> Cluster:
        overrides = [{"name": "trust", "value": {"secretName": self.held}}] if self.held else []
        annotations = {TRUST_DIGEST: self.digest, **({ROLLOUT: self.how} if self.how else {})}
        body: Json = {
            "metadata": {"name": "shop", "annotations": annotations, "generation": 1},
            "spec": {"topology": {"controlPlane": {"variables": {"overrides": overrides}}}},
            "status": {
                "conditions": [
                    {"type": "TopologyReconciled", "status": "True", "observedGeneration": int(self.topology_seen)}
                ]
            },
        }
        if self.is_deleted:
            body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        return msgspec.convert(body, Cluster)

    def _control_plane(self) -> KubeadmControlPlane:
        paused = {
            "type": "Paused",
            "status": str(self.paused),
            "lastTransitionTime": self.paused_since.isoformat(),
        }
        counts = {"replicas": len(self.nodes), "upToDateReplicas": len(self.nodes)}
        annotations = {} if self.pause is None else {PAUSED: self.pause}
        return msgspec.convert(
            {
                "metadata": {"name": "shop-cp", "generation": self.generation, "annotations": annotations},
                "spec": self.spec,
                "status": {"observedGeneration": self.observed, **counts, "conditions": [paused]},
            },
            KubeadmControlPlane,
        )

    def _machine(self, name: str) -> Machine:
        annotations: Json = {}
        if name in self.applied:
            annotations["trustplane.dev/trust-applied"] = json.dumps({"digest": self.applied[name]})
        body = {"metadata": {"name": name, "annotations": annotations}, "status": {"nodeRef": {"name": name}}}
        return msgspec.convert(body, Machine)

    # Who acts. Each is one write, and anybody may be next.
    def manager(self, *, is_killed: bool = False) -> None:
        """Take one step; killed, it has written on the node and recorded nothing."""
        todo = step(self.scene)
        if todo.move is Move.PAUSE:
            assert self.pause is None
            self.pause = pause_value(self.spec)
        elif todo.move is Move.UNPAUSE:
            assert self.pause is not None
            assert self.pause.startswith(PAUSE)
            self.pause = None
        elif todo.move is Move.WRITE:
            self.nodes[todo.machine] = self.digest
            if not is_killed:
                self.applied[todo.machine] = self.digest
        elif todo.move is Move.COPY:
            self.configs[todo.machine] = self.spec["kubeadmConfigSpec"]["files"]
            self.borrowed.add(todo.machine)
        elif todo.move is Move.HAND_BACK:
            self.borrowed.remove(todo.machine)

    def reconciler(self) -> None:
        """Write the Cluster."""
        if not self.is_deleted and (
            self.how != IN_PLACE or (self.are_pools_done and is_paused(self.scene.control_plane))
        ):
            self.topology_seen = self.topology_seen and not self.held
            self.held = ""

    def topology(self) -> None:
        """Write the control plane."""
        wanted = {**self.spec, "kubeadmConfigSpec": {**self.spec["kubeadmConfigSpec"]}}
        wanted["kubeadmConfigSpec"]["files"] = files(self.held or self.variable)
        if wanted != self.spec:
            self.spec = wanted
            self.generation += 1
        self.topology_seen = True

    def cluster_api(self) -> None:
        """See the pause; without one, replace a machine that differs."""
        is_paused_now = self.pause is not None
        if is_paused_now != self.paused:
            self.paused, self.paused_since = is_paused_now, self.now
        elif not self.paused:
            self.observed = self.generation
            wanted = self.spec["kubeadmConfigSpec"]["files"]
            for name in [one for one, found in self.configs.items() if found != wanted]:
                self.replaced += 1
                self.configs[name] = wanted
                self.nodes[name] = self.held or self.variable
                self.applied.pop(name, None)
                self.borrowed.discard(name)

    def killed(self) -> None:
        self.manager(is_killed=True)

    def clock(self) -> None:
        self.now += REST

    def settle(self) -> None:
        """Let everybody act until nothing changes."""
        for _ in range(60):
            for act in (self.manager, self.reconciler, self.topology, self.cluster_api, self.clock):
                act()

    # What a user does.
    def replace_wanted(self) -> None:
        self.how = REPLACE

    def supersede(self) -> None:
        self.held = self.held or self.variable
        self.digest = self.variable = NEWER
        self.are_pools_done, self.topology_seen = False, False

    def upgrade(self) -> None:
        self.spec = {**self.spec, "version": "v1.37.0"}
        self.generation += 1

    def delete(self) -> None:
        self.is_deleted = True

    def pause_it(self) -> None:
        self.pause = USERS

    def scale(self) -> None:
        self.spec = {**self.spec, "replicas": 3}
        self.generation += 1


ACTORS = ("manager", "killed", "reconciler", "topology", "cluster_api", "clock")
orders = st.lists(st.sampled_from(ACTORS), max_size=40)


def play(world: World, names: list[str]) -> None:
    for name in names:
        getattr(world, name)()


@given(order=orders, replicas=st.sampled_from([1, 2]))
def test_no_machine_is_replaced_in_whatever_order_and_whoever_is_killed(order: list[str], replicas: int) -> None:
    world = World(replicas)
    play(world, order)
    world.settle()
    assert world.replaced == 0
    assert set(world.nodes.values()) == {NEW}
    assert set(world.applied.values()) == {NEW}
    assert all(found == files(NEW) for found in world.configs.values())
    assert (world.pause, world.paused, world.held) == (None, False, "")
    assert world.observed == world.generation
    assert not world.borrowed


@given(
    before=orders,
    event=st.sampled_from(["replace_wanted", "supersede", "upgrade", "delete", "scale"]),
    after=orders,
)
def test_whatever_comes_in_between_no_pause_of_ours_is_left(before: list[str], event: str, after: list[str]) -> None:
    world = World(2)
    play(world, [*before, event, *after])
    world.are_pools_done = True
    world.settle()
    assert world.pause is None
    if event != "delete":
        assert {*world.nodes.values()} in ({world.digest}, {OLD} if event == "scale" else set())
    if event == "supersede":
        assert world.replaced == 0


@given(before=orders, after=orders)
def test_a_users_pause_is_never_removed(before: list[str], after: list[str]) -> None:
    world = World()
    play(world, [*before, "pause_it", *after])
    world.settle()
    assert world.pause == USERS


@given(order=orders)
def test_nothing_happens_before_the_workers_are_done(order: list[str]) -> None:
    world = World(are_pools_done=False)
    play(world, order)
    assert (world.pause, world.nodes) == (None, {"cp-0": OLD})
    assert step(world.scene).move is Move.WAIT


def paused(**values: Any) -> World:
    """Return a world in which Cluster API has seen our pause, and the control plane has the new set."""
    world = World(**values)
    world.pause, world.paused, world.paused_since = pause_value(world.spec), True, NOW
    world.held = ""
    world.topology()
    return world


def test_two_machines_go_one_after_the_other() -> None:
    world = paused(replicas=2)
    found = []
    while (todo := step(world.scene)).move is not Move.UNPAUSE:
        found.append((todo.move.value, todo.machine))
        world.manager()
    assert found == [(move, name) for name in ("cp-0", "cp-1") for move in ("Write", "Copy", "HandBack")]


def test_a_set_of_which_nothing_is_left_is_written_too() -> None:
    world = paused(digest=EMPTY.digest, variable=EMPTY.digest)
    assert step(world.scene).move is Move.WRITE


def test_a_node_that_was_put_back_meanwhile_is_written_again() -> None:
    world = paused()
    for _ in range(3):
        world.manager()
    world.applied["cp-0"] = OLD
    assert (step(world.scene).move, step(world.scene).machine) == (Move.WRITE, "cp-0")


def test_a_machine_without_a_kubeadm_config_is_left_alone() -> None:
    scene = paused().scene
    assert step(replace(scene, members=[Member(scene.members[0].machine, None)])).move is Move.UNPAUSE


@pytest.mark.parametrize("change", [World.upgrade, World.delete, World.scale, World.replace_wanted])
def test_for_anything_else_the_pause_ends_at_once(change: Callable[[World], None]) -> None:
    world = paused()
    change(world)
    assert step(world.scene).move is Move.UNPAUSE


def test_a_machine_that_is_being_removed_or_remediated_ends_the_pause() -> None:
    scene = paused().scene
    gone = msgspec.convert({"metadata": {"name": "cp-0", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, Machine)
    condition = {"type": "OwnerRemediated", "status": "False"}
    sick = msgspec.convert({"metadata": {"name": "cp-0"}, "status": {"conditions": [condition]}}, Machine)
    for one in (gone, sick):
        todo = step(replace(scene, members=[Member(one, files(OLD))]))
        assert (todo.move, todo.reason) == (Move.UNPAUSE, "Machine cp-0 is being removed")


def test_the_end_of_the_cluster_and_a_refused_set_end_the_pause() -> None:
    scene = paused().scene
    assert step(replace(scene, cluster=None)).move is Move.UNPAUSE
    assert scene.cluster
    scene.cluster.metadata.annotations[IN_PLACE_REFUSED] = NEW
    assert step(scene).move is Move.UNPAUSE


def test_nothing_is_done_while_a_user_has_paused_the_cluster() -> None:
    for world in (World(), paused()):
        by_field, by_annotation = world.scene, world.scene
        assert by_field.cluster
        assert by_annotation.cluster
        by_field.cluster.spec.paused = True
        by_annotation.cluster.metadata.annotations[PAUSED] = ""
        assert {step(by_field).move, step(by_annotation).move} == {Move.WAIT}


def test_a_pause_is_not_begun_while_cluster_api_is_at_work() -> None:
    world = World()
    world.observed = 0
    assert step(world.scene).move is Move.WAIT
    world.observed, world.topology_seen = 1, False
    assert step(world.scene).move is Move.WAIT
    world.topology_seen = True
    assert step(world.scene).move is Move.PAUSE


def test_a_pause_that_the_cluster_does_not_follow_ends_and_is_tried_again_later() -> None:
    world = World()
    world.manager()
    world.cluster_api()
    world.now += PATIENCE
    assert step(world.scene).move is Move.WAIT
    world.now += timedelta(seconds=1)
    world.manager()
    assert world.pause is None
    world.cluster_api()
    assert step(world.scene).move is Move.WAIT
    world.now += REST + timedelta(seconds=1)
    assert step(world.scene).move is Move.PAUSE


def test_a_control_plane_that_does_not_get_the_set_is_left_to_cluster_api() -> None:
    world = paused()
    world.spec = spec(OLD)
    world.topology_seen = False
    assert step(world.scene).move is Move.WAIT
    world.topology_seen = True
    assert step(world.scene).move is Move.UNPAUSE


def test_the_pause_says_what_may_not_change() -> None:
    assert pause_value(spec(OLD)) == pause_value(spec(NEW)) == pause_value(spec(NEW, replicas=2))
    assert pause_value(spec(OLD)) != pause_value(spec(OLD, version="v1.37.0"))
    others = spec(OLD)
    others["kubeadmConfigSpec"]["files"] = [*files(OLD), {"path": "/etc/more"}]
    assert pause_value(spec(OLD)) != pause_value(others)
    assert pause_value({}).startswith(PAUSE)


def test_only_a_pause_of_ours_that_cluster_api_has_seen_counts() -> None:
    world = World()
    assert not is_paused(None)
    assert not is_paused(world.scene.control_plane)
    world.manager()
    assert not is_paused(world.scene.control_plane)
    world.cluster_api()
    assert is_paused(world.scene.control_plane)
    world.pause_it()
    assert not is_paused(world.scene.control_plane)
    assert small_control_plane.is_ours({PAUSED: pause_value(world.spec)})
