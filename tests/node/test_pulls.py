"""Changes of trust during pulls on a real node: none of the kubelet's pulls fails. A script of `ctr` plays it."""

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
# Before the script checks again, once it has found pulls.
_AGAIN = "    first=$pulls\n"
_RESTART = "systemctl restart containerd ||"
# Within the script: the pause may be over before a busy machine inspects the node.
_NOTE_PAUSE = "sed 's/.*) //' /proc/$paused/stat >/run/paused"
# Begins a pull every 0.2 s, whether others have ended or not. Each takes about 0.4 s.
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
    """A pull of its own image that stalls on the way."""

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

    def unblock(self) -> None:
        self._node.sh(f"rm -f {STALL}/{self._gate}")

    def succeeds(self) -> bool:
        """Wait for the end of the pull, and return whether it succeeded."""
        ended = f"{STALL}/ended-{self._name}"
        self._node.until(f"test -s {ended}")
        return bool(self._node.sh(f"cat {ended}") == "0\n")


@contextlib.contextmanager
def pulls(node: Any, unit: str, start: str = ":") -> Iterator[None]:
    """Have a unit begin pulls all the time within the block, and wait for the last one at its end."""
    try:
        node.sh(start)
        node.until("ls /run/pulls/*.pulled")
        yield
    finally:
        node.sh(f"touch /run/enough; systemctl kill -s CONT {unit} || true")
        node.until(f"! systemctl is-active {unit}")


@pytest.fixture
def script(node: Any, registry: None) -> str:  # noqa: ARG001  the script pulls from it
    node.sh(f"rm -rf /run/enough /run/pulls; cat >/srv/pulls.sh <<'END'\n{_PULLS}\nEND\n")
    return "/bin/sh /srv/pulls.sh"


@pytest.fixture
def pulling_kubelet(node: Any, script: str) -> Iterator[None]:
    """Have a unit with the kubelet's name pull all the time."""
    with kubelet(node, script), pulls(node, "kubelet"):
        yield


@pytest.fixture
def waits(node: Any, registry: None, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: ARG001  makes the folder
    """Have the script create a file on the node when it begins to wait for pulls; return the file's path."""
    file = f"{STALL}/waits"
    assert _AGAIN in trust._SCRIPT
    monkeypatch.setattr(trust, "_SCRIPT", trust._SCRIPT.replace(_AGAIN, f"{_AGAIN}    touch {file}\n"))
    node.sh(f"rm -f {file}")
    return file


def failures(node: Any) -> str:
    """Wait until another pull has succeeded; return the messages of all that have failed."""
    node.sh("ls /run/pulls >/run/before")
    node.until("ls /run/pulls | grep pulled | grep -vxFf /run/before")
    return str(node.sh("grep -h . /run/pulls/*.failed 2>/dev/null || true"))


@contextlib.asynccontextmanager
async def changing(node: Any, shell: Any, *names: str) -> AsyncIterator[asyncio.Task[trust.Result]]:
    """Change the node's trust while the block runs."""
    task = asyncio.create_task(trust.apply(shell, node.trusting(*names)))
    try:
        yield task
    finally:
        await asyncio.gather(task, return_exceptions=True)


async def until(node: Any, script: str) -> None:
    await asyncio.to_thread(node.until, script)


@pytest.mark.parametrize("stage", ["manifest", "blob"])  # a pull that resolves has no ingest
async def test_a_pull_under_way_is_waited_for(node: Any, shell: Any, waits: str, stage: str) -> None:
    pull, run = Pull(node, f"waited-{stage}", stage), node.invocation()
    pull.begin()
    async with changing(node, shell, "two") as change:
        await until(node, f"test -e {waits}")
        assert node.invocation() == run
        pull.unblock()
        assert (await change).restarted
    assert pull.succeeds()
    assert node.invocation() != run


@pytest.mark.usefixtures("pulling_kubelet")
async def test_a_pull_that_hangs_is_cut_and_does_not_delay_the_next_change(node: Any, shell: Any, waits: str) -> None:
    pull, run = Pull(node, "hangs", "manifest"), node.invocation()
    pull.begin()
    assert (await trust.apply(shell, node.trusting("two"))).restarted
    assert node.invocation() != run
    assert not pull.succeeds()
    pull.unblock()
    assert not node.is_kubelet_paused()
    node.sh("touch /run/enough")
    node.until("! systemctl is-active kubelet")  # nothing else is pulled
    node.sh(f"rm {waits}")
    assert (await trust.apply(shell, node.trusting("one"))).restarted
    assert "No such file" in node.sh(f"ls {waits}", check=False)


@pytest.mark.usefixtures("pulling_kubelet")
async def test_no_pull_of_a_kubelet_fails_while_trust_changes_again_and_again(node: Any, shell: Any) -> None:
    for n in range(10):
        assert (await trust.apply(shell, node.trusting(("one", "two")[n % 2]))).restarted
        assert failures(node) == "", f"change {n}"
        assert not node.is_kubelet_paused()


async def test_pulls_of_other_clients_do_fail(node: Any, shell: Any, script: str) -> None:
    """The control of the test above: the same pulls, by a unit of another name."""
    with pulls(node, "pulls", f"systemd-run --quiet --collect --unit=pulls {script}"):
        assert (await trust.apply(shell, node.trusting("two"))).restarted
        assert failures(node) != ""


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_resumes_when_the_script_is_killed_during_the_pause(
    node: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = trust._SCRIPT.replace(_RESTART, f"{_NOTE_PAUSE}; kill -9 0; {_RESTART}")
    monkeypatch.setattr(trust, "_SCRIPT", killed)
    with pytest.raises((NodeError, TransientError)):
        await trust.apply(shell, node.trusting("two"))
    assert node.sh("cut -c 1 /run/paused") == "T\n"
    node.await_kubelet()
    assert failures(node) == ""


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_resumes_although_the_script_hangs(
    node: Any, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = trust._SCRIPT.replace(
        _RESTART, f"{_NOTE_PAUSE}; echo $$ >/run/script; until test -e /run/go; do sleep 0.1; done; {_RESTART}"
    )
    monkeypatch.setattr(trust, "_SCRIPT", hanging)
    async with changing(node, shell, "two") as change:
        await until(node, "test -s /run/script")
        assert node.sh("cut -c 1 /run/paused") == "T\n"
        await asyncio.to_thread(node.await_kubelet)
        assert not change.done()
        node.sh("touch /run/go")
        assert (await change).restarted
    node.sh("rm /run/go /run/script")


@pytest.mark.usefixtures("pulling_kubelet")
async def test_the_kubelet_resumes_when_containerd_does_not_come_up_again(node: Any, shell: Any) -> None:
    config = "/etc/containerd/config.toml"
    node.sh(f"cp {config} /root/config.toml; echo '[' >>{config}")
    try:
        with pytest.raises(NodeError, match="could not be read or changed") as raised:
            await trust.apply(shell, node.trusting("two"))
        assert re.search("restart containerd|wait for containerd|containerd.service failed", raised.value.why or "")
        node.await_kubelet()
    finally:
        node.sh(f"cp /root/config.toml {config}; systemctl reset-failed containerd; systemctl restart containerd")
    assert (await trust.apply(shell, node.trusting("one"))).restarted


@pytest.mark.usefixtures("pulling_kubelet")
async def test_a_kubelet_stopped_by_an_administrator_stays_stopped(node: Any, shell: Any) -> None:
    node.sh("systemctl kill --kill-who=main -s STOP kubelet")
    node.until("! ls /run/pulls | grep log")
    assert (await trust.apply(shell, node.trusting("two"))).restarted
    assert node.is_kubelet_paused()
