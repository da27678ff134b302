"""A new stack: its id, ports, subnet, and the programs it is made of; or the one that is there already."""

import ipaddress
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trustplane.errors import HostError, UserError
from trustplane_local import files, image, lock, neighbours, ports, preflight, stack, toolchain
from trustplane_local import versions as sets
from trustplane_local.image.build import image_key as image_key
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
)  # what a folder holds until the stack is chosen


def ensure_stack(folder: Path, cache: Path, wishes: StackOptions, steps: Steps) -> Stack:
    """Return the stack of a state folder, made where there is none; the machine was checked, the build is whole.

    Args:
        folder: the state folder; its lock is held.
        cache: the build cache.
        wishes: the user's options.
        steps: reports progress.

    Raises:
        HostError: the machine lacks something, or a build failed.
        UserError: the stack there contradicts the wishes, or the set of versions does not exist.
    """
    present = load_stack(folder)
    if present is None:
        versions = sets.choose_versions(wishes.versions)
        _check_machine(folder, cache, versions)
        return _create(folder, cache, wishes.subnet, versions, steps)
    wishes.check(present)
    versions = sets.choose_versions(present.versions)
    _check_machine(folder, present.cache, versions, present)
    _check_ports(present)
    _check_build(present, build_programs_and_image(present.cache, versions, steps), steps)
    return present


def refuse_foreign(folder: Path) -> None:
    """Check that a folder is a stack's, or can become one's; asked before the first file is put there.

    Raises:
        UserError: something else is in it.
    """
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    foreign = [name for name in entries if name not in BEFORE_CREATION]
    if foreign and STACK_FILE not in entries:
        raise UserError(
            f"{folder} is no stack's state folder, and is not empty",
            why=f"it holds {', '.join(foreign[:3])}{' and more' if len(foreign) > 3 else ''}",  # noqa: PLR2004 - examples
            next_step="Choose another folder with --state",
        )


def load_stack(folder: Path) -> Stack | None:
    """Return the stack of a state folder, or None where none was started.

    Raises:
        HostError: its description cannot be read.
    """
    try:
        return stack.read_stack(folder)
    except (msgspec.DecodeError, OSError) as error:
        raise HostError(
            f"{folder / STACK_FILE} cannot be read",
            why=str(error),
            next_step="Restore the file; without it, what belongs to the stack is not known",
        ) from error


def build_programs_and_image(
    cache: Path, versions: Versions, steps: Steps
) -> tuple[toolchain.Toolchain, image.NodeImage]:
    """Build what the cache lacks of programs and node image of a set of versions."""
    with steps.step(f"programs of Kubernetes {versions.kubernetes} and Cluster API {versions.cluster_api}"):
        built = toolchain.build_toolchain(cache, steps.build, versions)
    with steps.step("node image"):
        return built, image.build_image(cache, built, steps.build)


def is_cold(cache: Path, versions: Versions) -> bool:
    """Return whether the cache lacks the node image of a set, the last part of its build."""
    try:
        return not (cache / "image" / image_key(toolchain.locate_toolchain(cache, versions)) / "rootfs").exists()
    except HostError:  # no Go: the build reports it
        return True


def find_foreign_ports(wanted: Mapping[str, Part], processes: Processes, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the ports that somebody else listens on, of parts that do not run, by the port's name."""
    return {
        name: numbers[name]
        for part in wanted.values()
        if processes.find(part.name) is None
        for name in part.ports
        if not ports.is_free(numbers[name])
    }


def _check_machine(folder: Path, cache: Path, versions: Versions, present: Stack | None = None) -> None:
    """Raise what stands in the way; a stack that runs has its memory and disk already."""
    cold = is_cold(cache, versions)
    programs = [*preflight.REQUIRED_PACKAGES, *(preflight.BUILD_PACKAGES if cold else ())]
    machine = preflight.inspect_host(programs, folder, cache, lambda: preflight.try_podman(folder))
    if present is not None and Processes(present.folder / "processes", present.id).find("apiserver"):
        needs = preflight.Requirements(disk=0, memory=0)
    else:
        needs = preflight.Requirements(preflight.COLD_DISK if cold else preflight.WARM_DISK, preflight.MEMORY)
    preflight.raise_problems(preflight.find_problems(machine, needs))


def _check_ports(present: Stack) -> None:
    processes = Processes(present.folder / "processes", present.id)
    if taken := find_foreign_ports(parts(present), processes, present.ports):
        raise ports.occupied_error(taken, ports.find_listener, present.folder)


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


def _create(folder: Path, cache: Path, subnet: str, versions: Versions, steps: Steps) -> Stack:
    with neighbours.lock_stacks(cache) as others:  # a subnet in use is told before an hour's build, not after
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
    return [*neighbours.parse_routes(routes.stdout), *(ipaddress.IPv4Network(one.subnet) for one in others)]
