"""Changes of trust beside pulls, on a real node: no pull fails of them. A script plays the kubelet, with ctr."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.node.conftest import kubelet

from trustplane.errors import NodeError, TransientError
from trustplane.nodes import trust

PORT = 7000
STALL = "/run/stall"
# The script has looked, has seen a pull, and goes on to wait.
WAITS = "test -e /etc/trustplane/calm"
_RESTART = "systemctl restart containerd ||"
# Begins a pull every fifth of a second, whether others have ended or not. Each takes some four tenths.
_PULLS = f"""\
mkdir /run/pulls
until test -e /run/enough; do
    n=$((${{n:-0}} + 1))
    {{
        image=127.0.0.1:{PORT}/slow-$(cat /proc/sys/kernel/random/uuid):v
        ctr -n k8s.io images pull --plain-http $image >/run/pulls/$n.log 2>&1 && end=pulled || end=failed
        mv /run/pulls/$n.log /run/pulls/$n.$end
    }} &
    sleep 0.2
done
wait
"""


@pytest.fixture(scope="module")
def registry(node: Any) -> Iterator[None]:
    node.sh(f"cat >/srv/stalling.py <<'END'\n{Path(__file__).with_name('stalling.py').read_text()}\nEND\n")
    node.sh(f"systemd-run --quiet --unit=stalling python3 /srv/stalling.py {PORT}")
    node.until(f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {PORT}))'")
    yield
    node.sh("systemctl stop stalling")


class Pull:
    """One pull that stalls on the way, of an image of its own."""

    def __init__(self, node: Any, name: str, stage: str) -> None:
        self._node, self._name, self._gate = node, name, f"{stage}-{name}"

    def begin(self) -> None:
        image = f"127.0.0.1:{PORT}/{self._name}:v"
        self._node.sh(f"""
            touch {STALL}/{self._gate}
            systemd-run --quiet --collect --unit=pull sh -c '
                ctr -n k8s.io images pull --plain-http {image}; echo $? >{STALL}/ended-{self._name}'
        """)
        self._node.until(f"test -e {STALL}/asked-{self._gate}")

    def go_on(self) -> None:
        self._node.sh(f"rm -f {STALL}/{self._gate}")

    def succeeds(self) -> bool:
        """Wait for the pull's end."""
        ended = f"{STALL}/ended-{self._name}"
        self._node.until(f"test -s {ended}")
        return bool(self._node.sh(f"cat {ended}") == "0\n")


@contextlib.contextmanager
def pulls(node: Any, unit: str, start: str = ":") -> Iterator[None]:
    """Have pulls begin all the time within the block, out of a unit; and end at its end, so that none is left over."""
    try:
        node.sh(start)
        node.until("ls /run/pulls/*.pulled")
        yield
    finally:
        node.sh(f"touch /run/enough; systemctl kill -s CONT {unit} || true")
        node.until(f"! systemctl is-active {unit}")


@pytest.fixture
def script(node: Any, registry: None) -> str:  # noqa: ARG001  it is asked
    node.sh(f"rm -rf /run/enough /run/pulls; cat >/srv/pulls.sh <<'END'\n{_PULLS}\nEND\n")
    return "/bin/sh /srv/pulls.sh"


@pytest.fixture
def pulling_kubelet(node: Any, script: str) -> Iterator[None]:
    """A unit of the kubelet's name that pulls all the time."""
    with kubelet(node, script), pulls(node, "kubelet"):
        yield


def failures(node: Any) -> str:
    """Wait until pulls have begun and ended since; return what those said that have failed."""
    node.sh("ls /run/pulls >/run/before")
    node.until("ls /run/pulls | grep pulled | grep -vxFf /run/before")
    return str(node.sh("grep -h . /run/pulls/*.failed 2>/dev/null || true"))


@contextlib.asynccontextmanager
async def changing(node: Any, shell: Any, *names: str) -> AsyncIterator[asyncio.Task[trust.Result]]:
    """Change the node's trust within the block, beside it."""
    task = asyncio.create_task(trust.apply(shell, node.trusting(*names)))
    try:
        yield task
    finally:
        await asyncio.gather(task, return_exceptions=True)


async def until(node: Any, script: str) -> None:
    await asyncio.to_thread(node.until, script)


