"""Tables of `trustplane local status`."""

import datetime as dt

from rich.table import Table
from rich.text import Text

from trustplane.cli.console import Console
from trustplane_local.status import ClusterStatus, ContainerStatus, PartStatus, StackStatus


def show_stack(console: Console, status: StackStatus) -> None:
    """Print the parts, containers and clusters of a stack."""
    versions = f"Kubernetes {status.kubernetes_version} (versions {status.versions})"
    console.print(f"Stack {status.id} in {status.folder}: {versions}, {status.subnet}")
    for table in (_parts(status.parts), _containers(status.containers), _clusters(status.clusters)):
        console.print()
        console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _parts(parts: list[PartStatus]) -> Table:
    table = _table("PART", "PID", "READY", "AGE", "PORTS", "MESSAGE")
    for part in parts:
        ports = ", ".join(f"{_use(part.name, name)}{port}" for name, port in part.ports.items())
        ready = Text("yes", "green") if part.ready else Text("no", "red")
        table.add_row(part.name, str(part.pid or "-"), ready, _age(part.since), ports, part.message)
    return table


def _use(part: str, port: str) -> str:
    use = port.removeprefix(part).removeprefix("-")
    return f"{use} " if use else ""


def _age(since: dt.datetime | None) -> str:
    """Return the time since then in the style of kubectl: the largest unit that fits."""
    if since is None:
        return "-"
    seconds = int((dt.datetime.now(dt.UTC) - since).total_seconds())
    units = ((86400, "d"), (3600, "h"), (60, "m"))
    return next((f"{seconds // size}{unit}" for size, unit in units if seconds >= 2 * size), f"{seconds}s")


def _containers(containers: list[ContainerStatus]) -> Table:
    table = _table("CONTAINER", "ROLE", "STATE")
    for container in containers:
        colour = "green" if container.state == "running" else "red"
        table.add_row(container.name, container.role or "-", Text(container.state, colour))
    return table


def _clusters(clusters: list[ClusterStatus] | None) -> Table | str:
    if clusters is None:
        return "Clusters: the apiserver does not answer"
    if not clusters:
        return "No clusters"
    table = _table("CLUSTER", "PHASE", "AVAILABLE")
    for cluster in clusters:
        table.add_row(f"{cluster.namespace}/{cluster.name}", cluster.phase, "yes" if cluster.available else "no")
    return table
