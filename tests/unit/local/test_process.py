import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import HostError
from trustplane_local import process
from trustplane_local.process import Processes, Program, Running, difference, parse_stat, same_process

T = TypeVar("T")
SLEEP = ("/bin/sleep", "60")
STAT = "{pid} ({name}) {state} 1 {pid} {session} 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 {started} 1000 100 18446744"


def stat_line(pid: int = 7, name: str = "sh", state: str = "S", started: int = 42) -> str:
    return STAT.format(pid=pid, name=name, state=state, session=pid, started=started)


@given(st.integers(1, 2**22), st.text(st.characters(codec="ascii", exclude_characters="\0\n"), max_size=15))
def test_a_stat_line_is_read_whatever_the_program_is_called(pid: int, name: str) -> None:
    assert parse_stat(stat_line(pid, name, "R", 99)) == (pid, "R", pid, 99)


@pytest.mark.parametrize(
    ("boot", "now", "same"),
    [
        ("b1\n", stat_line(), True),
        ("b1\n", stat_line(name="etcd"), True),
        ("b2\n", stat_line(), False),
        ("b1\n", stat_line(started=43), False),
        ("b1\n", stat_line(pid=8), False),
        ("b1\n", stat_line(state="Z"), False),
    ],
    ids=["same", "same-after-exec", "after-reboot", "recycled-pid", "other-pid", "zombie"],
)
def test_only_the_process_that_wrote_a_pid_file_is_recognised(boot: str, now: str, *, same: bool) -> None:
    assert same_process(f"b1\n{stat_line()}", boot, parse_stat(now)) is same


@pytest.mark.parametrize(
    ("arguments", "revision", "words"),
    [
        (("/a/etcd", "--x"), "r1", ""),
        (("/b/etcd", "--x"), "r1", "program"),
        (("/a/etcd", "--y"), "r1", "arguments"),
        (("/a/etcd", "--x"), "r2", "files"),
    ],
)
def test_a_changed_program_its_arguments_or_its_inputs_require_a_restart(
    arguments: tuple[str, ...], revision: str, words: str
) -> None:
    found = difference(Running(1, 1, ("/a/etcd", "--x"), "r1"), arguments, revision)
    assert words in found
    assert bool(found) is bool(words)


def test_the_revision_follows_the_content_of_the_inputs(tmp_path: Path) -> None:
    program = Program("one", SLEEP, (tmp_path / "certificate",))
    missing = program.revision()
    (tmp_path / "certificate").write_text("old")
    old = program.revision()
    (tmp_path / "certificate").write_text("new")
    assert len({missing, old, program.revision()}) == 3


def until(probe: Callable[[], T | None]) -> T:
    """Return what the probe returns once that is something; the kernel sends no event for an exec."""
    deadline = time.monotonic() + 10
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def running(processes: Processes, name: str) -> Running:
    """Return the process once it has become its program."""

    def probe() -> Running | None:
        found = processes.find(name)
        return found if found and found.arguments[:1] not in ((), ("sh",)) else None

    return until(probe)


def printed(processes: Processes, name: str) -> str:
    return until(lambda: processes.log(name).read_text().strip() if processes.log(name).exists() else None)


async def test_a_process_is_found_again_and_ended(tmp_path: Path) -> None:
    pid = Processes(tmp_path, "test").start(Program("one", SLEEP))
    found = running(Processes(tmp_path, "test"), "one")
    assert (found.pid, found.arguments) == (pid, SLEEP)
    assert os.getsid(pid) == pid
    await Processes(tmp_path, "test").stop("one", grace=5)
    assert Processes(tmp_path, "test").find("one") is None
    assert not (tmp_path / "one.pid").exists()


async def test_what_a_killed_process_started_in_its_session_is_ended_too(tmp_path: Path) -> None:
    processes = Processes(tmp_path, f"test-{os.getpid()}")
    command = ("/bin/sh", "-c", "sleep 60 & echo $! >&2; wait")
    processes.start(Program("parent", command))
    leader = running(processes, "parent")
    child = printed(processes, "parent")
    os.kill(leader.pid, signal.SIGKILL)
    await processes.stop("parent", grace=5)
    found = process.stat(int(child))
    assert found is None or found.state == "Z"
    assert processes.strays() == []


async def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path, "test")
    processes.start(Program("stubborn", ("/bin/sh", "-c", "trap '' TERM; echo set; while :; do sleep 1; done")))
    assert printed(processes, "stubborn") == "set"
    await processes.stop("stubborn", grace=0.1)
    assert processes.find("stubborn") is None


async def test_a_strangers_process_is_never_ended(tmp_path: Path) -> None:
    boot = process.BOOT_ID.read_text()
    ours = process.stat(os.getpid())
    assert ours is not None
    (tmp_path / "one.pid").write_text(boot + stat_line(os.getpid(), "python", "S", ours.started + 1))
    await Processes(tmp_path, "test").stop("one", grace=0)
    assert process.stat(os.getpid()) is not None


@pytest.mark.parametrize("content", ["", "garbage", "boot\n12", "boot\n12 (x"])
def test_a_broken_pid_file_is_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "one.pid").write_text(content)
    assert Processes(tmp_path, "test").find("one") is None


def test_a_missing_program_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="local build"):
        Processes(tmp_path, "test").start(Program("one", (str(tmp_path / "absent"),)))


async def test_revision_and_environment_reach_the_process(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_text("1")
    program = Program("one", ("/bin/sh", "-c", "echo $EXTRA; sleep 60"), (source,), {"EXTRA": "yes"})
    processes = Processes(tmp_path, "test")
    processes.start(program)
    try:
        found = running(processes, "one")
        assert found.revision == program.revision()
        assert printed(processes, "one") == "yes"
    finally:
        await processes.stop("one", grace=5)
