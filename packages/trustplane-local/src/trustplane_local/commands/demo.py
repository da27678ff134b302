"""`trustplane demo`: the end-to-end demo on real Kubernetes."""

from pathlib import Path

import click

from trustplane.cli.console import Console
from trustplane_local.demo import play


@click.command()
@click.option(
    "--state", type=click.Path(path_type=Path), envvar="TRUSTPLANE_STATE", help="Directory of the stack's state."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), envvar="TRUSTPLANE_CACHE", help="Directory of the build cache."
)
def command(state: Path | None, cache: Path | None) -> None:
    """Run the end-to-end demo on real clusters: from ErrImagePull to trust on every node.

    Starts a local stack, creates two clusters, and backs every claim with real output of kubectl. At the end, it breaks
    a registry and a node, and fixes them as `trustplane diagnose` advises. Exits with status 1 if a result differs from
    the expected one. The stack stays up; `trustplane local down` removes it.
    """
    play.play_demo(Console(), state=state, cache=cache)
