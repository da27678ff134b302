"""Processes without a daemon: started once, found again by pid file, never confused with another process.

A pid file holds the boot id and the process's line of /proc/<pid>/stat. The process writes it before it executes the
program, so a crash never leaves a program without a pid file. The line contains the start time: a pid that the kernel
has reused, also after a reboot, does not match. Arguments and environment come from the kernel's record of the process
(/proc/<pid>/cmdline and environ), not from a file.
Source: proc_pid_stat(5), pidfd_open(2).
"""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trustplane.errors import HostError
from trustplane.kube.tasks import together
from trustplane_local import files

PROC = Path("/proc")
# Go programs collect garbage less often than by default: on one machine, CPU time is scarcer than memory.
GOGC = "400"
KILL_SECONDS = 30.0  # a killed process ends immediately unless it is blocked in the kernel
BOOT_ID = PROC / "sys/kernel/random/boot_id"

# Environment variables that mark the stack's processes and their children, and record the inputs of the start.
PART_VARIABLE = "TRUSTPLANE_PART"
REVISION_VARIABLE = "TRUSTPLANE_REVISION"

# $0 is the pid file, $@ the program with its arguments. /proc/$$/stat keeps pid and start time through exec.
LAUNCHER = f'cd / && cat {BOOT_ID} /proc/$$/stat > "$0.new" && mv -f "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Program:
    """A process that should run."""

    name: str  # of its pid file and log
    arguments: tuple[str, ...]  # the program's absolute path, then its arguments; never secrets
    inputs: tuple[Path, ...] = ()  # files that it reads only at start: a change requires a restart
    environment: Mapping[str, str] = field(default_factory=dict)  # in addition to the caller's environment

    def revision(self) -> str:
        """Return a digest of the inputs' contents."""
        return files.digest_of_files(self.inputs)


class Stat(NamedTuple):
    """The fields of /proc/<pid>/stat that distinguish processes."""

    pid: int
    state: str  # R, S, D, ...; Z and X: ended
    session: int
    started: int  # clock ticks since boot

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and is listed only until its parent waits for it."""
        return self.state in "ZX"


@dataclass(frozen=True)
class Running:
    """A running process of the stack."""

    pid: int
    started: int  # clock ticks since boot
    arguments: tuple[str, ...]
    revision: str


def parse_stat(line: str) -> Stat:
    """Parse /proc/<pid>/stat; the program's name may contain blanks and parentheses."""
    pid, _, rest = line.partition(" (")
    fields = rest.rpartition(")")[2].split()
    return Stat(pid=int(pid), state=fields[0], session=int(fields[3]), started=int(fields[19]))


def same_process(pid_file: str, boot: str, now: Stat) -> bool:
    """Return whether the process `now` wrote this pid file, in this boot, and still runs."""
    recorded_boot, _, line = pid_file.partition("\n")
    recorded = parse_stat(line)
    is_same = (recorded.pid, recorded.started) == (now.pid, now.started)
    return recorded_boot == boot.strip() and is_same and not now.has_ended


def difference(running: Running, arguments: tuple[str, ...], revision: str) -> str:
    """Return why a running process must be restarted; empty: it matches."""
    if running.arguments[:1] != arguments[:1]:
        return "the program has changed"
    if running.arguments != arguments:
        return "the arguments have changed"
    if running.revision != revision:
        return "the input files have changed since its start"
    return ""


