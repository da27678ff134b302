"""Logs of parts: a file for a process, container output, or a machine's journal."""

import os
from pathlib import Path

from trustplane_local import naming
from trustplane_local import podman as containers
from trustplane_local.podman import ObservedContainer, Podman
from trustplane_local.process import Processes
from trustplane_local.stack import Stack
from trustplane_local.supervisor import START_ORDER


async def log_command(stack: Stack, part: str, *, lines: int, follow: bool) -> tuple[list[str], dict[str, str]]:
    """Return the command that prints a part's log, and its environment.

    Raises:
        UserError: No part has this name; the message lists the names.
    """
    if part in START_ORDER:
        file = Processes(stack.folder / "processes", stack.id).log(part)
        return _file(file, lines=lines, follow=follow), dict(os.environ)
    container = naming.find_container(part, await Podman(stack).list())
    environment = containers.podman_environment(stack.folder / "podman", os.environ)
    return _container(container, lines=lines, follow=follow), environment


def _file(file: Path, *, lines: int, follow: bool) -> list[str]:
    return ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), str(file)]


def _container(container: ObservedContainer, *, lines: int, follow: bool) -> list[str]:
    """Return the command for a container: a machine has a journal, other containers print their log."""
    options = ["--follow"] if follow else []
    if naming.is_machine(container):
        return ["podman", "exec", container.name, "journalctl", "--no-pager", f"--lines={lines}", *options]
    return ["podman", "logs", f"--tail={lines}", *options, container.name]
