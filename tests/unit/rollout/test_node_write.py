"""Writes to nodes: their records, failures and limits."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.unit.controllers.fleet import NAMESPACE, trust
from tests.unit.controllers.supervisor import Shells, Supervised, old

from trustplane.api.annotations import TRUST_DIGEST
from trustplane.api.clustertrust import IN_PLACE, TRUST_UPDATE_ERROR, TRUST_WRITE_STARTED, AppliedTrust, UpdateError
from trustplane.api.keys import Key
from trustplane.errors import NodeError, TransientError, UserError
from trustplane.kube import kinds
from trustplane.kube.errors import ForbiddenError, NotFoundError, UnavailableError
from trustplane.rollout.execution import node_write
from trustplane.rollout.execution.node_write import NodeWriter
from trustplane.trust import recorded
from trustplane.trust.entries import EMPTY_SET, TrustSet
from trustplane.trust.node_files import render_files

SHOP, CART = Key(NAMESPACE, "shop"), Key(NAMESPACE, "cart")


class Writing:
    """A fleet, the shells of its nodes, a writer, and the clusters that it woke, with delays in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.fleet = Supervised(*(names or ("shop",)))
        self.shells = Shells(monkeypatch)
        self.woken: list[tuple[Key, float]] = []
        client: Any = self.fleet.server
        self.writer = NodeWriter(client, lambda key, after: self.woken.append((key, after)))

    async def begin(self, machine: str, cluster: Key = SHOP, **facts: object) -> None:
        view = await self.fleet.view.observe(cluster)
        assert view
        known = next(node for node in view.nodes if node.machine == machine)
        self.writer.start(cluster, view.machines[machine], replace(known, **facts), view.sets)  # type: ignore[arg-type]

    async def settled(self) -> None:
        """Wait for all writes and for the resulting events."""
        while tasks := [task for _, task in self.writer._tasks.values()]:
            await asyncio.wait(tasks)

    async def write(self, machine: str, cluster: Key = SHOP, **facts: object) -> None:
        await self.begin(machine, cluster, **facts)
        await self.settled()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Yield to other tasks until a condition holds; the tasks wait only for each other."""
        for _ in range(1000):
            if is_so():
                return
            await asyncio.sleep(0)
        raise AssertionError

    def applied(self, machine: str) -> AppliedTrust | None:
        return recorded.read_applied_trust(self.fleet.annotations(machine, kinds.MACHINES))

    def update_error(self, machine: str) -> UpdateError | None:
        return recorded.read_update_error(self.fleet.annotations(machine, kinds.MACHINES))


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Writing:
    writing = Writing(monkeypatch)
    writing.fleet.node("shop", 0, old())
    writing.fleet.kept("shop", old())
    return writing


async def test_a_write_is_recorded_on_the_machine(writing: Writing) -> None:
    await writing.begin("shop-0", boot_digest="f" * 64)
    assert writing.writer.machines_writing(SHOP) == {"shop-0"}
    assert writing.writer.machines_writing(CART) == frozenset()
    await writing.settled()
    assert set(writing.shells.files["shop-0"]) == set(render_files(trust()))
    applied = writing.applied("shop-0")
    assert applied
    assert (applied.digest, applied.method, applied.booted) == (trust().digest, IN_PLACE, "f" * 64)
    assert (applied.restarted, applied.only_removes, applied.is_partial) == (True, False, False)
    assert (writing.writer.machines_writing(SHOP), writing.writer.machines_backing_off(SHOP)) == (
        frozenset(),
        frozenset(),
    )
    assert writing.woken == [(SHOP, 0.0)]


async def test_a_machine_is_written_once_at_a_time(writing: Writing) -> None:
    await writing.begin("shop-0")
    await writing.begin("shop-0")
    await writing.settled()
    assert writing.shells.opened == ["shop-0"]


async def test_a_machine_with_a_lagging_record_is_not_written_again(writing: Writing) -> None:
    before = writing.fleet.server.stored(kinds.MACHINES, "shop-0")
    await writing.write("shop-0")
    writing.fleet.server.keep(kinds.MACHINES, Key(NAMESPACE, "shop-0"), before)  # as in a lagging informer
    await writing.write("shop-0")
    assert writing.shells.opened == ["shop-0"]


async def test_an_unknown_set_is_not_written(writing: Writing) -> None:
    writing.fleet.remove(kinds.SECRETS, f"shop-trust-{trust().short}")
    await writing.write("shop-0")
    assert writing.shells.opened == []


@pytest.mark.parametrize(
    ("held", "in_force", "only_removes"),
    [
        (trust(), old(), True),
        (trust(), EMPTY_SET, True),
        (old(), trust(), False),
        (old(), EMPTY_SET, True),
        (EMPTY_SET, old(), False),
        (None, EMPTY_SET, False),  # its previous set is unknown
    ],
)
async def test_a_record_states_whether_the_set_only_removes(
    writing: Writing, held: TrustSet | None, in_force: TrustSet, *, only_removes: bool
) -> None:
    writing.fleet.kept("shop", in_force)
    writing.fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"annotations": {TRUST_DIGEST: in_force.digest}}})
    writing.fleet.node("shop", 0, held)
    await writing.write("shop-0")
    applied = writing.applied("shop-0")
    assert applied
    assert (applied.digest, applied.only_removes) == (in_force.digest, only_removes)


async def test_a_write_completes_a_partial_set(writing: Writing) -> None:
    writing.fleet.node("shop", 0, trust())
    await writing.write("shop-0", is_partial=True)
    applied = writing.applied("shop-0")
    assert applied
    assert not applied.only_removes


async def test_the_start_of_a_write_is_recorded_until_its_end_is(writing: Writing) -> None:
    started: list[tuple[str, str | None]] = []
    name = "patch machines/shop-0"

    def note(call: str) -> None:
        annotations = writing.fleet.annotations("shop-0", kinds.MACHINES)
        started.append((call, annotations.get(TRUST_WRITE_STARTED)))

    writing.fleet.server.before = note
    writing.shells.sent = lambda: note("script")
    await writing.write("shop-0")
    assert started == [(name, None), ("script", trust().digest), (name, trust().digest)]
    assert TRUST_WRITE_STARTED not in writing.fleet.annotations("shop-0", kinds.MACHINES)


async def test_a_write_without_a_record_of_its_end_is_repeated(writing: Writing) -> None:
    def refuse() -> None:
        writing.fleet.server.refusing["patch machines/shop-0"] = UnavailableError("no answer")

    writing.shells.sent = refuse
    await writing.write("shop-0")
    view = await writing.fleet.view.observe(SHOP)
    assert view
    assert (view.nodes[0].digest, view.nodes[0].has_set(old().digest)) == (old().digest, False)
    assert set(writing.shells.files["shop-0"]) == set(render_files(trust()))
    writing.shells.sent = lambda: None
    await writing.write("shop-0")
    assert TRUST_WRITE_STARTED not in writing.fleet.annotations("shop-0", kinds.MACHINES)


async def test_the_repetition_of_an_interrupted_removal_only_removes(writing: Writing) -> None:
    writing.fleet.kept("shop", EMPTY_SET)
    writing.fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"annotations": {TRUST_DIGEST: EMPTY_SET.digest}}})
    await writing.write("shop-0", has_unrecorded_write=True)
    applied = writing.applied("shop-0")
    assert applied
    assert applied.only_removes


async def test_a_replaced_set_is_not_written(writing: Writing) -> None:
    def take_another(_: str) -> None:
        writing.fleet.change(kinds.CLUSTERS, "shop", {"metadata": {"annotations": {TRUST_DIGEST: "e" * 64}}})

    writing.shells.asked = take_another
    await writing.write("shop-0")
    assert writing.shells.files["shop-0"] == {}
    update_error = writing.update_error("shop-0")
    assert update_error
    assert "taken another trust set" in update_error.message


@pytest.mark.parametrize(
    ("error", "message", "is_unreachable"),
    [
        (TransientError("Cannot open SSH"), "Cannot open SSH", True),
        (UnavailableError("The API server does not answer"), "The API server does not answer", True),
        (NodeError("The node has no sudo"), "The node has no sudo", False),
        (UserError("The private key cannot be read"), "The private key cannot be read", False),
        (ForbiddenError("No right to write"), "No right to write", False),
        (KeyError("secret words"), "unexpected KeyError", False),  # from a library: the message is dropped
        (NodeError("bad \x1b[2J words " + "x" * 5000), "bad", False),
    ],
)
async def test_an_update_error_is_recorded(
    writing: Writing, error: Exception, message: str, *, is_unreachable: bool
) -> None:
    writing.shells.failing["shop-0"] = error
    with capture_logs():
        await writing.write("shop-0")
    update_error = writing.update_error("shop-0")
    assert update_error
    assert update_error.message.startswith(message)
    assert update_error.message.isprintable()
    assert len(update_error.message) <= 600
    assert "secret words" not in update_error.message
    assert (update_error.digest, update_error.is_unreachable) == (trust().digest, is_unreachable)
    assert writing.woken == [(SHOP, 1.0)]
    applied = writing.applied("shop-0")
    assert applied
    assert applied.digest == old().digest


async def test_a_successful_write_removes_the_update_error(writing: Writing) -> None:
    writing.shells.failing["shop-0"] = NodeError("why")
    await writing.write("shop-0")
    assert writing.update_error("shop-0")
    writing.shells.failing.clear()
    await writing.write("shop-0")
    assert TRUST_UPDATE_ERROR not in writing.fleet.annotations("shop-0", kinds.MACHINES)
    assert writing.writer.machines_backing_off(SHOP) == frozenset()


async def test_each_update_error_is_reported_once(writing: Writing) -> None:
    for message in ("first", "first", "first", "second"):
        writing.shells.failing["shop-0"] = NodeError(message)
        await writing.write("shop-0")
    assert writing.fleet.server.calls.count("patch machines/shop-0") == 2
    update_error = writing.update_error("shop-0")
    assert update_error
    assert update_error.message == "second"


async def test_the_pause_grows_with_each_failure(writing: Writing) -> None:
    writing.shells.failing["shop-0"] = NodeError("why")
    for _ in range(9):
        await writing.write("shop-0")
    assert [after for _, after in writing.woken] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    writing.shells.failing.clear()
    await writing.write("shop-0")
    writing.fleet.change(kinds.MACHINES, "shop-0", {"metadata": {"uid": "new"}})
    writing.shells.failing["shop-0"] = NodeError("why")
    await writing.write("shop-0")
    assert writing.woken[-2:] == [(SHOP, 0.0), (SHOP, 1.0)]  # it has recovered


async def test_the_pause_is_limited_after_days_of_failures(writing: Writing) -> None:
    writing.shells.failing["shop-0"] = NodeError("why")
    await writing.write("shop-0")
    writing.writer._backoffs[Key(NAMESPACE, "shop-0")].failures = 5000
    await writing.write("shop-0")
    assert writing.woken[-1] == (SHOP, 60.0)
    assert writing.writer.machines_backing_off(SHOP) == {"shop-0"}
    assert writing.writer.machines_backing_off(Key("other", "shop")) == frozenset()


async def test_an_old_pause_is_forgotten(writing: Writing) -> None:
    writing.shells.failing["shop-0"] = NodeError("why")
    await writing.write("shop-0")
    rest = writing.writer._backoffs[Key(NAMESPACE, "shop-0")]
    rest.until = asyncio.get_running_loop().time() - 1
    assert writing.writer.machines_backing_off(SHOP) == frozenset()
    assert writing.writer._backoffs
    rest.until -= node_write._RETENTION
    assert writing.writer.machines_backing_off(SHOP) == frozenset()
    assert not writing.writer._backoffs


async def test_a_deleted_machine_is_not_a_failure(writing: Writing) -> None:
    writing.fleet.server.refusing["patch machines/shop-0"] = NotFoundError("gone")
    await writing.write("shop-0")
    assert writing.woken == [(SHOP, 0.0)]
    assert writing.writer.machines_backing_off(SHOP) == frozenset()


async def test_a_failed_report_is_repeated_by_the_next_attempt(writing: Writing) -> None:
    writing.shells.failing["shop-0"] = NodeError("why")
    writing.fleet.server.refusing["patch machines/shop-0"] = UnavailableError("no answer")
    await writing.write("shop-0")
    assert writing.update_error("shop-0") is None
    assert writing.woken == [(SHOP, 1.0)]
    await writing.write("shop-0")
    assert writing.update_error("shop-0")


async def test_a_successor_does_not_get_its_predecessors_record(writing: Writing) -> None:
    def replaced(_: str) -> None:
        body = writing.fleet.server.stored(kinds.MACHINES, "shop-0")
        body = body | {"metadata": {**body["metadata"], "uid": "another"}}
        writing.fleet.server.keep(kinds.MACHINES, Key(NAMESPACE, "shop-0"), body)

    writing.shells.asked = replaced
    await writing.write("shop-0")
    annotations = writing.fleet.annotations("shop-0", kinds.MACHINES)
    record = recorded.read_applied_trust(annotations)
    assert record
    assert record.digest == old().digest
    assert TRUST_UPDATE_ERROR not in annotations


async def test_closing_ends_every_write_and_records_nothing(writing: Writing) -> None:
    writing.fleet.node("shop", 1, old())
    for name in ("shop-0", "shop-1"):
        writing.shells.held[name] = asyncio.Event()
        await writing.begin(name)
    await writing.until(lambda: len(writing.shells.opened) == 2)
    await writing.writer.close()
    assert writing.writer.machines_writing(SHOP) == frozenset()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert writing.fleet.server.calls == []
    assert writing.writer.machines_backing_off(SHOP) == frozenset()
    await writing.writer.close()


async def test_a_write_that_loses_a_cancellation_is_cancelled_again(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose_one() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(node_write, "_CANCEL_SECONDS", 0.01)
    task = asyncio.create_task(lose_one())
    await asyncio.sleep(0)
    writing.writer._tasks[Key(NAMESPACE, "shop-0")] = (SHOP, task)
    await writing.writer.close()
    assert task.cancelled()


async def test_the_limit_of_the_fleet_is_shared_between_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_write, "MAX_FLEET_WRITES", 4)
    writing = Writing(monkeypatch, "shop", "cart")
    for name in ("shop", "cart"):
        for number in range(4):
            writing.shells.held[writing.fleet.node(name, number, old())] = asyncio.Event()
    writer = writing.writer
    assert writer.allowance(SHOP, 4) == 4  # no other cluster needs writes
    assert writer.allowance(CART, 4) == 2
    assert writer.allowance(SHOP, 4) == 2
    for name in ("shop-0", "shop-1"):
        await writing.begin(name)
    assert writer.allowance(SHOP, 2) == 0
    assert writer.allowance(CART, 4) == 2
    for name in ("cart-0", "cart-1"):
        await writing.begin(name, CART)
    assert writer.allowance(CART, 2) == 0  # the limit is reached
    writing.woken.clear()
    writing.shells.held["shop-0"].set()
    await writing.until(lambda: "shop-0" not in writer.machines_writing(SHOP))
    assert writing.woken == [(SHOP, 0.0)]  # the free write is not for cart
    assert (writer.allowance(CART, 2), writer.allowance(SHOP, 2)) == (0, 1)  # for the cluster with fewer writes
    await writer.close()


async def test_an_idle_cluster_has_no_share_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_write, "MAX_FLEET_WRITES", 2)
    writing = Writing(monkeypatch, "shop", "cart")
    writer = writing.writer
    assert writer.allowance(SHOP, 2) == 2
    assert writer.allowance(CART, 2) == 1
    writer.forget(SHOP)
    assert writer.allowance(CART, 2) == 2
    assert writer.allowance(CART, 0) == 0
    assert writer.allowance(SHOP, 2) == 2


async def test_a_released_share_wakes_the_next_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_write, "MAX_FLEET_WRITES", 2)
    writing = Writing(monkeypatch, "shop", "cart")
    writer = writing.writer
    for give_up in (lambda: writer.forget(SHOP), lambda: writer.allowance(SHOP, 0), lambda: writer.allowance(SHOP, 1)):
        assert (writer.allowance(SHOP, 4), writer.allowance(CART, 4)) == (2, 1)
        writing.woken.clear()
        give_up()
        assert writing.woken == [(CART, 0.0)]
        writer.allowance(SHOP, 1)
        assert writing.woken == [(CART, 0.0)]  # once
        writer.forget(CART)


async def test_a_cluster_without_a_share_is_not_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a waiting fleet, each finished write wakes one cluster, and all clusters get their turn."""
    monkeypatch.setattr(node_write, "MAX_FLEET_WRITES", 1)
    names = [f"c{number}" for number in range(6)]
    writing = Writing(monkeypatch, *names)
    keys = {Key(NAMESPACE, name): writing.fleet.node(name, 0, old()) for name in names}
    wishes = dict.fromkeys(keys, 1)

    async def turn(key: Key) -> None:  # as the controller reconciles a cluster
        if writing.writer.allowance(key, wishes[key]):
            wishes[key] = 0
            await writing.write(keys[key], key)
            writing.writer.allowance(key, 0)

    for key in keys:
        writing.writer.allowance(key, 1)
    await turn(next(iter(keys)))
    while any(wishes.values()):
        woken = {key for key, _ in writing.woken if wishes[key]}
        assert len(woken) == 1
        writing.woken.clear()
        await turn(woken.pop())
    assert len(writing.shells.opened) == len(names)


async def test_only_waiting_clusters_are_woken(writing: Writing) -> None:
    writing.writer.allowance(CART, 1)
    writing.writer.allowance(SHOP, 1)
    await writing.write("shop-0")
    assert writing.woken == [(SHOP, 0.0), (CART, 0.0)]
    writing.writer.allowance(CART, 0)
    writing.woken.clear()
    writing.fleet.change(kinds.MACHINES, "shop-0", {"metadata": {"uid": "new"}})
    await writing.write("shop-0")
    assert writing.woken == [(SHOP, 0.0)]
