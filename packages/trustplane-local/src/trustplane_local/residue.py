"""Leftovers of podman after a kill or a power cut: a bridge, packet filter rules, mounts, monitors."""

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
    """Remove a bridge, the packet filter rules for its subnet, and all mounts below the given folders.

    Raises:
        HostError: A command fails.
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
    """Remove a control group and its descendants from every hierarchy, except those that contain processes.

    Machines create control groups for their pods; podman removes only the machine's own.

    Args:
        group: Path relative to the root of a hierarchy.
        root: Folder of all hierarchies (v1), or of the only one (v2).
    """
    for top in _cgroups(group, root):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


async def wait_for_monitors(places: Sequence[Path], seconds: float) -> None:
    """Wait until the containers' monitors, which clean up after them, have ended; at most `seconds` for each."""
    for pid in _monitors(places):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                await ended(handle, seconds)
            finally:
                os.close(handle)


def find_leftovers(bridge: str, places: Sequence[Path], group: str) -> list[str]:
    """Return descriptions of all leftovers."""
    leftovers = [f"mount {mount}" for mount in _mounted(places)]
    leftovers += [f"folder {place}" for place in places if place.exists()]
    leftovers += [f"process {pid}" for pid in _monitors(places)]
    leftovers += [f"control group {folder}" for folder in _cgroups(group, CGROUPS)]
    return [*leftovers, f"bridge {bridge}"] if _link(bridge).exists() else leftovers


def rule_removals(rules: str, subnet: str) -> list[list[str]]:
    """Return the arguments of iptables that remove netavark's rules for a subnet, and no others.

    Args:
        rules: Output of `iptables --list-rules` for a table.
        subnet: In CIDR notation, as in the rules.
    """
    lines = [shlex.split(line) for line in rules.splitlines()]
    matching = [rule for rule in lines if rule[:1] == ["-A"] and _is_for(rule, subnet)]
    # Each network has a chain named after it, which the rules for its subnet jump to; all networks share other chains.
    chains = {rule[rule.index("-j") + 1] for rule in matching if "-j" in rule and rule[1] == "POSTROUTING"}
    chains = {chain for chain in chains if chain.startswith("NETAVARK-")}
    removals = [["-D", *rule[1:]] for rule in matching if rule[1] not in chains]
    for chain in sorted(chains):
        removals += [["-F", chain], ["-X", chain]]
    return removals


def _is_for(rule: Sequence[str], subnet: str) -> bool:
    return any(option in ("-s", "-d") and value == subnet for option, value in itertools.pairwise(rule))


def parse_mounts(mountinfo: str, places: Iterable[Path]) -> list[str]:
    """Return the mount points at or below the given folders, innermost first. Source: proc_pid_mountinfo(5)."""
    points = [_unescape(line.split()[4]) for line in mountinfo.splitlines()]
    below = [point for point in points if any(Path(point).is_relative_to(place) for place in places)]
    return below[::-1]  # the kernel lists outer mounts before inner ones


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
    """Return the pids of the conmon processes that monitor containers in the given folders."""
    pids = []
    for folder in Path("/proc").iterdir():
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
        except OSError:  # the process has just ended
            continue
        if arguments and Path(os.fsdecode(arguments[0])).name == "conmon" and _mentions(arguments, places):
            pids.append(int(folder.name))
    return pids


def _mentions(arguments: Iterable[bytes], places: Sequence[Path]) -> bool:
    return any(Path(os.fsdecode(argument)).is_relative_to(place) for argument in arguments for place in places)


async def _output(*command: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        next_step = f"Install the Debian package that contains {command[0]}"
        raise HostError(f"{command[0]} is not installed", next_step=next_step) from error
    output, message = await process.communicate()
    if process.returncode != 0:
        raise HostError(f"`{shlex.join(command)}` failed", why=message.decode(errors="replace").strip())
    return output.decode(errors="replace")
