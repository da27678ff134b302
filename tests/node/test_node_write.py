"""The manager writes to a real node; containerd's pulls show the effect."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.node.machines import Machines

from trustplane.api.clustertrust import IN_PLACE
from trustplane.kube import reach
from trustplane.kube.client import Client
from trustplane.kube.kinds import MACHINES
from trustplane.nodes import trust as node_trust
from trustplane.nodes.hostkey import pinned_key

UNTRUSTED = "x509: certificate signed by unknown authority"
NOT_FOUND = "not found"
ONE = "one.test:5001"
_LOCK = "/etc/trustplane/lock"


@pytest.fixture
async def machines(
    _definitions: None, apiserver: Any, client: Client, namespace: str, node: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Machines]:
    monkeypatch.setenv(reach.ALLOWANCE, "1")  # the API server also plays the workload cluster, on loopback
    machines = Machines(client, namespace, node, apiserver.inline)
    yield machines
    await machines.remove_nodes()


def ours(node: Any) -> list[str]:
    """Return the names of the node's trust files that do not belong to the fixture `foreign`."""
    names = str(node.sh("cd /etc/ssl/certs && ls -A | grep -e ^tkg- -e trustplane || true")).split()
    return [name for name in names if name != "tkg-theirs.pem"]


@contextlib.contextmanager
def busy(node: Any) -> Any:
    """Hold the node's lock during the block, as a concurrent update does."""
    node.sh(f"mkdir -p /etc/trustplane && systemd-run --quiet --unit=busy flock {_LOCK} sleep 600")
    node.until(f"! flock -n {_LOCK} true")
    try:
        yield
    finally:
        node.sh("systemctl stop busy")


async def test_a_set_is_written_loaded_and_recorded(machines: Machines, node: Any, foreign: Callable[[], str]) -> None:
    await machines.make("w-0")
    before, run = foreign(), node.invocation()
    assert UNTRUSTED in node.pull("one")
    async with machines.writer() as writer:
        trust = await machines.take("boot", "one")
        await machines.write(writer, "w-0", trust)
        assert ours(node) == ["tkg-boot.pem", "tkg-one.pem"]
        assert (NOT_FOUND in node.pull("one"), UNTRUSTED in node.pull("two")) == (True, True)
        assert node.invocation() != run
        applied = await machines.applied("w-0")
        assert applied is not None
        assert (applied.digest, applied.method, applied.restarted) == (trust.digest, IN_PLACE, True)
        machine = await machines.client.get(MACHINES, "w-0", machines.namespace)
        assert pinned_key(machine).startswith("ssh-")

        run = node.invocation()
        await machines.write(writer, "w-0", trust)  # it has that already
        again = await machines.applied("w-0")
        assert again is not None
        assert (again.restarted, node.invocation()) == (False, run)
    assert foreign() == before


async def test_p6_a_removal_removes_the_file_and_the_trust(
    machines: Machines, node: Any, foreign: Callable[[], str]
) -> None:
    await machines.make("w-0")
    before = foreign()
    async with machines.writer() as writer:
        await machines.write(writer, "w-0", await machines.take("boot", "one"))
        assert NOT_FOUND in node.pull("one")
        await machines.write(writer, "w-0", await machines.take())
        assert (ours(node), UNTRUSTED in node.pull("one")) == ([], True)
        applied = await machines.applied("w-0")
        assert applied is not None
        assert applied.only_removes
    assert foreign() == before


async def test_a_registry_scoped_entry_is_trusted_without_a_restart(machines: Machines, node: Any) -> None:
    await machines.make("w-0")
    run = node.invocation()
    async with machines.writer() as writer:
        trust = await machines.take("boot", "one", hosts={"one": (ONE,)})
        await machines.write(writer, "w-0", trust)
    applied = await machines.applied("w-0")
    assert applied is not None
    assert (applied.digest, applied.restarted, node.invocation()) == (trust.digest, False, run)
    assert NOT_FOUND in node.pull("one")


async def test_a_node_that_is_off_is_reported_and_written_when_it_returns(machines: Machines, node: Any) -> None:
    await machines.make("w-0", "w-1")
    away = node.stack.address(99)  # no server listens at this address
    await machines.move("w-0", away)
    async with machines.writer() as writer:
        trust = await machines.take("one")
        await machines.begin(writer, "w-0", trust)
        await machines.begin(writer, "w-1", trust)
        await writer.idle(machines.key)
        assert (await machines.applied("w-1")) is not None
        update_error = await machines.update_error("w-0")
        assert update_error is not None
        assert (update_error.is_unreachable, update_error.digest) == (True, trust.digest)
        assert f"Cannot open SSH to node {away} port 22" in update_error.message
        assert "w-0" in writer.machines_backing_off(machines.key)

        await machines.move("w-0", node.address)
        await machines.write(writer, "w-0", trust)
        assert await machines.applied("w-0") is not None
        assert await machines.update_error("w-0") is None
        assert writer.machines_backing_off(machines.key) == frozenset()