@pytest.mark.parametrize("stage", ["manifest", "blob"])  # while it resolves there is no ingest
@pytest.mark.usefixtures("registry")
async def test_a_pull_under_way_is_waited_for(node: Any, shell: Any, stage: str) -> None:
    pull, run = Pull(node, f"waited-{stage}", stage), node.invocation()
    pull.begin()
    async with changing(node, shell, "two") as change:
        await until(node, WAITS)
        assert node.invocation() == run
        pull.go_on()
        assert (await change).restarted
    assert pull.succeeds()
    assert node.invocation() != run


@pytest.mark.usefixtures("pulling_kubelet")
async def test_a_pull_that_hangs_holds_nothing_up_for_ever_and_the_next_change_not_at_all(
    node: Any, shell: Any
) -> None:
    pull, run = Pull(node, "hangs", "manifest"), node.invocation()
    pull.begin()
    assert (await trust.apply(shell, node.trusting("two"))).restarted
    assert node.invocation() != run
    assert not pull.succeeds()
    pull.go_on()
    assert not node.kubelet_is_held()
    node.sh("touch /run/enough")
    node.until("! systemctl is-active kubelet")  # nothing else is pulled
    assert (await trust.apply(shell, node.trusting("one"))).restarted
    assert "No such file" in node.sh("ls /etc/trustplane/calm", check=False)


@pytest.mark.usefixtures("pulling_kubelet")
async def test_no_pull_of_a_kubelet_fails_while_trust_changes_again_and_again(node: Any, shell: Any) -> None:
    for n in range(10):
        assert (await trust.apply(shell, node.trusting(("one", "two")[n % 2]))).restarted
        assert failures(node) == "", f"change {n}"
        assert not node.kubelet_is_held()


async def test_pulls_that_nobody_holds_do_fail(node: Any, shell: Any, script: str) -> None:
    """So that the test above shows something: the same pulls, of a unit of another name."""
    with pulls(node, "pulls", f"systemd-run --quiet --collect --unit=pulls {script}"):
        assert (await trust.apply(shell, node.trusting("two"))).restarted
        assert failures(node) != ""


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_goes_on_when_the_script_is_killed_while_it_is_held(
    node: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = trust._SCRIPT.replace(_RESTART, f"sed 's/.*) //' /proc/$held/stat >/run/held; kill -9 0; {_RESTART}")
    monkeypatch.setattr(trust, "_SCRIPT", killed)
    with pytest.raises((NodeError, TransientError)):
        await trust.apply(shell, node.trusting("two"))
    assert node.sh("cut -c 1 /run/held") == "T\n"
    node.kubelet_goes_on()
    assert failures(node) == ""


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_goes_on_though_the_script_hangs(
    node: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = trust._SCRIPT.replace(
        _RESTART, f"echo $$ >/run/script; until test -e /run/go; do sleep 0.1; done; {_RESTART}"
    )
    monkeypatch.setattr(trust, "_SCRIPT", hanging)
    async with changing(node, shell, "two") as change:
        await until(node, "test -s /run/script")
        assert node.kubelet_is_held()
        await asyncio.to_thread(node.kubelet_goes_on)
        assert not change.done()
        node.sh("touch /run/go")
        assert (await change).restarted
    node.sh("rm /run/go /run/script")


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_goes_on_when_containerd_does_not_come_up_again(node: Any, shell: Any) -> None:
    config = "/etc/containerd/config.toml"
    node.sh(f"cp {config} /root/config.toml; echo '[' >>{config}")
    try:
        with pytest.raises(NodeError, match="could not be read or changed") as raised:
            await trust.apply(shell, node.trusting("two"))
        assert re.search("restart containerd|wait for containerd|containerd.service failed", raised.value.why or "")
        node.kubelet_goes_on()
    finally:
        node.sh(f"cp /root/config.toml {config}; systemctl reset-failed containerd; systemctl restart containerd")
    assert (await trust.apply(shell, node.trusting("two"))).restarted


@pytest.mark.usefixtures("pulling_kubelet")
async def test_a_kubelet_that_an_administrator_has_stopped_stays_stopped(node: Any, shell: Any) -> None:
    node.sh("systemctl kill --kill-who=main -s STOP kubelet")
    node.until("! ls /run/pulls | grep log")
    assert (await trust.apply(shell, node.trusting("two"))).restarted
    assert node.kubelet_is_held()
