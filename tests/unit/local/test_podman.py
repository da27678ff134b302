import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane_local import podman
from trustplane_local.podman import DesiredContainer, Mount, ObservedContainer, Podman
from trustplane_local.stack import Stack

CONTAINER = DesiredContainer(
    name="one",
    command=("/bin/program", "--flag"),
    address="198.18.64.10",
    labels={"b": "2", "a": "1"},
    mounts=(Mount(Path("/here"), "/there"), Mount(Path("/disk"), "/data", writable=True)),
    options=("--privileged",),
)


def test_a_world_is_in_the_stacks_folder_except_what_a_reboot_must_remove(stack: Stack) -> None:
    files = podman.podman_configuration(stack)
    assert set(files) == {"containers.conf", "storage.conf", "networks/tp-0a1b2c3d.json"}
    folder = stack.folder / "podman"
    for line in (files["containers.conf"] + files["storage.conf"]).splitlines():
        if "/" in line:
            assert str(folder) in line or line == 'tmp_dir = "/run/trustplane/0a1b2c3d"'
    assert f'runroot = "{folder}/run"' in files["storage.conf"]


def test_the_network_has_the_stacks_subnet_and_a_bridge_of_its_own(stack: Stack) -> None:
    other = msgspec.structs.replace(stack, id="ffffffff")
    network, others = (
        json.loads(podman.podman_configuration(one)[f"networks/{one.network}.json"]) for one in (stack, other)
    )
    assert network["subnets"] == [{"subnet": "198.18.64.0/18", "gateway": "198.18.64.1"}]
    assert network["labels"] == {"trustplane.dev/stack": "0a1b2c3d"}
    assert network["network_interface"] == "tp-0a1b2c3d"
    assert len(network["network_interface"]) <= 15  # the kernel's IFNAMSIZ, less its final zero byte
    assert len(network["id"]) == 64
    assert network["id"] != others["id"]
    assert network["network_interface"] != others["network_interface"]


def test_a_container_is_run_from_the_stacks_root_file_system(stack: Stack) -> None:
    assert podman.run_arguments(stack, CONTAINER, 1024, 512) == [
        *("run", "--detach", "--name", "one", "--network", "tp-0a1b2c3d"),
        *("--cgroup-parent", "/trustplane-0a1b2c3d", "--ip", "198.18.64.10"),
        *("--label", "trustplane.dev/stack=0a1b2c3d", "--label", "a=1", "--label", "b=2"),
        *("--volume", "/here:/there:ro", "--volume", "/disk:/data:rw"),
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=512:512"),
        *("--privileged", "--rootfs", f"{stack.rootfs}:O", "/bin/program", "--flag"),
    ]


@given(st.integers(1, 2**40), st.integers(1, 2**40))
def test_limits_are_never_raised_above_our_own(files: int, processes: int) -> None:
    stack = Stack(
        id="0a1b2c3d",
        folder=Path("/s"),
        cache=Path("/c"),
        bin=Path("/b"),
        rootfs=Path("/r"),
        images=Path("/i"),
        kubernetes_version="v1.36.3",
        subnet="198.18.64.0/18",
        ports={},
    )
    arguments = podman.run_arguments(stack, CONTAINER, files, processes)
    limits = dict(one.split("=") for one in arguments if one.startswith(("nofile=", "nproc=")))
    soft_files, hard_files = map(int, limits["nofile"].split(":"))
    soft_processes, hard_processes = map(int, limits["nproc"].split(":"))
    assert soft_files == hard_files <= files
    assert soft_processes == hard_processes <= processes


def test_nothing_of_our_environment_reaches_podman_but_where_programs_are() -> None:
    ours = {"PATH": "/bin", "HOME": "/root", "http_proxy": "http://u:p@x", "CONTAINER_HOST": "ssh://x", "TOKEN": "t"}
    assert podman.podman_environment(Path("/f"), ours) == {
        "PATH": "/bin",
        "HOME": "/root",
        "CONTAINERS_CONF": "/f/containers.conf",
        "CONTAINERS_STORAGE_CONF": "/f/storage.conf",
    }


def test_an_error_is_shown_without_podmans_noise() -> None:
    complaint = "failed to connect to syslog: Initialization\nError: runc: no such file\n"
    assert podman.extract_errors(complaint) == "runc: no such file"
    assert podman.extract_errors("something else\n") == "something else"


def test_podmans_listing_is_read_whatever_else_is_in_it() -> None:
    text = b"""[{"Pod":"","ExitCode":137,"Id":"1","Labels":{"a":"b"},"Names":["one"],"State":"exited","Pid":0},
    {"Id":"2","Labels":null,"Names":["two"],"State":"running"}]"""
    exited, running = msgspec.json.decode(text, type=list[ObservedContainer])
    assert (exited.name, exited.is_running, exited.exit_code) == ("one", False, 137)
    assert running.is_running


def test_a_container_whose_process_is_gone_does_not_run(tmp_path: Path) -> None:
    for pid, state in ((12, "S"), (14, "Z")):  # nobody has waited for the end of the second one yet
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (registry) {state} 1 1 1 {' 0' * 15} 77 0\n")
    found = {pid: ObservedContainer(id="1", names=["one"], state="running", pid=pid) for pid in (12, 13, 14)}
    believed = {pid: podman.correct_state(one, tmp_path) for pid, one in found.items()}
    assert {pid: one.is_running for pid, one in believed.items()} == {12: True, 13: False, 14: False}
    assert {pid: one.ended_untold for pid, one in believed.items()} == {12: False, 13: True, 14: True}


def test_an_end_that_podman_knows_is_not_told_again(tmp_path: Path) -> None:
    assert not podman.correct_state(ObservedContainer(id="1", names=["one"], state="exited"), tmp_path).ended_untold


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A podman with one container, and how often it was asked for all."""
    calls, program = tmp_path / "calls", tmp_path / "bin" / "podman"
    program.parent.mkdir()
    shown = json.dumps([{"Id": "i", "Names": ["one"], "State": "running"}])
    program.write_text(f'#!/bin/sh\necho "$1" >>{calls}\n[ "$1" != ps ] || echo \'{shown}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    return lambda: calls.read_text().split().count("ps")


async def test_who_asks_again_soon_has_what_was_seen(stack: Stack, looks: Callable[[], int]) -> None:
    podman_ = Podman(stack)
    found = await asyncio.gather(*(podman_.find("one", recently=60) for _ in range(9)))
    assert {one.name for one in found if one} == {"one"}
    assert await podman_.find("two", recently=60) is None
    assert looks() == 1
    await podman_.find("one")
    assert looks() == 2


async def test_what_was_changed_since_is_looked_at_again(stack: Stack, looks: Callable[[], int]) -> None:
    podman_ = Podman(stack)
    await podman_.find("one", recently=60)
    await podman_.signal("one", "USR2")
    await podman_.find("one", recently=60)
    assert looks() == 2


async def test_a_look_during_a_change_is_not_kept(stack: Stack, looks: Callable[[], int]) -> None:
    podman_ = Podman(stack)
    await asyncio.gather(podman_.find("one", recently=60), podman_.signal("one", "USR2"))
    await podman_.find("one", recently=60)
    assert looks() == 2
