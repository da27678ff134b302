"""`trustplane update`: have clusters take the current trust now, and watch them do so."""

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
from trustplane.cli.options import kubeconfig
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

INTERRUPTED = 130  # as shells report a program that SIGINT ended


@click.command(
    "update",
    epilog=examples(
        ("trustplane update shop -n team-a", "one cluster, until its nodes have proven it"),
        ("trustplane update --all --no-wait", "only ask; see `trustplane status`"),
    ),
)
@click.argument("names", metavar="CLUSTER...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every cluster of the namespace, or of all without one.")
@click.option("-n", "--namespace", default="", help="Namespace of the clusters. Default: default; with --all: all.")
@kubeconfig
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until every machine has the trust.")
@click.option("--prove/--no-prove", default=True, show_default=True, help="Wait until every node has proven it, too.")
@click.option(
    "--replace-unreachable",
    is_flag=True,
    help="Have machines replaced that cannot be reached, one at a time; of a control plane by its MachineHealthCheck.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds to wait; the update goes on afterwards.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
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
    """Have existing clusters take the current trust now, and prove it.

    A change of the service's configuration waits on existing clusters for their next update; this is that update.
    Nothing is rolled on a cluster that has the current trust already. Asking again is safe.

    Exit status: 0 all clusters are current, and proven as far as a Registry selects them (with --no-wait: the update is
    requested); 1 a list is refused, or a node does not trust a registry with what it took, or was not seen to verify
    it; 2 wrong usage or an unknown cluster; 75 the time is up; 130 interrupted. The update goes on in the last two
    cases.
    """
    if everything == bool(names):
        raise click.UsageError("Name clusters, or say --all.")
    log_to_stderr(verbose=is_verbose(), quiet=True)
    namespace = namespace or ("" if everything else "default")
    try:
        found = asyncio.run(
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
        echo(f"Interrupted. The update goes on. Look: kubectl get tkc {_where(namespace)}", err=True)
        sys.exit(INTERRUPTED)
    conclude(found, namespace, output=output, timeout=timeout if wait else 0.0)


def conclude(found: Sequence[UpdateProgress], namespace: str, *, output: str, timeout: float) -> None:
    """Print where clusters are, and exit by it; with a timeout of 0 nobody has waited.

    Raises:
        TransientError: The time was up.
    """
    echo_json(_json(found)) if output == "json" else Console().print(_table(found))
    if timeout:
        _judge(found, namespace, timeout)


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
        follower = Follower(client, namespace, lambda one: echo(one.line, err=True), prove=prove)
        looks = {key: partial(update_progress, requested_at=at) for key, at in requests.items()}
        return await follower.follow(looks, timeout=timeout)


async def _find(client: Client, names: Sequence[str], namespace: str) -> list[TanzuKubernetesCluster]:
    if not names:
        return await client.list(TANZU_CLUSTERS, namespace)
    everything = {tkc.metadata.name: tkc for tkc in await client.list(TANZU_CLUSTERS, namespace)}
    missing = [name for name in names if name not in everything]
    if missing:
        raise UserError(
            f"There is no TanzuKubernetesCluster {', '.join(missing)} in namespace {namespace}",
            next_step=f"See `kubectl get tkc {_where(namespace)}`, or name another namespace with -n",
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


def _judge(found: Sequence[UpdateProgress], namespace: str, timeout: float) -> None:
    if any(one.state in (UPDATE_REFUSED, UPDATE_STOPPED, UPDATE_NOT_PROVEN) for one in found):
        sys.exit(1)
    late = [str(one.key) for one in found if one.state not in COMPLETED_STATES]
    if late:
        raise TransientError(
            f"After {timeout:g} s not every cluster is current and proven: {', '.join(late)}",
            why="the update takes longer; it goes on",
            next_step=f"Look: kubectl get tkc {_where(namespace)}; or wait on with the same command",
        )


def _where(namespace: str) -> str:
    return f"-n {namespace}" if namespace else "-A"


def _json(found: Sequence[UpdateProgress]) -> list[Json]:
    return [
        {
            "namespace": one.key.namespace,
            "name": one.key.name,
            "state": one.state,
            "machines": one.machines,
            "upToDate": one.up_to_date,
            "message": one.message,
        }
        for one in found
    ]


def _table(found: Sequence[UpdateProgress]) -> Table:
    table = Table("NAMESPACE", "NAME", "STATE", "UP TO DATE", "MESSAGE", box=None)
    for one in found:
        count = f"{one.up_to_date}/{one.machines}" if one.machines else ""
        table.add_row(one.key.namespace, one.key.name, one.state, count, one.message)
    return table
