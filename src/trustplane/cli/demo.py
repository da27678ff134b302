"""`trustplane demo`: the main job, end to end, on real Kubernetes."""

from pathlib import Path

import click

from trustplane.cli.console import Console
from trustplane.local.demo import play


@click.command()
@click.option(
    "--state", type=click.Path(path_type=Path), envvar="TRUSTPLANE_STATE", help="Folder of the stack's state."
)
@click.option("--cache", type=click.Path(path_type=Path), envvar="TRUSTPLANE_CACHE", help="Folder of the build cache.")
def command(state: Path | None, cache: Path | None) -> None:
    """Tell the main job on real clusters: from ErrImagePull to trust on every node.

    Starts a local stack, makes two clusters, and shows every claim with the real output of kubectl. At the end a
    registry and a node are broken; `trustplane diagnose` says why pulls fail, and what it says is done. Ends with
    status 1 where reality differs from the story. The stack stays up; `trustplane local down` removes it.
    """
    play.play(Console(), state=state, cache=cache)
