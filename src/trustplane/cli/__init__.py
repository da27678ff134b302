"""The command line: a root command with lazily imported subcommands, and the display of errors."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from trustplane.cli.commands import commands, find_module
from trustplane.cli.output import echo, guard_streams, safe
from trustplane.errors import TrustplaneError


class Root(click.Group):
    """The root command. Its help imports no subcommand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        del ctx
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        del ctx
        module = find_module(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in commands().items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments; sanitise usage errors."""
        with _safe_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; sanitise usage errors."""
        with _safe_usage():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; print a TrustplaneError with its reason and next step."""
        guard_streams()
        with contextlib.suppress(RuntimeError):  # a user without a home directory
            # Services run without HOME, but Go and kubectl, started by Trustplane, need it for their caches.
            os.environ.setdefault("HOME", str(Path.home()))
        try:
            return super().main(*args, **kwargs)
        except TrustplaneError as error:
            show_error(error)
            sys.exit(error.exit_code)


@contextlib.contextmanager
def _safe_usage() -> Iterator[None]:
    """Sanitise click's messages: a script's arguments may come from untrusted sources."""
    try:
        yield
    except click.ClickException as error:
        error.message = safe(error.message)  # type: ignore[misc] # final to type checkers only
        raise


def show_error(error: TrustplaneError) -> None:
    """Print an error to standard error: one part per line, continuation lines indented."""
    echo(f"Error: {error.what.rstrip('.')}", err=True)
    for title, text in (("Why", error.why), ("Next", error.next_step)):
        if text:
            indented = text.replace("\n", f"\n{' ' * 8}")
            echo(f"{title + ':':>6}  {indented}", err=True)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  click's signature
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - half of the start-up of a command

    try:
        number = version("trustplane")
    except PackageNotFoundError:  # not installed
        number = "from sources"
    echo(f"trustplane, version {number}")
    ctx.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Get started: `trustplane demo`. Local sandbox: `trustplane local up`.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log details to standard error.")
def main(*, verbose: bool) -> None:
    """Make every node of every Kubernetes cluster trust private registries' certificate authorities, and prove it.

    Trustplane uses the objects of VMware's TKG Service (TkgServiceConfiguration, TanzuKubernetesCluster) and Cluster
    API, on any infrastructure.
    """
    if verbose:
        from trustplane.cli.service import log_to_stderr  # noqa: PLC0415 - keeps `--help` fast

        log_to_stderr(verbose=True)
