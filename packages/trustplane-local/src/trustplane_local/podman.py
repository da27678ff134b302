"""A separate podman world for each stack: its containers never mix with other stacks' or with the machine's own.

The world is in `<stack folder>/podman`: configuration, storage, network. Only files that must vanish at a reboot
(locks, and podman's reboot marker) are in `/run/trustplane/<stack id>`. `runroot` is on disk on purpose: it has the
writable layers of `--rootfs ...:O` containers, and a machine's disk must survive a reboot.
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
COMMAND_SECONDS = 60.0  # seconds; even the slowest command takes only a few, unless the machine is overloaded
LIST_SECONDS = 5.0  # between two lists of all containers by the provider; each costs 0.04 s of CPU time
GRACE_SECONDS = 10.0  # seconds for podman to leave a critical section: killed in one, it would leak an address
RUNNING, EXITED = "running", "exited"
KILLED = b"137"  # exit code after SIGKILL, as conmon writes it

# By default, podman requests 1048576 open files, and lowers its own process limit to 32768.
MOST_FILES, MOST_PROCESSES = 1048576, 32768


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that is mounted into a container."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class DesiredContainer:
    """A desired container: the stack's root file system, with a separate writable layer."""

    name: str
    command: tuple[str, ...]
    address: str  # in the stack's network
    labels: Mapping[str, str] = field(default_factory=dict)  # in addition to the stack's label
    mounts: tuple[Mount, ...] = ()
    options: tuple[str, ...] = ()  # further options of `podman run`


class ObservedContainer(msgspec.Struct, frozen=True, rename="pascal"):
    """An existing container, as `podman ps --format json` shows it."""

    id: str
    names: list[str]
    state: str  # created (also after a reboot), running, stopping, stopped, exited, removing, ...
    exit_code: int = 0
    pid: int = 0  # of its first process, while podman considers it running
    labels: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """The container's only name."""
        return self.names[0]

    @property
    def is_running(self) -> bool:
        """Whether the container's first process is running."""
        return self.state == RUNNING

    @property
    def has_unreported_end(self) -> bool:
        """Whether the container's first process has ended without a report to podman."""
        return self.state == EXITED and self.pid != 0


