"""UpdateMachine on a real node, with a real API server: who goes first, who waits, and what is left on the node."""

import asyncio
import contextlib
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tests.apiserver.controllers.test_processes import Trustplane
from tests.apiserver.controllers.test_processes import _line as line
from tests.node.machines import WRITING, Machines, extension, is_done

from trustplane.api.meta import Json
from trustplane.clusterapi.hooks import UPDATE_MACHINE, discovery
from trustplane.kube.client import Client
from trustplane.machines.resources import REGISTRIES
from trustplane.server import inplace
from trustplane.server.extension import path
from trustplane.server.inplace import InPlace

ONE = "one.test:5001"
UNTRUSTED = "x509: certificate signed by unknown authority"
NOT_FOUND = "not found"
Call = Callable[[Json], Awaitable[Json]]
_LOCK = "/etc/trustplane/lock"
CERTS_D = "/etc/containerd/certs.d"


@pytest.fixture
def machines(client: Client, namespace: str, node: Any, _definitions: None) -> Machines:
    return Machines(client, namespace, node)


@pytest.fixture
async def in_place(client: Client) -> AsyncIterator[InPlace]:
    served = extension(client)
    yield served
    await served.close()


@pytest.fixture
async def registry(client: Client, namespace: str, _definitions: None) -> AsyncIterator[None]:
    """A Registry: the clusters of this test are to trust `one.test:5001`."""
    name = f"r{uuid.uuid4().hex[:8]}"
    spec = {"host": ONE, "clusterSelector": {"matchLabels": {"test": namespace}}}
    await client.create(REGISTRIES, {"metadata": {"name": name}, "spec": spec})
    yield
    await client.delete(REGISTRIES, name)


def ours(node: Any) -> list[str]:
    """Return the names of the trust files on the node that are not of the fixture `foreign`."""
    names = str(node.sh("cd /etc/ssl/certs && ls -A | grep -e ^tkg- -e trustplane || true")).split()
    return [name for name in names if name != "tkg-theirs.pem"]


@contextlib.contextmanager
def busy(node: Any) -> Any:
    """Hold the node's lock within the block, as another update of the node does."""
    node.sh(f"mkdir -p /etc/trustplane && systemd-run --quiet --unit=busy flock {_LOCK} sleep 600")
    node.until(f"! flock -n {_LOCK} true")
    try:
        yield
    finally:
        node.sh("systemctl stop busy")


@pytest.mark.usefixtures("registry")
async def test_one_machine_goes_first_and_the_others_when_it_is_proven(
    machines: Machines, in_place: InPlace, node: Any, foreign: Callable[[], str]
) -> None:
    await machines.make("w-0", "w-1")
    before, trust = foreign(), await machines.take("one")

    await machines.update(in_place, "w-0", trust)
    assert await machines.canary() == "w-0"
    assert NOT_FOUND in node.pull("one")
    assert ours(node) == ["tkg-one.pem"]
    answer = await machines.ask(in_place, "w-1", trust)
    assert not is_done(answer)
    assert answer["message"] == f"Waiting for the proof of registry {ONE} on Machine w-0"
    assert await machines.applied("w-1") is None

    await machines.prove("w-0", "one")
    await machines.update(in_place, "w-1", trust)
    assert await machines.canary() == "w-0"
    for name in ("w-0", "w-1"):
        applied = await machines.applied(name)
        assert applied is not None
        assert (applied.digest, applied.method) == (trust.digest, "InPlace")
    assert foreign() == before


@pytest.mark.usefixtures("registry")
async def test_an_answer_that_was_not_seen_to_be_verified_lets_nobody_go(
    machines: Machines, in_place: InPlace, node: Any
) -> None:
    await machines.make("w-0", "w-1")
    trust = await machines.take("one")
    await machines.update(in_place, "w-0", trust)
    await machines.prove("w-0", "one")
    await machines.forget_look("w-0")
    answer = await machines.ask(in_place, "w-1", trust)
    assert not is_done(answer)
    assert f"accepted registry {ONE}. Waiting until it is seen over SSH" in answer["message"]

    # Nobody can ever prove that registry by a pull of this node: it counts as if there were none.
    node.sh(f"mkdir -p {CERTS_D}/{ONE}; echo 'skip_verify = true' >{CERTS_D}/{ONE}/hosts.toml")
    await machines.prove("w-0", "one")
    await machines.update(in_place, "w-1", trust)