def stat(pid: int, proc: Path = PROC) -> Stat | None:
    """Return the kernel's record of a process, or None if it does not exist."""
    try:
        return parse_stat((proc / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def started_seconds_ago(running: Running) -> float:
    """Return how long the process has been running, in seconds."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return uptime - running.started / os.sysconf("SC_CLK_TCK")


class Processes:
    """The processes of one folder, each with `<name>.pid` and `<name>.log`."""

    def __init__(self, folder: Path, mark: str) -> None:
        """Use this folder; `mark` identifies the stack and is shared by all of its processes."""
        self._folder = folder
        self._mark = mark

    def log(self, name: str) -> Path:
        """Return the file with the process's output."""
        return self._folder / f"{name}.log"

    def find(self, name: str) -> Running | None:
        """Return the process of that name, or None if it is not running."""
        try:
            text = self._pid_file(name).read_text()
            now = stat(parse_stat(text.partition("\n")[2]).pid)
        except (FileNotFoundError, ValueError, IndexError):
            return None
        if now is None or not same_process(text, BOOT_ID.read_text(), now):
            return None
        environment = _environment(now.pid)
        return Running(now.pid, now.started, _arguments(now.pid), environment.get(REVISION_VARIABLE, ""))

    def start(self, program: Program) -> int:
        """Start a process in a new session, which outlives the caller; return its pid.

        Raises:
            HostError: The program does not exist or is not executable.
        """
        if not os.access(program.arguments[0], os.X_OK):
            raise HostError(
                f"{program.name} cannot be started",
                why=f"{program.arguments[0]} does not exist or is not executable",
                next_step="Run `trustplane local build`, then `trustplane local up` again",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", LAUNCHER, str(self._pid_file(program.name)), *program.arguments],
            {"GOGC": GOGC, **os.environ, **program.environment, **self._marks(program)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(program.name)), log, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        )

    async def stop(self, name: str, *, grace: float) -> None:
        """End a process and its children in the same session; return when all have ended.

        Args:
            name: The process's name.
            grace: Seconds between SIGTERM and SIGKILL.
        """
        pid_file = self._pid_file(name)
        if running := self.find(name):
            await end(running.pid, running.started, grace=grace)
        await together(*(end(child.pid, child.started, grace=grace) for child in self._children(name)))
        pid_file.unlink(missing_ok=True)

    def strays(self) -> list[Stat]:
        """Return every process that carries this stack's mark."""
        return [process for process in _all_processes() if _mark_of(process.pid).startswith(f"{self._mark}/")]

    def _children(self, name: str) -> list[Stat]:
        """Return the processes of the session that this part leads, even if the leader has ended."""
        try:
            leader = parse_stat(self._pid_file(name).read_text().partition("\n")[2])
        except (FileNotFoundError, ValueError, IndexError):
            return []
        mark = f"{self._mark}/{name}"
        return [
            process for process in _all_processes() if process.session == leader.pid and _mark_of(process.pid) == mark
        ]

    def _marks(self, program: Program) -> dict[str, str]:
        return {PART_VARIABLE: f"{self._mark}/{program.name}", REVISION_VARIABLE: program.revision()}

    def _pid_file(self, name: str) -> Path:
        return self._folder / f"{name}.pid"


async def end(pid: int, started: int, *, grace: float) -> None:
    """End the process with this pid and start time: SIGTERM, then SIGKILL after `grace` seconds; wait for its end."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        now = stat(pid)
        if now is None or now.started != started:
            return
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if await ended(handle, seconds):
                return
    finally:
        os.close(handle)


async def ended(handle: int, seconds: float) -> bool:
    """Wait until the process of a pidfd has ended; return False if it still runs after that many seconds."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await asyncio.wait_for(over.wait(), seconds)
    except TimeoutError:
        return bool(select.select([handle], [], [], 0)[0])
    finally:
        loop.remove_reader(handle)
    return True


def _all_processes() -> Iterable[Stat]:
    processes = (stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in processes if process is not None and not process.has_ended]


def _mark_of(pid: int) -> str:
    return _environment(pid).get(PART_VARIABLE, "")


def _arguments(pid: int) -> tuple[str, ...]:
    return tuple(_strings(PROC / str(pid) / "cmdline"))


def _environment(pid: int) -> dict[str, str]:
    pairs = (variable.partition("=") for variable in _strings(PROC / str(pid) / "environ"))
    return {name: value for name, _, value in pairs}


def _strings(file: Path) -> list[str]:
    """Read a file of /proc with NUL-terminated strings."""
    try:
        return os.fsdecode(file.read_bytes()).split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
