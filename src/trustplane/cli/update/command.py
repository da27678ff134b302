"""`trustplane update`: request that clusters take the desired trust set now, and follow their updates."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table

from trustplane.api.annotations import REPLACE_UNREACHABLE, TRUST_PIN, UPDATE_REQUESTED_AT
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.cli.console import Console
from trustplane.cli.epilog import examples
from trustplane.cli.options import kubeconfig, namespace_option, output
from trustplane.cli.output import echo, echo_json
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.cli.update.following import Follower
from trustplane.errors import TransientError, UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, TANZU_CLUSTERS
from trustplane.reporting.progress import (
    COMPLETED_STATES,
    UPDATE_NOT_PROVEN,
    UPDATE_REFUSED,
    UPDATE_STOPPED,
    UPDATE_WAITING,
    UpdateProgress,
    update_progress,
)
from trustplane.trust.propagation import PropagationRecord
from trustplane.trust.request_times import next_request_time

INTERRUPTED = 130  # the exit status in shells after SIGINT


@click.command(
    "update",
    epilog=examples(
        ("trustplane update shop -n team-a", "update a cluster, and wait for the proofs of its nodes"),
        ("trustplane update --all --no-wait", "only request updates; check with `trustplane status`"),
    ),
)
@click.argument("names", metavar="CLUSTER...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Update every cluster, or every cluster of the namespace.")
@click.option(
    "-n", "--namespace", default="", help="Namespace of the clusters. Default: `default`; with --all: all namespaces."
)
@kubeconfig
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until every machine has the desired set.")
@click.option("--prove/--no-prove", default=True, show_default=True, help="Also wait for the proof of every node.")
@click.option(
    "--replace-unreachable",
    is_flag=True,
    help="Replace unreachable machines, one at a time; those of a control plane need a MachineHealthCheck.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds to wait; the update continues afterwards.",
)
@output
def command(  # noqa: PLR0913  an argument for each option
    *,
    names: tuple[str, ...],
    everything: bool,
    namespace: str,
    kubeconfig: Path | None,
    wait: bool,
    prove: bool,
    replace_unreachable: bool,
    timeout: float,
    output: str,
) -> None:
    """Update clusters to the desired trust set now, and prove it.

    By default, a changed TkgServiceConfiguration reaches existing clusters with their next update: this command.
    A cluster that already has the desired set does not change. Repeating the command is safe.

    Exit status: 0 all clusters are current, and have proven it for all registries that select them (with --no-wait: the
    update is requested); 1 a list is refused, a node does not trust a registry with the new set, or a proof is only
    Accepted or Unclear; 2 wrong usage or unknown cluster; 75 timeout; 130 interrupted. In the last two cases the update
    continues.
    """
    if everything == bool(names):
        raise click.UsageError("Pass names of clusters, or --all.")
    log_to_stderr(verbose=is_verbose(), quiet=True)
    namespace = namespace or ("" if everything else "default")
    try:
        results = asyncio.run(
            _update(
                kubeconfig,
                names,
                namespace,
                timeout=timeout if wait else 0.0,
                prove=prove,
                replace_unreachable=replace_unreachable,
            )
        )
    except KeyboardInterrupt:
        echo(f"Interrupted. The update continues. Check: kubectl get tkc {namespace_option(namespace)}", err=True)
        sys.exit(INTERRUPTED)
    conclude(results, namespace, output=output, timeout=timeout if wait else 0.0)


def conclude(results: Sequence[UpdateProgress], namespace: str, *, output: str, timeout: float) -> None:
    """Print the clusters' progress, and exit accordingly; a timeout of 0 means that the command has not waited.

    Raises:
        TransientError: An update is not complete at the timeout.
    """
    echo_json(_json(results)) if output == "json" else Console().print(_table(results))
    if timeout:
        _exit_by(results, namespace, timeout)


async def _update(
    kubeconfig: Path | None,
    names: Sequence[str],
    namespace: str,
    *,
    timeout: float,
    prove: bool,
    replace_unreachable: bool,
) -> list[UpdateProgress]:
    async with Client.open(kubeconfig) as client:
        tkcs = await _find(client, names, namespace)
        handled = await _handled_requests(client, namespace)
        requests = {
            key: await _request(client, key, handled.get(key), replace_unreachable=replace_unreachable)
            for key in (key_of(tkc) for tkc in tkcs)
        }
        if not timeout:
            return [UpdateProgress(key=key, state=UPDATE_WAITING, message="requested") for key in requests]
        follower = Follower(client, namespace, lambda progress: echo(progress.line, err=True), prove=prove)
        readers = {key: partial(update_progress, requested_at=at) for key, at in requests.items()}
        return await follower.follow(readers, timeout=timeout)


async def _find(client: Client, names: Sequence[str], namespace: str) -> list[TanzuKubernetesCluster]:
    if not names:
        return await client.list(TANZU_CLUSTERS, namespace)
    everything = {tkc.metadata.name: tkc for tkc in await client.list(TANZU_CLUSTERS, namespace)}
    missing = [name for name in names if name not in everything]
    if missing:
        raise UserError(
            f"Namespace {namespace} has no TanzuKubernetesCluster {', '.join(missing)}",
            next_step=f"See `kubectl get tkc {namespace_option(namespace)}`, or pass another namespace with -n",
        )
    return [everything[name] for name in dict.fromkeys(names)]


async def _handled_requests(client: Client, namespace: str) -> dict[Key, datetime | None]:
    """Return the time of the last handled request, by cluster."""
    records = {
        key_of(cluster): PropagationRecord.from_annotations(cluster.metadata.annotations)
        for cluster in await client.list(CLUSTERS, namespace)
    }
    return {key: record.handled_at for key, record in records.items() if record}


async def _request(client: Client, key: Key, handled: datetime | None, *, replace_unreachable: bool) -> datetime:
    at = next_request_time(datetime.now(UTC), handled=handled)
    text = at.isoformat(timespec="microseconds")
    # An update ends an undo.
    annotations = {
        UPDATE_REQUESTED_AT: text,
        REPLACE_UNREACHABLE: text if replace_unreachable else None,
        TRUST_PIN: None,
    }
    body: Json = {"metadata": {"annotations": annotations}}
    await client.patch(TANZU_CLUSTERS, key.name, key.namespace, body)
    return at


def _exit_by(results: Sequence[UpdateProgress], namespace: str, timeout: float) -> None:
    if any(progress.state in (UPDATE_REFUSED, UPDATE_STOPPED, UPDATE_NOT_PROVEN) for progress in results):
        sys.exit(1)
    late = [str(progress.key) for progress in results if progress.state not in COMPLETED_STATES]
    if late:
        raise TransientError(
            f"Not current and proven after {timeout:g} s: {', '.join(late)}",
            why="the update takes longer; it continues",
            next_step=f"Check: kubectl get tkc {namespace_option(namespace)}; or run the same command again to wait",
        )


def _json(results: Sequence[UpdateProgress]) -> list[Json]:
    return [
        {
            "namespace": progress.key.namespace,
            "name": progress.key.name,
            "state": progress.state,
            "machines": progress.machines,
            "upToDate": progress.up_to_date,
            "message": progress.message,
        }
        for progress in results
    ]


def _table(results: Sequence[UpdateProgress]) -> Table:
    table = Table("NAMESPACE", "NAME", "STATE", "UP TO DATE", "MESSAGE", box=None)
    for progress in results:
        count = f"{progress.up_to_date}/{progress.machines}" if progress.machines else ""
        table.add_row(progress.key.namespace, progress.key.name, progress.state, count, progress.message)
    return table
