"""Podman of one stack: containers in a world of their own, which meets no other stack's and not the machine's.

The world is kept in `<stack folder>/podman`: configuration, storage, network. Only what must vanish with a reboot
(locks, and the file by which podman notices the reboot) is in `/run/trustplane/<stack id>`. `runroot` is on disk on
purpose: the writable layer of a `--rootfs ...:O` container is kept there, and a machine's disk must survive a reboot.
Sources: containers.conf(5), containers-storage.conf(5), podman-run(1).
"""

import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from trustplane.errors import HostError, TransientError
from trustplane_local import files, residue
from trustplane_local.process import stat
from trustplane_local.stack import STACK_LABEL, Stack

RUN = Path("/run/trustplane")
PROC = Path("/proc")
COMMAND_SECONDS = 60.0  # seconds; the slowest command takes a few on a machine that is not overloaded
LIST_SECONDS = 5.0  # between two looks of the provider at all containers; one costs 0.04 s of CPU time
GRACE_SECONDS = (
    10.0  # seconds that podman has to leave its critical sections: addresses given away in them stay given away
)
RUNNING, EXITED = "running", "exited"
KILLED = b"137"  # exit code of a process that got SIGKILL, as conmon writes it

# podman asks for 1048576 open files where nothing else is said, and lowers its own process limit to 32768.
MOST_FILES, MOST_PROCESSES = 1048576, 32768


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that a container sees."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class DesiredContainer:
    """A container that is wanted: the stack's root file system with a writable layer of its own."""

    name: str
    command: tuple[str, ...]
    address: str  # in the stack's network
    labels: Mapping[str, str] = field(default_factory=dict)  # the stack's own is added
    mounts: tuple[Mount, ...] = ()
    options: tuple[str, ...] = ()  # further options of `podman run`


class ObservedContainer(msgspec.Struct, frozen=True, rename="pascal"):
    """A container that is there, as `podman ps --format json` shows it."""

    id: str
    names: list[str]
    state: str  # created (also: ran before a reboot), running, stopping, stopped, exited, removing, ...
    exit_code: int = 0
    pid: int = 0  # of its first process, while podman believes that it runs
    labels: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """Its one name."""
        return self.names[0]

    @property
    def is_running(self) -> bool:
        """Whether its first process runs."""
        return self.state == RUNNING

    @property
    def ended_untold(self) -> bool:
        """Whether its first process has ended, and podman was not told."""
        return self.state == EXITED and self.pid != 0


