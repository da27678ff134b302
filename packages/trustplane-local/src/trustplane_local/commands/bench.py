"""`trustplane bench`: measurements on real clusters of the local stack."""

import asyncio
from pathlib import Path

import click

from trustplane.cli.console import Console, console
from trustplane.cli.output import echo_json
from trustplane_local.commands.local import CACHE, WIDE_COLUMNS
from trustplane_local.commands.terminal import Terminal
from trustplane_local.stack import default_folder


@click.group("bench")
def command() -> None:
    """Run benchmarks on real clusters, in a separate local stack."""


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
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Repetitions of each change.")
@click.option(
    "--replace-control-plane/--no-replace-control-plane",
    "replace_three",
    default=True,
    show_default=True,
    help="Also measure the replacement of a control plane of three; takes a few minutes.",
)
@click.option("--keep", is_flag=True, help="Leave the stack up.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format.",
)
def update(*, folder: Path, cache: Path, runs: int, replace_three: bool, keep: bool, output: str) -> None:
    """Measure trust changes in place, and compare them with replacement.

    Starts a local stack with a cluster of 1 control plane node and 3 workers. Adds, replaces and removes a CA five
    times in place, under a load of pulls and pods, then adds it by replacement. Repeats this with 3 control plane
    nodes. Prints the seconds from apply until Trustplane reports that every machine has proven the change, the medians
    and their targets, and the effects on users. Removes the stack at the end.
    """
    from trustplane_local.bench import update as benchmark  # noqa: PLC0415 - keeps `--help` fast
    from trustplane_local.bench.result import load_table, result_to_json, timing_table  # noqa: PLC0415
    from trustplane_local.down import remove_stack  # noqa: PLC0415
    from trustplane_local.up import start_stack  # noqa: PLC0415

    progress = Console(stderr=output == "json")
    stack = start_stack(folder, cache, steps=Terminal(progress))
    try:
        result = asyncio.run(benchmark.run_benchmark(stack, progress, runs=runs, replace_three=replace_three))
    finally:
        if not keep:
            remove_stack(folder, Terminal(progress))
    if output == "json":
        echo_json(result_to_json(result))
        return
    wide = console(width=WIDE_COLUMNS)
    wide.print(timing_table(result.timings))
    wide.print(load_table(result))
    agreeing = len(result.checks) - len(result.disagreements)
    wide.print(f"Independent pulls agree after {agreeing} of {len(result.checks)} changes")
    for check in result.disagreements:
        wide.print(f"{check.title}: {check.message}")
