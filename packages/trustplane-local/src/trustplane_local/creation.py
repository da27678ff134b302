"""Create a stack with id, ports, subnet and programs, or check and return the existing one."""

import ipaddress
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trustplane.errors import HostError, UserError
from trustplane_local import files, image, lock, neighbours, ports, preflight, toolchain
from trustplane_local import stack as stacks
from trustplane_local import versions as sets
from trustplane_local.image.build import image_key
from trustplane_local.process import Processes
from trustplane_local.stack import PORTS, STACK_FILE, Stack
from trustplane_local.steps import Steps
from trustplane_local.supervisor import Part, parts
from trustplane_local.versions import Versions
from trustplane_local.wishes import StackOptions

BEFORE_CREATION = (
    lock.LOCK_NAME,
    preflight.TRIAL,
    f"{STACK_FILE}.new",
)  # possible content of a folder before its stack is created


def ensure_stack(folder: Path, cache: Path, wishes: StackOptions, steps: Steps) -> Stack:
    """Check this machine, complete the build, and return the stack of a state folder; create it if necessary.

    Args:
        folder: The state folder, whose lock the caller holds.
        cache: The build cache.
        wishes: The user's options.
        steps: Shows progress.

    Raises:
        HostError: This machine lacks something, or a build failed.
        UserError: The existing stack contradicts the options, or the version set does not exist.
    """
    stack = load_stack(folder)
    if stack is None:
        versions = sets.choose_versions(wishes.versions)
        _check_machine(folder, cache, versions)
        return _create(folder, cache, wishes.subnet, versions, steps)
    wishes.check(stack)
    versions = sets.choose_versions(stack.versions)
    _check_machine(folder, stack.cache, versions, stack)
    _check_ports(stack)
    _check_build(stack, build_programs_and_image(stack.cache, versions, steps), steps)
    return stack


def refuse_foreign(folder: Path) -> None:
    """Check that a folder is a state folder or can become one, before any file is written to it.

    Raises:
        UserError: It contains other files.
    """
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in entries if name not in BEFORE_CREATION]
    if foreign and STACK_FILE not in entries:
        raise UserError(
            f"{folder} is not a state folder, and is not empty",
            why=f"it contains {', '.join(foreign[:3])}{' and more' if len(foreign) > 3 else ''}",  # noqa: PLR2004 - examples
            next_step="Choose another folder with --state",
        )


def load_stack(folder: Path) -> Stack | None:
    """Return the stack of a state folder, or None if the folder has none.

    Raises:
        HostError: The stack's description cannot be read.
    """
    try:
        return stacks.read_stack(folder)
    except (msgspec.DecodeError, OSError) as error:
        raise HostError(
            f"Cannot read {folder / STACK_FILE}",
            why=str(error),
            next_step="Restore the file: it records the containers, ports and network of the stack",
        ) from error


def build_programs_and_image(
    cache: Path, versions: Versions, steps: Steps
) -> tuple[toolchain.Toolchain, image.NodeImage]:
    """Build the programs and the node image of a version set, as far as the cache lacks them."""
    with steps.step(f"programs of Kubernetes {versions.kubernetes} and Cluster API {versions.cluster_api}"):
        programs = toolchain.build_toolchain(cache, steps.build, versions)
    with steps.step("node image"):
        return programs, image.build_image(cache, programs, steps.build)


def is_cold(cache: Path, versions: Versions) -> bool:
    """Return whether the cache lacks the node image of a version set: the last part of its build."""
    try:
        return not (cache / "image" / image_key(toolchain.locate_toolchain(cache, versions)) / "rootfs").exists()
    except HostError:  # no Go: the build reports it
        return True


def find_foreign_ports(desired: Mapping[str, Part], processes: Processes, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the ports of stopped parts that another program listens on, by the port's name."""
    return {
        name: numbers[name]
        for part in desired.values()
        if processes.find(part.name) is None
        for name in part.ports
        if not ports.is_free(numbers[name])
    }


def _check_machine(folder: Path, cache: Path, versions: Versions, stack: Stack | None = None) -> None:
    """Check this machine for a stack; a running one already has its memory and disk."""
    cold = is_cold(cache, versions)
    programs = [*preflight.REQUIRED_PACKAGES, *(preflight.BUILD_PACKAGES if cold else ())]
    machine = preflight.inspect_host(programs, folder, cache, lambda: preflight.try_podman(folder))
    if stack is not None and Processes(stack.folder / "processes", stack.id).find("apiserver"):
        needs = preflight.Requirements(disk_bytes=0, memory_bytes=0)
    else:
        needs = preflight.Requirements(preflight.COLD_DISK if cold else preflight.WARM_DISK, preflight.MEMORY)
    preflight.raise_problems(preflight.find_problems(machine, needs))


def _check_ports(stack: Stack) -> None:
    processes = Processes(stack.folder / "processes", stack.id)
    if taken := find_foreign_ports(parts(stack), processes, stack.ports):
        raise ports.occupied_error(taken, ports.find_listener, stack.folder)


def _check_build(stack: Stack, latest: tuple[toolchain.Toolchain, image.NodeImage], steps: Steps) -> None:
    """Check that the stack's build exists. A stack keeps its build, because its clusters' versions depend on it."""
    programs, node = latest
    if (stack.bin, stack.rootfs, stack.images) == (programs.bin, node.rootfs, node.images):
        return
    if gone := [str(path) for path in (stack.bin, stack.rootfs, stack.images) if not path.exists()]:
        raise HostError(
            f"The build of the stack in {stack.folder} was deleted",
            why=f"missing: {', '.join(gone)}",
            next_step="Start over with `trustplane local down` and `trustplane local up`",
        )
    steps.note("This stack keeps its older build. To use the new one: `trustplane local down`, `trustplane local up`.")


def _create(folder: Path, cache: Path, subnet: str, versions: Versions, steps: Steps) -> Stack:
    with neighbours.lock_stacks(cache) as others:  # fail before a long build, not after it
        neighbours.choose_subnet(_used(others), subnet)
    programs, node = build_programs_and_image(cache, versions, steps)
    with neighbours.lock_stacks(cache) as others:
        created = Stack(
            id=secrets.token_hex(4),
            folder=folder,
            cache=cache,
            bin=programs.bin,
            rootfs=node.rootfs,
            images=node.images,
            kubernetes_version=programs.kubernetes_version,
            versions=versions.name,
            subnet=neighbours.choose_subnet(_used(others), subnet),
            ports=ports.choose_ports(PORTS, neighbours.reserved_ports(others), is_free=ports.is_free),
        )
        neighbours.register_stack(created)
        files.write_atomically(folder / STACK_FILE, msgspec.json.format(msgspec.json.encode(created, enc_hook=str)))
    return created


def _used(others: list[Stack]) -> list[ipaddress.IPv4Network]:
    routes = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], capture_output=True, check=True)
    return [*neighbours.parse_routes(routes.stdout), *(ipaddress.IPv4Network(stack.subnet) for stack in others)]
