"""The local stack's life: up, kills, crashes, a reboot, a second one beside it, down without a trace."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from trustplane_local import registry, residue
from trustplane_local import stack as stacks
from trustplane_local.podman import Podman
from trustplane_local.process import parse_stat
from trustplane_local.stack import Stack
from trustplane_local.supervisor import START_ORDER

Json = dict[str, Any]
T = TypeVar("T")
Local = Callable[..., "subprocess.CompletedProcess[str]"]


def status(local: Local, folder: Path) -> tuple[int, Json]:
    done = local("status", folder, "-o", "json")
    return done.returncode, json.loads(done.stdout)


def pids(status: Json) -> dict[str, int]:
    return {part["name"]: part["pid"] for part in status["parts"] if part.get("pid")}


def kubectl(stack: Stack, *arguments: str) -> str:
    command = [stack.bin / "kubectl", f"--kubeconfig={stack.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def until(probe: Callable[[], T | None], seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def kill(pids: Iterable[int]) -> None:
    """Kill processes and wait until they are gone, so that their ports are free."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            select.select([handle], [], [])
            os.close(handle)


def test_status_shows_every_part_ready(stack: Stack, local: Local) -> None:
    code, shown = status(local, stack.folder)
    assert [(part["name"], part.get("ready")) for part in shown["parts"]] == [(name, True) for name in START_ORDER]
    assert {one["name"]: one["state"] for one in shown["containers"]} == {
        one.name: "running" for one in registry.registries_of(stack)
    }
    assert (code, shown["clusters"]) == (0, [])
    table = local("status", stack.folder).stdout
    assert all(f"\n{name} " in table for name in START_ORDER)


def test_the_kubeconfig_is_complete_and_private(stack: Stack, local: Local) -> None:
    path = Path(local("kubeconfig", stack.folder, "--path").stdout.strip())
    assert path.stat().st_mode & 0o777 == 0o600
    assert local("kubeconfig", stack.folder).stdout == path.read_text()
    assert kubectl(stack, "get", "--raw", "/readyz") == "ok"
    absent = local("kubeconfig", stack.folder, "team/absent")
    assert absent.returncode == 2
    assert "team/absent" in absent.stderr


def test_what_clusters_need_is_installed(stack: Stack) -> None:
    assert kubectl(stack, "get", "clusterclass", "-A", "-o", "name").count("\n") == 1
    assert stack.kubernetes_version in kubectl(stack, "get", "tanzukubernetesreleases")


def test_the_registries_serve_their_image_to_their_user_alone(stack: Stack) -> None:
    for one in registry.registries_of(stack):
        image = f"docker://{one.address}/{one.image.partition('/')[2]}"
        inspect = ["skopeo", "inspect", f"--cert-dir={one.folder / 'certs.d'}"]
        credentials = f"--authfile={one.folder / 'auth.json'}"
        described = subprocess.run([*inspect, credentials, image], capture_output=True, text=True, check=True)
        assert json.loads(described.stdout)["Os"] == "linux"
        for refused, words in ((["--no-creds"], "authentication required"), ([credentials, "--cert-dir=/"], "x509")):
            done = subprocess.run([*inspect, *refused, image], capture_output=True, text=True, check=False)
            assert done.returncode != 0
            assert words in done.stderr
    corp, apps = registry.registries_of(stack)
    assert corp.ca.read_bytes() != apps.ca.read_bytes()
    assert corp.password_file.stat().st_mode & 0o777 == 0o600


def test_logs_of_processes_and_containers(stack: Stack, local: Local) -> None:
    assert local("logs", stack.folder, "etcd", "-n", "3").stdout.count("\n") == 3
    printed = local("logs", stack.folder, "registry-corp")
    assert "/v2/" in printed.stdout + printed.stderr
    wrong = local("logs", stack.folder, "nonsense")
    assert wrong.returncode == 2
    assert all(name in wrong.stderr for name in (*START_ORDER, "registry-corp"))


def test_up_leaves_what_runs_alone(stack: Stack, local: Local) -> None:
    before = pids(status(local, stack.folder)[1])
    assert local("up", stack.folder).returncode == 0
    assert pids(status(local, stack.folder)[1]) == before


@pytest.mark.parametrize("victims", [("etcd",), ("apiserver", *START_ORDER[2:])], ids=["etcd", "all-others"])
def test_up_repairs_what_was_killed(stack: Stack, local: Local, victims: tuple[str, ...]) -> None:
    before = pids(status(local, stack.folder)[1])
    kill(before[name] for name in victims)
    code, shown = status(local, stack.folder)
    assert code == 1
    assert not set(victims) & set(pids(shown))
    repaired = local("up", stack.folder)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    code, shown = status(local, stack.folder)
    assert code == 0
    changed = {name for name, pid in pids(shown).items() if before[name] != pid}
    # the manager ends by itself when it cannot renew its lease
    assert set(victims) <= changed <= {*victims, "manager"}


