"""Where the log of a part is: a file, what a container printed, or a machine's journal."""

import os
from pathlib import Path

from trustplane_local import naming
from trustplane_local import podman as containers
from trustplane_local.podman import ObservedContainer, Podman
from trustplane_local.process import Processes
from trustplane_local.stack import Stack
from trustplane_local.supervisor import START_ORDER


async def log_command(stack: Stack, part: str, *, lines: int, follow: bool) -> tuple[list[str], dict[str, str]]:
    """Return the command that prints a log, and its environment.

    Raises:
        UserError: nothing has that name; the message lists what has one.
    """
    if part in START_ORDER:
        file = Processes(stack.folder / "processes", stack.id).log(part)
        return _file(file, lines=lines, follow=follow), dict(os.environ)
    found = naming.find_container(part, await Podman(stack).list())
    environment = containers.podman_environment(stack.folder / "podman", os.environ)
    return _container(found, lines=lines, follow=follow), environment


def _file(file: Path, *, lines: int, follow: bool) -> list[str]:
    return ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), str(file)]


def _container(found: ObservedContainer, *, lines: int, follow: bool) -> list[str]:
    """Machines keep a journal; the others print."""
    followed = ["--follow"] if follow else []
    if naming.is_machine(found):
        return ["podman", "exec", found.name, "journalctl", "--no-pager", f"--lines={lines}", *followed]
    return ["podman", "logs", f"--tail={lines}", *followed, found.name]
