"""What podman may leave behind when it or the machine is killed: a bridge, packet filter rules, mounts, monitors."""

import asyncio
import contextlib
import itertools
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from trustplane.errors import HostError
from trustplane_local.process import ended

MOUNTS = Path("/proc/self/mountinfo")
CGROUPS = Path("/sys/fs/cgroup")
TABLES = ("filter", "nat")


async def remove_leftovers(bridge: str, subnet: str, places: Sequence[Path]) -> None:
    """Remove a bridge, the rules for its subnet, and every mount below the places.

    Raises:
        HostError: a command fails.
    """
    for table in TABLES:
        rules = await _output("iptables", "--wait", "--table", table, "--list-rules")
        for arguments in rule_removals(rules, subnet):
            await _output("iptables", "--wait", "--table", table, *arguments)
    if _link(bridge).exists():
        await _output("ip", "link", "delete", bridge)
    for mount in _mounted(places):
        await _output("umount", mount)


def remove_cgroups(group: str, root: Path = CGROUPS) -> None:
    """Remove a control group and all below it, in every hierarchy; those with processes in them stay.

    A machine makes control groups of its own, for its pods, which podman leaves behind when it removes the machine's.

    Args:
        group: relative to the root of a hierarchy.
        root: where the hierarchies are (v1) or the one hierarchy is (v2).
    """
    for top in _cgroups(group, root):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


async def wait_for_monitors(places: Sequence[Path], seconds: float) -> None:
    """Wait until the monitors of our containers, which clean up after them, have ended; at most that many seconds."""
    for pid in _monitors(places):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                await ended(handle, seconds)
            finally:
                os.close(handle)


def find_leftovers(bridge: str, places: Sequence[Path], group: str) -> list[str]:
    """Return what is left, in words."""
    left = [f"mount {mount}" for mount in _mounted(places)]
    left += [f"folder {place}" for place in places if place.exists()]
    left += [f"process {pid}" for pid in _monitors(places)]
    left += [f"control group {folder}" for folder in _cgroups(group, CGROUPS)]
    return [*left, f"bridge {bridge}"] if _link(bridge).exists() else left


def rule_removals(rules: str, subnet: str) -> list[list[str]]:
    """Return the arguments of iptables that remove what netavark made for a subnet and nothing else.

    Args:
        rules: output of `iptables --list-rules` for one table.
        subnet: in CIDR notation, as in the rules.
    """
    lines = [shlex.split(line) for line in rules.splitlines()]
    ours = [words for words in lines if words[:1] == ["-A"] and _is_for(words, subnet)]
    # The chain of one network has its name from the network's; chains without a dash-number are shared by all.
    chains = {words[words.index("-j") + 1] for words in ours if "-j" in words and words[1] == "POSTROUTING"}
    chains = {chain for chain in chains if chain.startswith("NETAVARK-")}
    removals = [["-D", *words[1:]] for words in ours if words[1] not in chains]
    for chain in sorted(chains):
        removals += [["-F", chain], ["-X", chain]]
    return removals


def _is_for(words: Sequence[str], subnet: str) -> bool:
    return any(option in ("-s", "-d") and value == subnet for option, value in itertools.pairwise(words))


def parse_mounts(mountinfo: str, places: Iterable[Path]) -> list[str]:
    """Return the mount points at or below the places, innermost first, from proc_pid_mountinfo(5)."""
    points = [_unescape(line.split()[4]) for line in mountinfo.splitlines()]
    below = [point for point in points if any(Path(point).is_relative_to(place) for place in places)]
    return below[::-1]  # the kernel lists a mount after the one that it is on


def _mounted(places: Sequence[Path]) -> list[str]:
    return parse_mounts(MOUNTS.read_text(), places)


def _unescape(point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point


def _cgroups(group: str, root: Path) -> list[Path]:
    return [folder for hierarchy in (root, *root.iterdir()) if (folder := hierarchy / group).is_dir()]


def _link(bridge: str) -> Path:
    return Path("/sys/class/net") / bridge


def _monitors(places: Sequence[Path]) -> list[int]:
    """Return the pids of conmon processes that watch a container of ours."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
        except OSError:  # it ended while we looked
            continue
        if words and Path(os.fsdecode(words[0])).name == "conmon" and _mentions(words, places):
            found.append(int(folder.name))
    return found


def _mentions(words: Iterable[bytes], places: Sequence[Path]) -> bool:
    return any(Path(os.fsdecode(word)).is_relative_to(place) for word in words for place in places)


async def _output(*command: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise HostError(f"{command[0]} is not installed", next_step=f"Install the package with {command[0]}") from error
    printed, complaint = await process.communicate()
    if process.returncode != 0:
        raise HostError(f"`{shlex.join(command)}` failed", why=complaint.decode(errors="replace").strip())
    return printed.decode(errors="replace")