@pytest.mark.usefixtures("registry")
async def test_of_those_that_ask_at_once_one_is_elected(machines: Machines, client: Client, node: Any) -> None:
    names = ("w-0", "w-1", "w-2")
    await machines.make(*names)
    trust = await machines.take("one")
    replicas = [extension(client) for _ in names]
    with busy(node):  # nobody is done before the others have asked
        asked = zip(replicas, names, strict=True)
        answers = await asyncio.gather(*(machines.ask(one, name, trust) for one, name in asked))
    canary = await machines.canary()
    waiting = [answer["message"] for name, answer in zip(names, answers, strict=True) if name != canary]
    assert waiting == [f"Machine {canary} takes the changed trust first"] * 2
    await machines.update(replicas[names.index(canary)], canary, trust)
    assert [name for name in names if await machines.applied(name)] == [canary]
    for one in replicas:
        await one.close()


async def test_ten_machines_go_at_a_time(machines: Machines, in_place: InPlace) -> None:
    names = [f"w-{n:02}" for n in range(13)]
    await machines.make(*names)
    trust = await machines.take("one")
    await machines.update(in_place, names[0], trust)  # no Registry selects the cluster: nothing is to be proven

    crowded = "10 other machines of the cluster are being updated"
    for name in names[11:]:
        assert (await machines.ask(in_place, name, trust))["message"] == crowded
    await machines.update(in_place, names[1], trust)
    assert (await machines.ask(in_place, names[12], trust))["message"] == crowded
    await machines.update(in_place, names[11], trust)
    assert [name for name in names if await machines.applied(name)] == [names[0], names[1], names[11]]


@pytest.mark.usefixtures("registry")
async def test_an_addition_that_is_not_trusted_stops_after_the_first_machine(
    machines: Machines, in_place: InPlace, node: Any
) -> None:
    await machines.make("w-0", "w-1")
    wrong = await machines.take(corp=node.pems["two"])
    await machines.update(in_place, "w-0", wrong)
    await machines.prove("w-0", "one")
    answer = await machines.ask(in_place, "w-1", wrong)
    assert not is_done(answer)
    assert "the node of Machine w-0 does not trust registry one.test:5001" in answer["message"]
    assert UNTRUSTED in answer["message"]
    assert f"corp ({wrong.entries[0].fingerprints[0][:10]})" in answer["message"]
    assert await machines.applied("w-1") is None

    right = await machines.take("one")
    await machines.update(in_place, "w-0", right)
    await machines.prove("w-0", "one")
    await machines.update(in_place, "w-1", right)
    assert ours(node) == ["tkg-one.pem"]


@pytest.mark.usefixtures("registry")
async def test_p6_a_removal_is_real_and_goes_on_although_nothing_is_trusted(
    machines: Machines, in_place: InPlace, node: Any, foreign: Callable[[], str]
) -> None:
    await machines.make("w-0", "w-1")
    before, both = foreign(), await machines.take("boot", "one")
    for name in ("w-0", "w-1"):
        await machines.update(in_place, name, both)
        await machines.prove(name, "one")
    assert NOT_FOUND in node.pull("one")

    none = await machines.take()
    await machines.update(in_place, "w-0", none)
    assert UNTRUSTED in node.pull("one")
    assert ours(node) == []
    await machines.prove("w-0", "one")
    await machines.update(in_place, "w-1", none)
    assert foreign() == before


