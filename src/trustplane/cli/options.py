"""Options and small words that several commands share."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from trustplane.registry.inspection import Follow

_KUBECONFIGS = "$KUBECONFIG or ~/.kube/config"


def kubeconfig_of(cluster: str, *, in_cluster: bool = False) -> Callable[[Any], Any]:
    """Return option --kubeconfig.

    Args:
        cluster: Whose it is, as the help says it.
        in_cluster: Whether the command is one that runs in a cluster, too, and takes that one.
    """
    default = "$KUBECONFIG, ~/.kube/config, or the cluster that this runs in" if in_cluster else _KUBECONFIGS
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option("--kubeconfig", type=path, help=f"{cluster}. Default: {default}.")


kubeconfig = kubeconfig_of("Management cluster")
output = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="For whom."
)


def table(*columns: str) -> Table:
    """Return a table as kubectl draws it."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    return drawn


def age(since: datetime | None) -> str:
    """Return a span until now as kubectl writes it: the largest unit that fits."""
    if since is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - since).total_seconds()))
    units = ((86400, "d"), (3600, "h"), (60, "m"))
    return next((f"{seconds // size}{unit}" for size, unit in units if seconds >= 2 * size), f"{seconds}s")


def examples(*lines: tuple[str, str]) -> str:
    """Return an epilogue of examples: commands, and what they are for."""
    width = max(len(command) for command, _ in lines)
    return "\b\nExamples:\n" + "\n".join(f"  {command:<{width}}  {what}" for command, what in lines)


def where(namespace: str) -> str:
    """Return kubectl's option for a namespace, or for all."""
    return f"-n {namespace}" if namespace else "-A"


def time(value: datetime | None) -> Any:
    """Return a time for JSON."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None


def follow(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command with what is asked only where the operator wants it; it takes a `Follow` as `follow`."""

    @click.option("--follow-hosts", is_flag=True, help="Ask token services and blob hosts on other sites, too.")
    @click.option("--follow-aia", is_flag=True, help="Fetch issuers that are not served from where certificates say.")
    @functools.wraps(function)
    def command(*arguments: Any, follow_hosts: bool, follow_aia: bool, **others: Any) -> None:
        function(*arguments, follow=Follow(hosts=follow_hosts, issuers=follow_aia), **others)

    return command
