"""A new stack: its id, ports, subnet, and the programs it is made of; or the one that is there already."""

import ipaddress
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trustplane.errors import HostError, UserError
from trustplane.local import files, image, lock, neighbours, ports, preflight, stack, toolchain
from trustplane.local.process import Processes
from trustplane.local.stack import FILE, PORTS, Stack
from trustplane.local.steps import Steps
from trustplane.local.supervisor import Part, parts

BEFORE_CREATION = (lock.NAME, preflight.TRIAL, f"{FILE}.new")  # what a folder holds until the stack is chosen


def ensure(folder: Path, cache: Path, *, subnet: str, steps: Steps) -> Stack:
    """Return the stack of a state folder, made where there is none; the machine was checked, the build is whole.

    Args:
        folder: the state folder; its lock is held.
        cache: the build cache.
        subnet: a /18 for a new stack; empty to take a free one.
        steps: told of the builds.

    Raises:
        HostError: the machine lacks something, or a build failed.
        UserError: the folder is not a stack's, or the stack there has another subnet.
    """
    present = kept(folder)
    if present is None:
        _check_machine(folder, cache)
        return _create(folder, cache, subnet, steps)
    if subnet and subnet != present.subnet:
        raise UserError(
            f"The stack in {folder} has the subnet {present.subnet}, not {subnet}",
            why="addresses are chosen once, when a stack is made",
            next_step="Leave --subnet out, or start over with `trustplane local down` and `trustplane local up`",
        )
    _check_machine(folder, present.cache, present)
    _check_ports(present)
    _check_build(present, build(present.cache, steps), steps)
    return present


def refuse_foreign(folder: Path) -> None:
    """Check that a folder is a stack's, or can become one's; asked before the first file is put there.

    Raises:
        UserError: something else is in it.
    """
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in entries if name not in BEFORE_CREATION]
    if foreign and FILE not in entries:
        raise UserError(
            f"{folder} is no stack's state folder, and is not empty",
            why=f"it holds {', '.join(foreign[:3])}{' and more' if len(foreign) > 3 else ''}",  # noqa: PLR2004 - examples
            next_step="Choose another folder with --state",
        )


def kept(folder: Path) -> Stack | None:
    """Return the stack of a state folder, or None where none was started.

    Raises:
        HostError: its description cannot be read.
    """
    try:
        return stack.read(folder)
    except (msgspec.DecodeError, OSError) as error:
        raise HostError(
            f"{folder / FILE} cannot be read",
            why=str(error),
            next_step="Restore the file; without it, what belongs to the stack is not known",
        ) from error


def build(cache: Path, steps: Steps) -> tuple[toolchain.Toolchain, image.NodeImage]:
    """Build what the cache lacks of programs and node image."""
    with steps.step("programs of Kubernetes and Cluster API"):
        built = toolchain.build(cache, steps.build)
    with steps.step("node image"):
        return built, image.build(cache, built, steps.build)


def is_cold(cache: Path) -> bool:
    """Tell whether the node image, the last thing to be built, is missing in the cache."""
    return not any((cache / "image").glob("*/rootfs"))


def strangers_ports(wanted: Mapping[str, Part], processes: Processes, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the ports that somebody else listens on, of parts that do not run, by the port's name."""
    return {
        name: numbers[name]
        for part in wanted.values()
        if processes.find(part.name) is None
        for name in part.ports
        if not ports.is_free(numbers[name])
    }


def _check_machine(folder: Path, cache: Path, present: Stack | None = None) -> None:
    """Raise what stands in the way; a stack that runs has its memory and disk already."""
    cold = is_cold(cache)
    programs = [*preflight.PACKAGES, *(preflight.BUILD_PACKAGES if cold else ())]
    machine = preflight.look(programs, folder, cache, lambda: preflight.podman_trouble(folder))
    if present is not None and Processes(present.folder / "processes", present.id).find("apiserver"):
        needs = preflight.Needs(disk=0, memory=0)
    else:
        needs = preflight.Needs(preflight.COLD_DISK if cold else preflight.WARM_DISK, preflight.MEMORY)
    preflight.check(preflight.problems(machine, needs))


def _check_ports(present: Stack) -> None:
    processes = Processes(present.folder / "processes", present.id)
    if taken := strangers_ports(parts(present), processes, present.ports):
        raise ports.taken_error(taken, ports.holder, present.folder)


def _check_build(present: Stack, built: tuple[toolchain.Toolchain, image.NodeImage], steps: Steps) -> None:
    """A stack keeps the build that it was made with: its clusters' versions depend on it."""
    programs, node = built
    if (present.bin, present.rootfs, present.images) == (programs.bin, node.rootfs, node.images):
        return
    if gone := [str(path) for path in (present.bin, present.rootfs, present.images) if not path.exists()]:
        raise HostError(
            f"The stack in {present.folder} was made from a build that is gone",
            why=f"missing: {', '.join(gone)}",
            next_step="Start over with `trustplane local down` and `trustplane local up`",
        )
    steps.note("This stack keeps the older build that it was made with; `trustplane local down` and `up` take the new.")


def _create(folder: Path, cache: Path, subnet: str, steps: Steps) -> Stack:
    with neighbours.choosing(cache) as others:  # a subnet in use is told before an hour's build, not after
        neighbours.choose_subnet(_used(others), subnet)
    programs, node = build(cache, steps)
    with neighbours.choosing(cache) as others:
        created = Stack(
            id=secrets.token_hex(4),
            folder=folder,
            cache=cache,
            bin=programs.bin,
            rootfs=node.rootfs,
            images=node.images,
            kubernetes_version=programs.kubernetes_version,
            subnet=neighbours.choose_subnet(_used(others), subnet),
            ports=ports.choose(PORTS, neighbours.kept_ports(others), is_free=ports.is_free),
        )
        neighbours.announce(created)
        files.write(folder / FILE, msgspec.json.format(msgspec.json.encode(created, enc_hook=str)))
    return created


def _used(others: list[Stack]) -> list[ipaddress.IPv4Network]:
    routes = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], capture_output=True, check=True)
    return [*neighbours.routed(routes.stdout), *(ipaddress.IPv4Network(one.subnet) for one in others)]