async def test_a_node_that_is_off_is_waited_for_and_keeps_nobody_waiting(
    machines: Machines, in_place: InPlace, node: Any
) -> None:
    await machines.make("w-0", "w-1")
    away = node.stack.address(99)  # nobody is there
    await machines.move("w-0", away)
    trust = await machines.take("one")
    while (answer := await machines.ask(in_place, "w-0", trust))["message"] == WRITING:
        pass  # the dial has a time limit of its own
    assert not is_done(answer)
    assert f"Cannot open SSH to node {away} port 22" in answer["message"]
    assert await machines.canary() == ""
    await machines.update(in_place, "w-1", trust)
    assert await machines.canary() == "w-1"

    await machines.move("w-0", node.address)
    await machines.update(in_place, "w-0", trust)


@pytest.mark.usefixtures("registry")
async def test_a_first_machine_that_stops_before_its_proof_is_replaced_by_another(
    machines: Machines, in_place: InPlace
) -> None:
    await machines.make("w-0", "w-1", "w-2")
    trust = await machines.take("one")
    await machines.update(in_place, "w-0", trust)
    await machines.report_node("w-0", "Unknown")
    await machines.update(in_place, "w-1", trust)
    assert await machines.canary() == "w-1"
    answer = await machines.ask(in_place, "w-2", trust)
    assert answer["message"] == f"Waiting for the proof of registry {ONE} on Machine w-1"


async def test_another_host_key_is_refused_and_nothing_is_sent(
    machines: Machines, in_place: InPlace, node: Any
) -> None:
    await machines.make("w-0")
    first = await machines.take("one")
    await machines.update(in_place, "w-0", first)
    files, run = node.sh("sha256sum /etc/ssl/certs/tkg-*"), node.invocation()
    second = await machines.take("two")
    node.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")

    answer = await machines.ask(in_place, "w-0", second)
    assert not is_done(answer)
    changed = "The SSH host key of the node of Machine w-0 has changed"
    assert changed in answer["message"]
    assert [one for one in await machines.told("w-0") if one.startswith(f"TrustRefused: {changed}")]
    assert (node.sh("sha256sum /etc/ssl/certs/tkg-*"), node.invocation()) == (files, run)
    applied = await machines.applied("w-0")
    assert applied is not None
    assert applied.digest == first.digest


async def test_the_answer_does_not_wait_for_the_work(machines: Machines, in_place: InPlace, node: Any) -> None:
    await machines.make("w-0")
    trust = await machines.take("one")
    with busy(node):
        answer = await machines.ask(in_place, "w-0", trust)
        assert (is_done(answer), answer["message"]) == (False, WRITING)
        assert ours(node) == ["tkg-boot.pem"]  # the work cannot be done before the lock is given back
    await machines.update(in_place, "w-0", trust)
    assert ours(node) == ["tkg-one.pem"]
    limits = {one["name"]: one["timeoutSeconds"] for one in discovery({})["handlers"]}
    assert limits[UPDATE_MACHINE.partition("/")[2]] > inplace._PATIENCE_SECONDS


async def test_work_that_is_cancelled_halfway_is_done_by_the_next_call(
    machines: Machines, client: Client, node: Any
) -> None:
    await machines.make("w-0")
    trust = await machines.take("one")
    first = extension(client)
    with busy(node):
        assert not is_done(await machines.ask(first, "w-0", trust))
        await first.close()
        assert await machines.applied("w-0") is None
    second = extension(client)
    await machines.update(second, "w-0", trust)
    assert ours(node) == ["tkg-one.pem"]
    assert NOT_FOUND in node.pull("one")


@contextlib.asynccontextmanager
async def living(trustplane: Trustplane, tls: tuple[ssl.SSLContext, list[str]]) -> AsyncIterator[Call]:
    """Run `trustplane extension` within the block and kill it at the end; yield a function that calls UpdateMachine."""
    context, arguments = tls
    async with trustplane.started("extension", *arguments) as process, aiohttp.ClientSession() as session:
        port = (await line(process, "serving runtime hooks"))["port"]

        async def call(request: Json) -> Json:
            url = f"https://127.0.0.1:{port}{path(UPDATE_MACHINE)}"
            async with session.post(url, json=request, ssl=context) as response:
                answer: Json = await response.json()
                return answer

        yield call
        process.kill()