@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGSTOP])
def test_a_container_that_ended_while_its_monitor_could_not_tell_is_started_again(
    stack: Stack, local: Local, word: signal.Signals
) -> None:
    """Podman 4.3 goes by its monitor's word alone: where that never comes, it starts and removes nothing."""
    before = registry_pid(stack)
    monitor = int((Path("/proc") / str(before) / "stat").read_text().rpartition(")")[2].split()[1])
    os.kill(monitor, word)
    kill([before])
    try:
        if word == signal.SIGKILL:
            asyncio.run(Podman(stack).start(registry.registries_of(stack)[0].name))
        else:
            assert local("up", stack.folder).returncode == 0
    finally:
        kill([monitor])
    assert registry_pid(stack) != before
    assert status(local, stack.folder)[0] == 0


def registry_pid(stack: Stack) -> int:
    found = asyncio.run(Podman(stack).find(registry.registries_of(stack)[0].name))
    assert found is not None
    assert found.is_running
    return found.pid


def test_a_taken_port_is_named_with_its_holder_before_anything_is_started(stack: Stack, local: Local) -> None:
    kill([pids(status(local, stack.folder)[1])["kcm"]])
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", stack.ports["kcm"]))
        stranger.listen()
        refused = local("up", stack.folder)
    assert refused.returncode == 3
    assert f"port {stack.ports['kcm']} of kcm is held by" in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert local("up", stack.folder).returncode == 0


def test_another_subnet_for_a_stack_that_has_one_is_refused(stack: Stack, local: Local) -> None:
    refused = local("up", stack.folder, "--subnet=10.77.0.0/18")
    assert refused.returncode == 2
    assert stack.subnet in refused.stderr


@pytest.fixture(scope="module")
def second(stack: Stack, scratch: Path, local: Local) -> Iterator[Path]:
    """The folder of a stack beside the first, whose first `up` was killed when the apiserver had just been started."""
    assert stack.folder.exists()
    folder = scratch / "second"
    try:
        command = [sys.executable, "-m", "trustplane", "local", "up", f"--state={folder}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as crashing:
            until((folder / "processes" / "apiserver.pid").exists)
            crashing.kill()
        yield folder
    finally:
        local("down", folder)


def test_two_ups_at_once_after_a_crash_in_the_first_one(second: Path, stack: Stack, local: Local) -> None:
    command = [sys.executable, "-m", "trustplane", "local", "up", f"--state={second}"]
    ups = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    printed = [one.communicate()[0] for one in ups]
    assert [one.returncode for one in ups] == [0, 0], printed
    assert sum(f"Another command works on {second}" in one for one in printed) == 1
    assert status(local, second)[0] == 0
    assert status(local, stack.folder)[0] == 0
    other = stacks.read_stack(second)
    assert other is not None
    assert other.subnet != stack.subnet
    assert not set(other.ports.values()) & set(stack.ports.values())


def test_up_after_a_power_cut(second: Path, local: Local) -> None:
    """What a reboot leaves, short of one: no process, no mount, no bridge, and pid files of another boot."""
    other = stacks.read_stack(second)
    assert other is not None
    kill(one for one in processes_of(other))
    until(lambda: not processes_of(other))
    for mount in residue.parse_mounts(residue.MOUNTS.read_text(), [second]):
        subprocess.run(["umount", mount], check=True)
    subprocess.run(["ip", "link", "delete", other.network], check=True)
    for file in (second / "processes").glob("*.pid"):
        file.write_text("another-boot\n" + file.read_text().partition("\n")[2])
    repaired = local("up", second)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert status(local, second)[0] == 0


def test_a_corrupt_store_is_told_and_down_removes_every_trace(second: Path, stack: Stack, local: Local) -> None:
    other = stacks.read_stack(second)
    assert other is not None
    kill([pids(status(local, second)[1])["etcd"]])
    (second / "etcd" / "member" / "snap" / "db").write_bytes(b"not a database")
    broken = local("up", second)
    assert broken.returncode == 3
    assert "etcd ended right after its start" in broken.stderr
    assert "trustplane local down" in broken.stderr
    gone = local("down", second)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert traces(other) == []
    assert status(local, stack.folder)[0] == 0
    assert "There is no stack" in local("down", second).stdout


def traces(stack: Stack) -> list[str]:
    """Return what of a stack is left on this machine, from the kernel's point of view."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    places = [stack.folder, Path("/run/trustplane") / stack.id]
    return [
        *(f"process {pid}" for pid in processes_of(stack)),
        *residue.parse_mounts(residue.MOUNTS.read_text(), places),
        *(str(place) for place in (*places, stack.cache / "stacks" / stack.id) if place.exists()),
        *([stack.network] if (Path("/sys/class/net") / stack.network).exists() else []),
        *(rule for rule in rules.splitlines() if stack.subnet in rule or stack.network in rule),
    ]


def processes_of(stack: Stack) -> list[int]:
    """Return every process that has to do with a stack: by its command line, or as one of a container."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            root = (entry / "mountinfo").read_text().partition("\n")[0]  # a container's names its upper folder
            alive = not parse_stat((entry / "stat").read_text()).has_ended
            if alive and str(stack.folder) in (entry / "cmdline").read_text() + root:
                found.append(int(entry.name))
    return found