class Podman:
    """Runs podman for one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._folder = stack.folder / "podman"
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._listing = asyncio.Lock()
        self._cached: tuple[float, list[ObservedContainer]] | None = None  # the last list, and when it began
        self._changes = 0  # number of changes by this object

    async def prepare(self) -> None:
        """Write the configuration and the network if they are missing or differ. Must be repeated after a reboot.

        Raises:
            HostError: podman is missing or rejects the configuration.
        """
        run = RUN / self._stack.id
        for folder in (run, self._folder / "networks"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in podman_configuration(self._stack).items():
            files.write_atomically(self._folder / name, content.encode())
        await self._podman("network", "inspect", self._stack.network)

    async def run(self, container: DesiredContainer) -> None:
        """Start a container; remove any other container of the same name first.

        Raises:
            HostError: podman failed; no container is left.
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
        """Start a stopped container with its previous disk."""
        async with self._changing(name):
            if container := await self.find(name):
                await self._settle(container)
                await self._remove_cgroups(container)
            await self._podman("start", name)

    async def exec(self, name: str, *command: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run a command in a container and return its output.

        Raises:
            HostError: The command fails, or the container is not running.
        """
        return await self._podman("exec", name, *command, timeout=timeout)

    async def signal(self, name: str, signal: str) -> None:
        """Send a signal, such as USR2, to a container's first process."""
        async with self._changing(name):
            await self._podman("kill", "--signal", signal, name)

    async def remove(self, name: str) -> None:
        """Remove a container, running or not, if it exists."""
        async with self._changing(name):
            await self._remove(name)

    async def list(self) -> list[ObservedContainer]:
        """Return the stack's containers in any state."""
        label, changes, began = f"label={STACK_LABEL}={self._stack.id}", self._changes, time.monotonic()
        output = await self._podman("ps", "--all", "--no-trunc", "--filter", label, "--format", "json")
        decoded = msgspec.json.decode(output or "[]", type=list[ObservedContainer])
        containers = [correct_state(container, PROC) for container in decoded]
        self._cached = (began, containers) if changes == self._changes else None
        return containers

    async def find(self, name: str, *, recently: float = 0.0) -> ObservedContainer | None:
        """Return a container by name, or None if it does not exist.

        Args:
            name: Name of the container.
            recently: Maximum age of the result in seconds. It always includes changes by this object.
        """
        async with self._listing:  # concurrent callers share one list
            is_recent = self._cached is not None and time.monotonic() - self._cached[0] < recently
            containers = self._cached[1] if self._cached is not None and is_recent else await self.list()
        return next((container for container in containers if container.name == name), None)

    @contextlib.asynccontextmanager
    async def _changing(self, name: str) -> AsyncIterator[None]:
        """Change one container exclusively within the block; lists from before and during the change are outdated."""
        async with self._locks[name]:
            self._invalidate()
            try:
                yield
            finally:
                self._invalidate()

    def _invalidate(self) -> None:
        self._changes += 1
        self._cached = None

    async def remove_everything(self) -> None:
        """Remove all containers, the network and every other trace of this world, and verify the removal.

        Raises:
            HostError: Something cannot be removed; the message lists the leftovers.
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
        if leftovers := residue.find_leftovers(self._stack.network, self._places, cgroup(self._stack)):
            raise HostError(
                f"Could not remove all containers of stack {self._stack.id}",
                why=f"remaining: {', '.join(leftovers)}",
                next_step="Stop the programs that use them, and run `trustplane local down` again",
            )

    @property
    def _places(self) -> tuple[Path, ...]:
        return (self._folder, RUN / self._stack.id)

    async def _remove(self, name: str) -> None:
        if container := await self.find(name):
            await self._settle(container)
            await self._podman("rm", "--force", "--ignore", "--time", "1", "--volumes", name)
            await self._remove_cgroups(container)

    async def _settle(self, container: ObservedContainer) -> None:
        """Report a container's end to podman in place of its killed monitor; podman would wait for that report."""
        if container.has_unreported_end:
            await asyncio.to_thread(files.write_atomically, RUN / self._stack.id / "exits" / container.id, KILLED)

    async def _remove_cgroups(self, container: ObservedContainer) -> None:
        await asyncio.to_thread(residue.remove_cgroups, f"{cgroup(self._stack)}/libpod-{container.id}")

    async def _podman(self, *arguments: str, timeout: float = COMMAND_SECONDS) -> str:
        command = f"podman {' '.join(arguments[:2])}"
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
            output, message = await asyncio.wait_for(process.communicate(), timeout)
        except TimeoutError as error:
            raise TransientError(
                f"`{command}` took longer than {timeout:.0f} s",
                why="the machine is overloaded, or podman waits for a lock",
                next_step="It will be retried; if this persists, check the machine's load",
            ) from error
        finally:
            await _end(process)
        if process.returncode != 0:
            raise HostError(f"`{command}` failed", why=extract_errors(message.decode(errors="replace")))
        return output.decode(errors="replace")


def podman_configuration(stack: Stack) -> dict[str, str]:
    """Return the configuration files of a stack's podman world, by their path in `<stack folder>/podman`.

    The network is written as a file because Debian 12's `podman network create` cannot name the bridge, and would
    choose the same name in every world. podman's resolver stays off: it would be one process for all worlds, and nodes
    do not need it.
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
    """Return podman's complete environment, without this process's proxy, remote podman host or process marks."""
    inherited = {name: ours[name] for name in ("PATH", "HOME") if name in ours}
    return {
        **inherited,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def cgroup(stack: Stack) -> str:
    """Return the control group of a stack's containers, relative to the root of each hierarchy."""
    return f"trustplane-{stack.id}"


def run_arguments(stack: Stack, container: DesiredContainer, open_files: int, processes: int) -> list[str]:
    """Return the arguments of `podman run` for a container.

    Args:
        stack: The container's stack.
        container: The desired container.
        open_files: This process's hard limit of open files, which podman cannot always raise.
        processes: This process's hard limit of processes, likewise.
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
    """Return a container with its true state: podman misses the end of one whose monitor was killed with it.

    Args:
        observed: The container as podman reports it.
        proc: The mounted proc file system.
    """
    if not observed.pid:
        return observed
    process = stat(observed.pid, proc)
    return msgspec.structs.replace(observed, state=EXITED) if process is None or process.has_ended else observed


def extract_errors(message: str) -> str:
    """Return the errors in podman's output, without its warnings; if it has none, the whole output on one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
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