@pytest.mark.timeout(300)  # starts processes
async def test_an_extension_killed_at_any_point_comes_to_the_same_end(
    machines: Machines,
    node: Any,
    trustplane: Trustplane,
    served: tuple[ssl.SSLContext, list[str]],
    foreign: Callable[[], str],
) -> None:
    random_, before = random.Random(0), foreign()  # noqa: S311  chooses when to kill
    await machines.make("w-0")
    first = await machines.take("one")
    request = await machines.request("w-0", first)
    with busy(node):
        async with living(trustplane, served) as call:
            assert (await call(request))["message"] == WRITING  # the script waits on the node
    for names in (("two",), ("one",)):
        request = await machines.request("w-0", await machines.take(*names))
        async with living(trustplane, served) as call:
            asked = asyncio.create_task(call(request))
            await asyncio.sleep(random_.uniform(0.1, 0.7))
        asked.cancel()  # a handshake whose peer is gone may wait for minutes
        await asyncio.gather(asked, return_exceptions=True)
        half = (
            "for f in /etc/ssl/certs/tkg-*.pem; do case $f in *theirs*) ;; *) openssl x509 -noout -in $f;; esac; done"
        )
        assert node.sh(half) == ""
    async with living(trustplane, served) as call:
        while not is_done(answer := await call(request)):
            assert answer["message"] == WRITING or "going on" in answer["message"], answer
    assert ours(node) == ["tkg-one.pem"]
    assert NOT_FOUND in node.pull("one")
    assert UNTRUSTED in node.pull("two")
    applied = await machines.applied("w-0")
    assert applied is not None
    assert applied.digest == first.digest
    assert foreign() == before


async def test_a_set_that_was_replaced_by_a_newer_one_is_not_written(
    machines: Machines, in_place: InPlace, node: Any
) -> None:
    await machines.make("w-0")
    old = await machines.take("one")
    await machines.take("two")
    assert is_done(await machines.ask(in_place, "w-0", old))
    assert (ours(node), await machines.applied("w-0")) == (["tkg-boot.pem"], None)


async def test_work_that_was_held_up_does_not_undo_a_newer_set(machines: Machines, client: Client, node: Any) -> None:
    await machines.make("w-0")
    old, late = await machines.take("one"), extension(client)
    with busy(node):
        assert (await machines.ask(late, "w-0", old))["message"] == WRITING
        new = await machines.take("two")
        node.sh("echo theirs >/etc/ssl/certs/tkg-other.pem")  # so that the node has to be looked at again
    await asyncio.gather(*late._tasks._running.values(), return_exceptions=True)
    node.sh("rm /etc/ssl/certs/tkg-other.pem")
    assert (ours(node), await machines.applied("w-0")) == (["tkg-boot.pem"], None)
    await machines.update(late, "w-0", new)
    assert ours(node) == ["tkg-two.pem"]


async def test_two_replicas_at_once_write_once(machines: Machines, client: Client, node: Any) -> None:
    await machines.make("w-0")
    replicas = [extension(client), extension(client)]
    await machines.update(replicas[0], "w-0", await machines.take("two"))
    trust = await machines.take("one")
    starts = "journalctl -u containerd -o cat | grep -c '^Started containerd'"
    before = int(node.sh(starts))
    await asyncio.gather(*(machines.update(one, "w-0", trust) for one in replicas))
    assert int(node.sh(starts)) == before + 1
    assert ours(node) == ["tkg-one.pem"]
    assert NOT_FOUND in node.pull("one")


async def test_a_request_that_is_behind_ends_no_update(machines: Machines, in_place: InPlace, node: Any) -> None:
    """Cluster API may ask with the files of the update before, while the next one has begun already."""
    await machines.make("a")
    before = await machines.take("one")
    await machines.configure("a", before)
    await machines.update(in_place, "a", before)
    wanted = await machines.take("two")
    await machines.configure("a", wanted)

    answer = await machines.ask(in_place, "a", before)
    assert not is_done(answer)
    assert "behind" in answer["message"]
    assert ours(node) == ["tkg-one.pem"]

    await machines.update(in_place, "a", wanted)
    assert ours(node) == ["tkg-two.pem"]