async def test_another_host_key_is_refused_and_nothing_is_sent(machines: Machines, node: Any) -> None:
    await machines.make("w-0")
    async with machines.writer() as writer:
        first = await machines.take("one")
        await machines.write(writer, "w-0", first)
        files, run = node.sh("sha256sum /etc/ssl/certs/tkg-*"), node.invocation()
        second = await machines.take("two")
        node.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")
        await machines.write(writer, "w-0", second)
    update_error, applied = await machines.update_error("w-0"), await machines.applied("w-0")
    assert update_error is not None
    assert "Another machine answers at the address of Machine w-0" in update_error.message
    assert not update_error.is_unreachable
    assert (node.sh("sha256sum /etc/ssl/certs/tkg-*"), node.invocation()) == (files, run)
    assert applied is not None
    assert applied.digest == first.digest

    await machines.say_host_keys("w-0")  # the node generated new keys
    async with machines.writer() as writer:
        await machines.write(writer, "w-0", second)
    assert ours(node) == ["tkg-two.pem"]


async def test_a_foreign_file_at_a_desired_path_is_reported_and_stays(machines: Machines, node: Any) -> None:
    await machines.make("w-0")
    node.sh(f"printf 'theirs\\n' >{node.path('one')}")
    async with machines.writer() as writer:
        await machines.write(writer, "w-0", await machines.take("one"))
    update_error = await machines.update_error("w-0")
    assert update_error is not None
    assert node.path("one") in update_error.message
    assert (node.sh(f"cat {node.path('one')}"), await machines.applied("w-0")) == ("theirs\n", None)


async def test_a_delayed_write_does_not_undo_a_newer_set(machines: Machines, node: Any) -> None:
    await machines.make("w-0")
    async with machines.writer() as late, machines.writer() as next_:
        old = await machines.take("one")
        with busy(node):
            await machines.begin(late, "w-0", old)
            new = await machines.take("two")
            node.sh("echo theirs >/etc/ssl/certs/tkg-other.pem")  # which makes the manager read the node again
        await late.idle(machines.key)
        node.sh("rm /etc/ssl/certs/tkg-other.pem")
        assert (ours(node), await machines.applied("w-0")) == (["tkg-boot.pem"], None)
        await machines.write(next_, "w-0", new)
    assert ours(node) == ["tkg-two.pem"]


async def test_two_concurrent_managers_write_once(machines: Machines, node: Any) -> None:
    await machines.make("w-0")
    starts = "journalctl -u containerd -o cat | grep -c '^Started containerd'"
    async with machines.writer() as one, machines.writer() as other:
        await machines.write(one, "w-0", await machines.take("two"))
        trust = await machines.take("one")
        before = int(node.sh(starts))
        await asyncio.gather(*(machines.write(writer, "w-0", trust) for writer in (one, other)))
    assert int(node.sh(starts)) == before + 1
    assert (ours(node), NOT_FOUND in node.pull("one")) == (["tkg-one.pem"], True)


NEW_SETS = (("one",), ("two",), ("one", "two"))
RESTORED_SET = (("one", "two"), ("two",), ("one", "two"))


@pytest.mark.parametrize("sets", [NEW_SETS, RESTORED_SET], ids=["new", "restored"])
@pytest.mark.parametrize("seed", range(3))
async def test_a_manager_killed_at_any_point_converges_to_the_same_state(
    machines: Machines, node: Any, foreign: Callable[[], str], seed: int, sets: tuple[tuple[str, ...], ...]
) -> None:
    random_, before = random.Random(seed), foreign()  # noqa: S311  chooses when to kill
    await machines.make("w-0")
    for names in sets:
        trust = await machines.take(*names)
        async with machines.writer() as writer:
            await machines.begin(writer, "w-0", trust)
            await asyncio.sleep(random_.uniform(0.1, 0.7))
        half = (
            "for f in /etc/ssl/certs/tkg-*.pem; do case $f in *theirs*) ;; *) openssl x509 -noout -in $f;; esac; done"
        )
        assert node.sh(half) == ""
    async with machines.writer() as writer:
        while not (await machines.facts("w-0")).has_set(trust.digest):
            await machines.write(writer, "w-0", trust)  # an interrupted write may continue on the node for a while
    assert (ours(node), foreign()) == (["tkg-one.pem", "tkg-two.pem"], before)
    assert (NOT_FOUND in node.pull("one"), NOT_FOUND in node.pull("two")) == (True, True)
    applied = await machines.applied("w-0")
    assert applied is not None
    assert applied.method == IN_PLACE


async def test_a_restored_set_is_written_over_an_unrecorded_one(
    machines: Machines, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await machines.make("w-0")
    apply, written = node_trust.apply, asyncio.Event()

    async def apply_and_stall(*args: Any, **values: Any) -> None:
        await apply(*args, **values)
        written.set()
        await asyncio.Event().wait()

    async with machines.writer() as writer:
        await machines.write(writer, "w-0", await machines.take("one"))
        with monkeypatch.context() as patched:
            patched.setattr(node_trust, "apply", apply_and_stall)
            await machines.begin(writer, "w-0", await machines.take("two"))
            await asyncio.wait_for(written.wait(), 90)
    restored = await machines.take("one")
    applied = await machines.applied("w-0")
    assert applied is not None
    assert (applied.digest, ours(node)) == (restored.digest, ["tkg-two.pem"])
    assert not (await machines.facts("w-0")).has_set(restored.digest)
    async with machines.writer() as writer:
        await machines.write(writer, "w-0", restored)
    assert (await machines.facts("w-0")).has_set(restored.digest)
    assert (ours(node), NOT_FOUND in node.pull("one")) == (["tkg-one.pem"], True)
