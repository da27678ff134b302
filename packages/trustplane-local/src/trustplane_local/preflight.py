"""Can this machine run a local stack? Asked before anything is started, answered all at once."""

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
TRIAL = "trial"  # folder in the state folder, while podman is tried
MEMORY = 6 * GIB  # a Supervisor and two small clusters

# Debian package by program. Absolute: helpers of podman that are not on PATH.
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
BUILD_PACKAGES: Mapping[str, str] = {"mmdebstrap": "mmdebstrap"}  # as long as the node image is not built


@dataclass(frozen=True)
class HostState:
    """What was found on this machine."""

    root: bool
    state: Path  # the state folder
    missing: tuple[str, ...]  # programs of PACKAGES and BUILD_PACKAGES
    free_disk: Mapping[Path, int]  # bytes, by folder
    free_memory: int  # bytes
    podman_trouble: str  # why podman cannot run here; empty: it can, or it is missing altogether


@dataclass(frozen=True)
class Requirements:
    """What the stack needs from it."""

    disk: int  # bytes on each file system
    memory: int  # bytes


def inspect_host(programs: Iterable[str], state: Path, cache: Path, podman_trouble: Callable[[], str]) -> HostState:
    """Look at this machine.

    Args:
        programs: to look for.
        state: the state folder; it may not exist yet.
        cache: the build cache, likewise.
        podman_trouble: tries podman and says why it cannot run.
    """
    root = os.geteuid() == 0
    missing = tuple(program for program in programs if shutil.which(program) is None)
    return HostState(
        root=root,
        state=state,
        missing=missing,
        free_disk={folder: shutil.disk_usage(_existing(folder)).free for folder in (state, cache)},
        free_memory=available_memory(Path("/proc/meminfo").read_text()),
        podman_trouble=podman_trouble() if root and not missing and _fits_podman(state) else "",
    )


def available_memory(meminfo: str) -> int:
    """Return MemAvailable of /proc/meminfo, in bytes."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024


def find_problems(machine: HostState, needs: Requirements) -> list[HostError]:
    """Return what stands in the way of a stack, most basic first."""
    return [*_rights(machine), *_programs(machine), *_name(machine), *_podman(machine), *_room(machine, needs)]


def raise_problems(found: list[HostError]) -> None:
    """Raise what was found: one problem as it is, several as one error.

    Raises:
        HostError: there are any.
    """
    if len(found) == 1:
        raise found[0]
    if found:
        raise HostError(
            f"This machine is not ready for a local stack, for {len(found)} reasons",
            why="\n".join(f"- {one.what}: {one.why}" for one in found),
            next_step="\n".join(f"- {one.next_step}" for one in found),
        )


def _rights(machine: HostState) -> list[HostError]:
    if machine.root:
        return []
    return [
        HostError(
            "The local stack needs root",
            why="its machines are containers that run systemd, containerd and a kubelet",
            next_step="Run the same command as root",
        )
    ]


def _programs(machine: HostState) -> list[HostError]:
    if not machine.missing:
        return []
    every = {**REQUIRED_PACKAGES, **BUILD_PACKAGES}
    packages = sorted({every[program] for program in machine.missing})
    return [
        HostError(
            f"This machine lacks {', '.join(Path(program).name for program in machine.missing)}",
            why="the local stack runs its machines with podman, from a root file system made by mmdebstrap",
            next_step=f"apt-get install {' '.join(packages)}",
        )
    ]


def _name(machine: HostState) -> list[HostError]:
    if _fits_podman(machine.state):
        return []
    return [
        HostError(
            "The name of the state folder is too long",
            why=f"{machine.state} has {len(str(machine.state))} characters; podman takes {LONGEST_STATE} at most, "
            "since names of sockets are made of it",
            next_step="Choose a shorter one with --state or TRUSTPLANE_STATE",
        )
    ]


def _fits_podman(state: Path) -> bool:
    return len(str(state)) <= LONGEST_STATE


def _podman(machine: HostState) -> list[HostError]:
    if not machine.podman_trouble:
        return []
    return [
        HostError(
            "podman cannot run containers on this machine",
            why=machine.podman_trouble,
            next_step="Make `podman --runtime runc info` work as root, then run the same command again",
        )
    ]


def _room(machine: HostState, needs: Requirements) -> list[HostError]:
    found = [
        HostError(
            f"Too little disk space in {folder}",
            why=f"{_gib(free)} are free, {_gib(needs.disk)} are needed",
            next_step="Free space there, or choose folders elsewhere with --state and --cache",
        )
        for folder, free in machine.free_disk.items()
        if free < needs.disk
    ]
    if machine.free_memory < needs.memory:
        found.append(
            HostError(
                "Too little memory",
                why=f"{_gib(machine.free_memory)} are available, {_gib(needs.memory)} are needed",
                next_step="Stop other programs, or another stack with `trustplane local down --state DIR`",
            )
        )
    return found


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())


def try_podman(folder: Path) -> str:
    """Try podman as the stack will use it, with overlay storage in the state folder; return why it cannot run.

    The trial leaves nothing behind and reads nothing of the machine's own containers.
    """
    trial = folder / TRIAL
    places = [f"--root={trial / 'root'}", f"--runroot={trial / 'run'}", f"--tmpdir={trial / 'tmp'}"]
    command = ["podman", *places, "--runtime=runc", "--cgroup-manager=cgroupfs", "--storage-driver=overlay", "info"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PODMAN_SECONDS)
    except subprocess.TimeoutExpired:
        return f"`podman info` did not end in {PODMAN_SECONDS} s"
    finally:
        remove_trial(folder)
    return tried.stderr.strip()[-500:] if tried.returncode else ""


def remove_trial(folder: Path) -> None:
    """Remove what a trial of podman made, also one that was killed."""
    for mount in residue.parse_mounts(residue.MOUNTS.read_text(), [folder / TRIAL]):
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(folder / TRIAL, ignore_errors=True)
