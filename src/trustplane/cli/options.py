"""Options and formatting shared by several commands."""

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
        cluster: The cluster that it gives access to, for the help text.
        in_cluster: Whether the command may also run in a cluster, with the credentials of its pod.
    """
    default = "$KUBECONFIG, ~/.kube/config, or the in-cluster configuration" if in_cluster else _KUBECONFIGS
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option("--kubeconfig", type=path, help=f"{cluster}. Default: {default}.")


kubeconfig = kubeconfig_of("Management cluster")
output = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Output format."
)


def table(*columns: str) -> Table:
    """Return an empty table in the style of kubectl."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        empty.add_column(column, overflow="fold")
    return empty


def age(since: datetime | None) -> str:
    """Return the time since then in the style of kubectl: the largest unit that fits."""
    if since is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - since).total_seconds()))
    units = ((86400, "d"), (3600, "h"), (60, "m"))
    return next((f"{seconds // size}{unit}" for size, unit in units if seconds >= 2 * size), f"{seconds}s")


def namespace_option(namespace: str) -> str:
    """Return kubectl's option for a namespace; empty: all namespaces."""
    return f"-n {namespace}" if namespace else "-A"


def time(value: datetime | None) -> Any:
    """Format a time for JSON; None stays None."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value else None


def follow(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options for contacting further hosts; pass them to the command as a `Follow` named `follow`."""

    @click.option("--follow-hosts", is_flag=True, help="Contact token services and blob hosts on other sites.")
    @click.option("--follow-aia", is_flag=True, help="Fetch missing issuers from the URLs in certificates.")
    @functools.wraps(function)
    def command(*arguments: Any, follow_hosts: bool, follow_aia: bool, **others: Any) -> None:
        function(*arguments, follow=Follow(hosts=follow_hosts, issuers=follow_aia), **others)

    return command
