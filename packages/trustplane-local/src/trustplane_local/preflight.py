"""Checks whether this machine can run a local stack, before anything starts. All problems are reported together."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trustplane.errors import HostError
from trustplane_local import residue

GIB = 1 << 30
COLD_DISK = 15 * GIB  # build cache, node image, two small clusters
WARM_DISK = 5 * GIB  # two small clusters
LONGEST_STATE = 50 - len("/podman/run")  # podman refuses a `runroot` of more than 50 characters
PODMAN_SECONDS = 60
TRIAL = "trial"  # folder in the state folder for the trial run of podman
MEMORY = 6 * GIB  # a Supervisor and two small clusters

# Debian package by program. Absolute paths: podman's helpers, which are not on PATH.
REQUIRED_PACKAGES: Mapping[str, str] = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "/usr/lib/podman/netavark": "netavark",
    "iptables": "iptables",
    "ip": "iproute2",
    "ss": "iproute2",
    "skopeo": "skopeo",
    "mount": "mount",
}
BUILD_PACKAGES: Mapping[str, str] = {"mmdebstrap": "mmdebstrap"}  # only to build the node image


@dataclass(frozen=True)
class HostState:
    """Facts about this machine."""

    is_root: bool  # whether the current user is root
    state: Path  # the state folder
    missing_programs: tuple[str, ...]  # programs of PACKAGES and BUILD_PACKAGES
    free_disk_bytes: Mapping[Path, int]  # bytes, by folder
    free_memory_bytes: int  # bytes
    podman_error: str  # why podman cannot run here; empty if it can, or was not tried


@dataclass(frozen=True)
class Requirements:
    """A stack's requirements."""

    disk_bytes: int  # bytes on each file system
    memory_bytes: int  # bytes


def inspect_host(programs: Iterable[str], state: Path, cache: Path, podman_trouble: Callable[[], str]) -> HostState:
    """Collect the facts about this machine.

    Args:
        programs: Required programs.
        state: The state folder, which may not exist yet.
        cache: The build cache, which may not exist yet.
        podman_trouble: Runs podman and returns why it cannot run, or an empty string.
    """
    root = os.geteuid() == 0
    missing = tuple(program for program in programs if shutil.which(program) is None)
    return HostState(
        is_root=root,
        state=state,
        missing_programs=missing,
        free_disk_bytes={folder: shutil.disk_usage(_existing(folder)).free for folder in (state, cache)},
        free_memory_bytes=available_memory(Path("/proc/meminfo").read_text()),
        podman_error=podman_trouble() if root and not missing and _fits_podman(state) else "",
    )


def available_memory(meminfo: str) -> int:
    """Return `MemAvailable` from the content of /proc/meminfo, in bytes."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024


def find_problems(machine: HostState, needs: Requirements) -> list[HostError]:
    """Return the problems that prevent a stack, most basic first."""
    return [*_rights(machine), *_programs(machine), *_name(machine), *_podman(machine), *_resources(machine, needs)]


def raise_problems(problems: list[HostError]) -> None:
    """Raise the problems, several of them as one error; do nothing if the list is empty.

    Raises:
        HostError: The list is not empty.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise HostError(
            f"This machine is not ready for a local stack, for {len(problems)} reasons",
            why="\n".join(f"- {problem.what}: {problem.why}" for problem in problems),
            next_step="\n".join(f"- {problem.next_step}" for problem in problems),
        )


def _rights(machine: HostState) -> list[HostError]:
    if machine.is_root:
        return []
    return [
        HostError(
            "The local stack needs root",
            why="its machines are containers with systemd, containerd and a kubelet",
            next_step="Run the same command as root",
        )
    ]


def _programs(machine: HostState) -> list[HostError]:
    if not machine.missing_programs:
        return []
    package_by_program = {**REQUIRED_PACKAGES, **BUILD_PACKAGES}
    packages = sorted({package_by_program[program] for program in machine.missing_programs})
    return [
        HostError(
            f"This machine lacks {', '.join(Path(program).name for program in machine.missing_programs)}",
            why="the local stack runs its machines with podman, on a root file system that mmdebstrap builds",
            next_step=f"apt-get install {' '.join(packages)}",
        )
    ]


def _name(machine: HostState) -> list[HostError]:
    if _fits_podman(machine.state):
        return []
    return [
        HostError(
            "The path of the state folder is too long",
            why=f"{machine.state} has {len(str(machine.state))} characters; podman accepts at most {LONGEST_STATE}, "
            "because its sockets are in this folder",
            next_step="Choose a folder with a shorter path with --state or TRUSTPLANE_STATE",
        )
    ]


def _fits_podman(state: Path) -> bool:
    return len(str(state)) <= LONGEST_STATE


def _podman(machine: HostState) -> list[HostError]:
    if not machine.podman_error:
        return []
    return [
        HostError(
            "podman cannot run containers on this machine",
            why=machine.podman_error,
            next_step="Fix it until `podman --runtime runc info` succeeds as root, then run the same command again",
        )
    ]


def _resources(machine: HostState, needs: Requirements) -> list[HostError]:
    shortages = [
        HostError(
            f"Too little disk space in {folder}",
            why=f"{_gib(free)} are free, {_gib(needs.disk_bytes)} are required",
            next_step="Free some space there, or choose other folders with --state and --cache",
        )
        for folder, free in machine.free_disk_bytes.items()
        if free < needs.disk_bytes
    ]
    if machine.free_memory_bytes < needs.memory_bytes:
        shortages.append(
            HostError(
                "Too little memory",
                why=f"{_gib(machine.free_memory_bytes)} are available, {_gib(needs.memory_bytes)} are required",
                next_step="Stop other programs, or remove another stack with `trustplane local down --state DIR`",
            )
        )
    return shortages


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def try_podman(folder: Path) -> str:
    """Run podman as the stack will, with overlay storage in the state folder; return why it fails, or an empty string.

    The trial leaves no files behind, and does not touch the machine's own containers.
    """
    trial = folder / TRIAL
    storage = [f"--root={trial / 'root'}", f"--runroot={trial / 'run'}", f"--tmpdir={trial / 'tmp'}"]
    command = ["podman", *storage, "--runtime=runc", "--cgroup-manager=cgroupfs", "--storage-driver=overlay", "info"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PODMAN_SECONDS)
    except subprocess.TimeoutExpired:
        return f"`podman info` did not finish in {PODMAN_SECONDS} s"
    finally:
        remove_trial(folder)
    return completed.stderr.strip()[-500:] if completed.returncode else ""


def remove_trial(folder: Path) -> None:
    """Remove the files of a trial of podman, also of a killed one."""
    for mount in residue.parse_mounts(residue.MOUNTS.read_text(), [folder / TRIAL]):
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(folder / TRIAL, ignore_errors=True)
