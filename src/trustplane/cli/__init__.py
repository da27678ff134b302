"""The command line: a root command that imports a subcommand only when it is used, and how errors are shown."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from trustplane.cli.output import echo, guard, safe
from trustplane.errors import TrustplaneError

# name: (module, what `trustplane --help` says). The module has the click command as `command`.
COMMANDS = MappingProxyType(
    {
        "bench": ("trustplane.cli.bench", "Measure on real clusters of a local stack of its own."),
        "check": ("trustplane.cli.check", "Say what nodes will make of lists of CAs."),
        "class": (
            "trustplane.cli.cluster_class",
            "Have machines of your own ClusterClass, or of none, boot with trust.",
        ),
        "demo": (
            "trustplane.cli.demo",
            "Tell the main job on real clusters: from ErrImagePull to trust on every node.",
        ),
        "diagnose": ("trustplane.cli.diagnose", "Say why an image pull failed, by all that can be looked at."),
        "explain": ("trustplane.cli.explain", "Say why an image pull failed, by its message."),
        "undo": ("trustplane.cli.undo", "Bring a cluster's earlier trust back."),
        "webhook": ("trustplane.cli.webhook", "Judge trust lists for the API server."),
        "fetch-ca": (
            "trustplane.cli.fetch_ca",
            "Show the chain that a registry serves, and propose the entry to add.",
        ),
        "local": ("trustplane.cli.local", "Real Kubernetes clusters on this machine, with one command."),
        "manager": ("trustplane.cli.manager", "Run the controllers."),
        "plan": ("trustplane.cli.plan", "Say what a manifest would do, before anyone applies it."),
        "prove": ("trustplane.cli.prove", "Have every node prove now that it trusts its registries."),
        "status": ("trustplane.cli.status", "Say who trusts what, and who proved it."),
        "update": ("trustplane.cli.update", "Bring a cluster's trust up to date now."),
    }
)


class Root(click.Group):
    """The root command. Its own help needs no module of any subcommand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; what is wrong with them is said in safe text."""
        with _safe_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what is wrong with its arguments is said in safe text."""
        with _safe_usage():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and show our errors as what happened, why, and what to do next."""
        guard()
        with contextlib.suppress(RuntimeError):  # a user without a home
            # Services have no HOME, and Go and kubectl, which are started from here, look for their caches there.
            os.environ.setdefault("HOME", str(Path.home()))
        try:
            return super().main(*args, **kwargs)
        except TrustplaneError as error:
            show(error)
            sys.exit(error.exit_code)


@contextlib.contextmanager
def _safe_usage() -> Iterator[None]:
    """Make safe what click prints itself: arguments of scripts may come from anywhere."""
    try:
        yield
    except click.ClickException as error:
        error.message = safe(error.message)  # type: ignore[misc] # final to type checkers only
        raise


def show(error: TrustplaneError) -> None:
    """Print an error to standard error: one part a line, continued lines indented."""
    echo(f"Error: {error.what.rstrip('.')}", err=True)
    for title, text in (("Why", error.why), ("Next", error.next_step)):
        if text:
            indented = text.replace("\n", f"\n{' ' * 8}")
            echo(f"{title + ':':>6}  {indented}", err=True)


def _version() -> str:
    try:
        return version("trustplane")
    except PackageNotFoundError:  # run from its sources
        return "from sources"


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="A first look: `trustplane demo`. An own playground: `trustplane local up`.",
)
@click.version_option(_version(), prog_name="trustplane")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to standard error.")
def main(*, verbose: bool) -> None:
    """Make every node of every Kubernetes cluster trust private registries' certificate authorities, and prove it.

    The objects are those of VMware's TKG Service (TkgServiceConfiguration, TanzuKubernetesCluster); the engine is
    Cluster API, on any infrastructure.
    """
    if verbose:
        from trustplane.cli.service import log_to_stderr  # noqa: PLC0415 - keeps `--help` fast

        log_to_stderr(verbose=True)
