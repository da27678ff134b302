"""Processes without a daemon: started once, found again through a pid file, never mistaken for another.

A pid file holds the boot's id and the process's own line of /proc/<pid>/stat. It is written by the process itself
before it becomes the program, so no crash leaves a program without one; and since the line has the start time, a pid
that the kernel gave to somebody else later, or after a reboot, is never taken for ours. What runs is judged by the
kernel's record of it (/proc/<pid>/cmdline and environ), not by a file.
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
# Go's programs collect garbage less often than by default: on one machine, time is scarcer than memory.
GOGC = "400"
KILL_SECONDS = 30.0  # a killed process is gone at once, unless the kernel holds it
BOOT_ID = PROC / "sys/kernel/random/boot_id"

# Variables that mark our processes and everything they start, and say what the process was started with.
PART_VARIABLE = "TRUSTPLANE_PART"
REVISION_VARIABLE = "TRUSTPLANE_REVISION"

# $0 is the pid file, $@ the program with its arguments. /proc/$$/stat keeps pid and start time through exec.
LAUNCHER = f'cd / && cat {BOOT_ID} /proc/$$/stat > "$0.new" && mv -f "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Program:
    """A process that is wanted."""

    name: str  # of its pid file and log
    arguments: tuple[str, ...]  # the program's absolute path, then its arguments; never secrets
    inputs: tuple[Path, ...] = ()  # files that it reads at its start only: another content calls for a restart
    environment: Mapping[str, str] = field(default_factory=dict)  # added to ours

    def revision(self) -> str:
        """Return a digest of the inputs' content."""
        return files.digest_of_files(self.inputs)


class Stat(NamedTuple):
    """The fields of /proc/<pid>/stat that tell processes apart."""

    pid: int
    state: str  # R, S, D, ...; Z and X: it ended
    session: int
    started: int  # clock ticks after boot

    @property
    def has_ended(self) -> bool:
        """Whether it is only listed, because nobody has waited for its end yet."""
        return self.state in "ZX"


@dataclass(frozen=True)
class Running:
    """A process of ours that runs."""

    pid: int
    started: int  # clock ticks after boot
    arguments: tuple[str, ...]
    revision: str


def parse_stat(line: str) -> Stat:
    """Parse /proc/<pid>/stat; the program's name in it may hold blanks and brackets."""
    pid, _, rest = line.partition(" (")
    fields = rest.rpartition(")")[2].split()
    return Stat(pid=int(pid), state=fields[0], session=int(fields[3]), started=int(fields[19]))


def same_process(pid_file: str, boot: str, now: Stat) -> bool:
    """Tell whether a process seen now is the one that wrote this pid file."""
    then_boot, _, line = pid_file.partition("\n")
    then = parse_stat(line)
    return then_boot == boot.strip() and (then.pid, then.started) == (now.pid, now.started) and not now.has_ended


def difference(running: Running, arguments: tuple[str, ...], revision: str) -> str:
    """Return why a running process is not what is wanted, or nothing."""
    if running.arguments[:1] != arguments[:1]:
        return "another program is wanted"
    if running.arguments != arguments:
        return "other arguments are wanted"
    if running.revision != revision:
        return "files that it read at its start have changed"
    return ""


def stat(pid: int, proc: Path = PROC) -> Stat | None:
    """Return what the kernel says of that process, or None where there is none."""
    try:
        return parse_stat((proc / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def started_seconds_ago(running: Running) -> float:
    """Return for how long the process has run, in seconds."""
    uptime = float((PROC / "uptime").read_text().split()[0])
    return uptime - running.started / os.sysconf("SC_CLK_TCK")


class Processes:
    """The processes of one folder: `<name>.pid` and `<name>.log` of each."""

    def __init__(self, folder: Path, mark: str) -> None:
        """Remember where; `mark` is the same for all processes of one stack and for no other's."""
        self._folder = folder
        self._mark = mark

    def log(self, name: str) -> Path:
        """Return the file that holds what the process printed."""
        return self._folder / f"{name}.log"

    def find(self, name: str) -> Running | None:
        """Return the process of that name where it runs."""
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
        """Start a process in a session of its own that outlives ours; return its pid.

        Raises:
            HostError: the program is not there.
        """
        if not os.access(program.arguments[0], os.X_OK):
            raise HostError(
                f"{program.name} cannot be started",
                why=f"{program.arguments[0]} is not there or not executable",
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
        """End the process and what it started in its session; return when all are gone.

        Args:
            name: which.
            grace: seconds between SIGTERM and SIGKILL.
        """
        pid_file = self._pid_file(name)
        if running := self.find(name):
            await end(running.pid, running.started, grace=grace)
        await together(*(end(one.pid, one.started, grace=grace) for one in self._children(name)))
        pid_file.unlink(missing_ok=True)

    def strays(self) -> list[Stat]:
        """Return every process that carries this stack's mark."""
        return [one for one in _all_processes() if _mark_of(one.pid).startswith(f"{self._mark}/")]

    def _children(self, name: str) -> list[Stat]:
        """Return the processes of the session that this part led, also when it is dead itself."""
        try:
            leader = parse_stat(self._pid_file(name).read_text().partition("\n")[2])
        except (FileNotFoundError, ValueError, IndexError):
            return []
        mark = f"{self._mark}/{name}"
        return [one for one in _all_processes() if one.session == leader.pid and _mark_of(one.pid) == mark]

    def _marks(self, program: Program) -> dict[str, str]:
        return {PART_VARIABLE: f"{self._mark}/{program.name}", REVISION_VARIABLE: program.revision()}

    def _pid_file(self, name: str) -> Path:
        return self._folder / f"{name}.pid"


async def end(pid: int, started: int, *, grace: float) -> None:
    """End the process with that pid and start time: SIGTERM, SIGKILL after the grace; return when it is gone."""
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
    """Wait until the process behind a pidfd has ended; False when it still runs after that many seconds."""
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
    found = (stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [one for one in found if one is not None and not one.has_ended]


def _mark_of(pid: int) -> str:
    return _environment(pid).get(PART_VARIABLE, "")


def _arguments(pid: int) -> tuple[str, ...]:
    return tuple(_strings(PROC / str(pid) / "cmdline"))


def _environment(pid: int) -> dict[str, str]:
    pairs = (one.partition("=") for one in _strings(PROC / str(pid) / "environ"))
    return {name: value for name, _, value in pairs}


def _strings(file: Path) -> list[str]:
    """Read a file of /proc that holds strings, each ended by a zero byte."""
    try:
        return os.fsdecode(file.read_bytes()).split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