class Podman:
    """Runs podman for one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._folder = stack.folder / "podman"
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looking = asyncio.Lock()
        self._seen: tuple[float, list[ObservedContainer]] | None = None  # the last look, and when it began
        self._changes = 0  # made by this object

    async def prepare(self) -> None:
        """Write the configuration and the network where they are missing or differ. Repeat it after a reboot.

        Raises:
            HostError: podman is missing or refuses the configuration.
        """
        run = RUN / self._stack.id
        for folder in (run, self._folder / "networks"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in podman_configuration(self._stack).items():
            files.write_atomically(self._folder / name, content.encode())
        await self._podman("network", "inspect", self._stack.network)

    async def run(self, container: DesiredContainer) -> None:
        """Start a container, in place of any other of that name.

        Raises:
            HostError: podman refuses; nothing is left of the attempt.
        """
        async with self._changing(container.name):
            await self._remove(container.name)
            try:
                await self._podman(*run_arguments(self._stack, container, *_hard_limits()))
            except HostError:
                with contextlib.suppress(HostError):
                    await self._remove(container.name)
                raise

    async def start(self, name: str) -> None:
        """Start a container that was stopped, with the disk that it had."""
        async with self._changing(name):
            if found := await self.find(name):
                await self._settle(found)
                await self._remove_cgroups(found)
            await self._podman("start", name)

    async def exec(self, name: str, *command: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run a command in a container and return what it prints.

        Raises:
            HostError: it fails, or the container does not run.
        """
        return await self._podman("exec", name, *command, timeout=timeout)

    async def signal(self, name: str, signal: str) -> None:
        """Send a signal, such as USR2, to a container's first process."""
        async with self._changing(name):
            await self._podman("kill", "--signal", signal, name)

    async def remove(self, name: str) -> None:
        """Remove a container, running or not; an absent one is fine."""
        async with self._changing(name):
            await self._remove(name)

    async def list(self) -> list[ObservedContainer]:
        """Return the containers of the stack, whatever their state."""
        label, changes, began = f"label={STACK_LABEL}={self._stack.id}", self._changes, time.monotonic()
        printed = await self._podman("ps", "--all", "--no-trunc", "--filter", label, "--format", "json")
        found = [correct_state(one, PROC) for one in msgspec.json.decode(printed or "[]", type=list[ObservedContainer])]
        self._seen = (began, found) if changes == self._changes else None
        return found

    async def find(self, name: str, *, recently: float = 0.0) -> ObservedContainer | None:
        """Return a container by its name, or None where it is absent.

        Args:
            name: of the container.
            recently: how many seconds ago it may have been looked at; what this object has changed since is seen.
        """
        async with self._looking:  # who comes meanwhile has the same answer
            is_recent = self._seen is not None and time.monotonic() - self._seen[0] < recently
            found = self._seen[1] if self._seen is not None and is_recent else await self.list()
        return next((one for one in found if one.name == name), None)

    @contextlib.asynccontextmanager
    async def _changing(self, name: str) -> AsyncIterator[None]:
        """Change one container, alone; what was seen before is worth nothing afterwards, nor what is seen meanwhile."""
        async with self._locks[name]:
            self._forget()
            try:
                yield
            finally:
                self._forget()

    def _forget(self) -> None:
        self._changes += 1
        self._seen = None

    async def remove_everything(self) -> None:
        """Remove all containers, the network and every trace of this world; verify that none is left.

        Raises:
            HostError: something cannot be removed; the message says what is left.
        """
        if (self._folder / "storage.conf").exists():
            (RUN / self._stack.id).mkdir(parents=True, exist_ok=True)
            await self._podman("rm", "--all", "--force", "--time", "0", timeout=300)
            await self._podman("network", "rm", "--force", self._stack.network)
        await residue.wait_for_monitors(self._places, GRACE_SECONDS)
        await asyncio.to_thread(residue.remove_cgroups, cgroup(self._stack))
        await residue.remove_leftovers(self._stack.network, self._stack.subnet, self._places)
        for place in self._places:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        if left := residue.find_leftovers(self._stack.network, self._places, cgroup(self._stack)):
            raise HostError(
                f"The stack {self._stack.id} could not be removed completely",
                why=f"left over: {', '.join(left)}",
                next_step="Stop what uses them and run `trustplane local down` again",
            )

    @property
    def _places(self) -> tuple[Path, ...]:
        return (self._folder, RUN / self._stack.id)

    async def _remove(self, name: str) -> None:
        if found := await self.find(name):
            await self._settle(found)
            await self._podman("rm", "--force", "--ignore", "--time", "1", "--volumes", name)
            await self._remove_cgroups(found)

    async def _settle(self, container: ObservedContainer) -> None:
        """Tell podman of an end that the container's monitor did not live to tell: it would wait for that word."""
        if container.ended_untold:
            await asyncio.to_thread(files.write_atomically, RUN / self._stack.id / "exits" / container.id, KILLED)

    async def _remove_cgroups(self, container: ObservedContainer) -> None:
        await asyncio.to_thread(residue.remove_cgroups, f"{cgroup(self._stack)}/libpod-{container.id}")

    async def _podman(self, *arguments: str, timeout: float = COMMAND_SECONDS) -> str:
        what = f"podman {' '.join(arguments[:2])}"
        try:
            process = await asyncio.create_subprocess_exec(
                "podman",
                *arguments,
                env=podman_environment(self._folder, os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise HostError("podman is not installed", next_step="Install the package podman") from error
        try:
            printed, complaint = await asyncio.wait_for(process.communicate(), timeout)
        except TimeoutError as error:
            raise TransientError(
                f"`{what}` took longer than {timeout:.0f} s",
                why="the machine is overloaded, or podman waits for a lock",
                next_step="It is tried again; look at the machine's load if this lasts",
            ) from error
        finally:
            await _end(process)
        if process.returncode != 0:
            raise HostError(f"`{what}` failed", why=extract_errors(complaint.decode(errors="replace")))
        return printed.decode(errors="replace")


def podman_configuration(stack: Stack) -> dict[str, str]:
    """Return the files of a stack's podman world, by their path below `<stack folder>/podman`.

    The network is written as a file because `podman network create` of Debian 12 cannot name the bridge, and two worlds
    that choose names by themselves choose the same one. Nodes need no names from podman's resolver, and that resolver
    is one process for all worlds: it stays off.
    """
    folder, run = stack.folder / "podman", RUN / stack.id
    network = {
        "name": stack.network,
        "id": hashlib.sha256(stack.network.encode()).hexdigest(),
        "driver": "bridge",
        "network_interface": stack.network,
        "created": "2000-01-01T00:00:00Z",
        "subnets": [{"subnet": stack.subnet, "gateway": stack.address(1)}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "labels": {STACK_LABEL: stack.id},
        "ipam_options": {"driver": "host-local"},
    }
    return {
        "containers.conf": CONTAINERS_CONF.format(folder=folder, run=run),
        "storage.conf": STORAGE_CONF.format(folder=folder),
        f"networks/{stack.network}.json": msgspec.json.encode(network).decode() + "\n",
    }


CONTAINERS_CONF = """\
[containers]
base_hosts_file = "none"
log_driver = "k8s-file"
log_size_max = 4194304
pids_limit = 0

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
static_dir = "{folder}/storage/libpod"
tmp_dir = "{run}"
volume_path = "{folder}/volumes"

[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


def podman_environment(folder: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """Return podman's whole environment: a proxy, a remote host or a mark of ours must not reach containers by it."""
    kept = {name: ours[name] for name in ("PATH", "HOME") if name in ours}
    return {
        **kept,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def cgroup(stack: Stack) -> str:
    """Return the control group of all containers of a stack, relative to the root of each hierarchy."""
    return f"trustplane-{stack.id}"


def run_arguments(stack: Stack, container: DesiredContainer, open_files: int, processes: int) -> list[str]:
    """Return the arguments of `podman run` for a container.

    Args:
        stack: whose.
        container: what is wanted.
        open_files: hard limit of open files of this process; podman may not be allowed to raise it.
        processes: hard limit of processes, likewise.
    """
    open_files, processes = min(open_files, MOST_FILES), min(processes, MOST_PROCESSES)
    arguments = ["run", "--detach", "--name", container.name, "--network", stack.network]
    arguments += [
        "--cgroup-parent",
        f"/{cgroup(stack)}",
        "--ip",
        container.address,
        "--label",
        f"{STACK_LABEL}={stack.id}",
    ]
    for name, value in sorted(container.labels.items()):
        arguments += ["--label", f"{name}={value}"]
    for mount in container.mounts:
        arguments += ["--volume", f"{mount.source}:{mount.target}:{'rw' if mount.writable else 'ro'}"]
    arguments += ["--ulimit", f"nofile={open_files}:{open_files}", "--ulimit", f"nproc={processes}:{processes}"]
    return [*arguments, *container.options, "--rootfs", f"{stack.rootfs}:O", *container.command]


def correct_state(observed: ObservedContainer, proc: Path) -> ObservedContainer:
    """Return what to believe of podman's word: it notices no end when a container's monitor was killed, too.

    Args:
        observed: as podman says.
        proc: the file system of processes.
    """
    if not observed.pid:
        return observed
    process = stat(observed.pid, proc)
    return msgspec.structs.replace(observed, state=EXITED) if process is None or process.has_ended else observed


def extract_errors(complaint: str) -> str:
    """Return what podman printed as its error, without its warnings and noise."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return "; ".join(errors or lines)


def _hard_limits() -> Sequence[int]:
    kinds = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
    limits = (resource.getrlimit(kind)[1] for kind in kinds)
    return [MOST_FILES if limit == resource.RLIM_INFINITY else limit for limit in limits]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
