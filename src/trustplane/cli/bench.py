"""`trustplane bench`: measurements on real clusters of the local stack."""

import asyncio
from pathlib import Path

import click

from trustplane.cli.console import Console
from trustplane.cli.local import CACHE
from trustplane.cli.terminal import Terminal
from trustplane.local.stack import default_folder


@click.group("bench")
def command() -> None:
    """Measure on real clusters of a local stack of its own."""


@command.command()
@click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: default_folder().with_name("bench"),
    show_default="trustplane/bench in $XDG_STATE_HOME or ~/.local/state",
    help="Folder of the stack.",
    callback=lambda _context, _option, value: value.absolute(),
)
@CACHE
@click.option("--keep", is_flag=True, help="Leave the stack up.")
def update(*, folder: Path, cache: Path, keep: bool) -> None:
    """Compare a change of trust in place with one by replacement.

    Starts a local stack, makes a cluster of 1 control plane and 3 workers, adds a CA in place, removes it, adds it
    again by replacement, and prints both times, from apply until the kubelet of every worker has proven it by a pull,
    and what a running pod and a loop of pulls felt. The stack is removed at the end.
    """
    from trustplane.local.bench import update as benchmark  # noqa: PLC0415 - keeps `--help` fast
    from trustplane.local.down import down  # noqa: PLC0415
    from trustplane.local.up import up  # noqa: PLC0415

    console = Console()
    stack = up(folder, cache, steps=Terminal(console))
    try:
        asyncio.run(benchmark.run(stack, console))
    finally:
        if not keep:
            down(folder, Terminal(console))
