"""`trustplane prove`: make kubelets pull from their registries now, and wait for the results."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path

import click

from trustplane.api.clustertrust import ACCEPTED, PROVE_REQUESTED_AT, TRUSTED
from trustplane.api.keys import Key, key_of
from trustplane.cli.console import console
from trustplane.cli.epilog import examples
from trustplane.cli.options import kubeconfig_of, output, table, time
from trustplane.cli.output import echo, echo_json
from trustplane.cli.prove.direct import prove_directly
from trustplane.cli.prove.rows import Row, read_rows
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.errors import TransientError, UserError
from trustplane.kube.client import Client
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, MACHINES
from trustplane.kube.tasks import beside
from trustplane.trust.recorded import parse_time
from trustplane.trust.request_times import next_request_time

INTERRUPTED = 130  # the exit status of shells after SIGINT
UNVERIFIED = 3  # exit status: every node accepted the registries, but for some, verification is unknown


@click.command(
    "prove",
    epilog=examples(
        ("trustplane prove shop -n team-a", "one cluster, every Registry that selects it"),
        ("trustplane prove --all --registry registry.corp:5000", "all clusters, one registry"),
        ("trustplane prove --kubeconfig any.kubeconfig --registry harbor.corp", "any other cluster"),
    ),
)
@click.argument("names", metavar="[CLUSTER...]", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="All clusters of the namespace; without one, of all namespaces."
)
@click.option("-n", "--namespace", default="", help="Namespace of the clusters. Default: default; with --all: all.")
@click.option("--registry", default="", metavar="HOST[:PORT]", help="Check only this registry.")
@click.option("--image", default="", help="Without CLUSTER: an existing image of the registry to pull.")
@kubeconfig_of("Management cluster; without CLUSTER and --all: the cluster to probe")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds to wait; without CLUSTER and --all: per node, at most 60.",
)
@output
def command(
    *,
    names: tuple[str, ...],
    everything: bool,
    namespace: str,
    registry: str,
    image: str,
    kubeconfig: Path | None,
    timeout: float,
    output: str,
) -> None:
    """Make the kubelet of every node pull from its registries now, and show the verdicts.

    A node is proven by its own pull after its last change, including control plane, cordoned and tainted nodes. With
    CLUSTER or --all, the command works on clusters of the management cluster, and `trustplane manager` runs the pulls.
    Otherwise it runs them directly on the cluster of --kubeconfig, where nothing needs to be installed.

    A successful pull does not show whether the kubelet verified the certificate. `Trusted` means that the node's
    registry configuration, read over SSH, enforces the verification; `Accepted`, that this configuration is unknown,
    as always without CLUSTER.

    Exit status: 0 every node is proven; 1 some are not; 3 every node accepted its registries, but for some,
    verification is unknown; 2 wrong usage, unknown cluster, or nothing to prove; 75 timeout; 130 interrupted.
    """
    if everything and names:
        raise click.UsageError("Pass either clusters or --all.")
    if not everything and not names and not registry:
        raise click.UsageError("Pass clusters or --all, or --registry to probe a cluster directly.")
    if image and (names or everything):
        raise click.UsageError(
            "--image requires a direct probe, without CLUSTER and --all; otherwise set it in the Registry."
        )
    log_to_stderr(verbose=is_verbose(), quiet=True)
    managed = everything or bool(names)
    work = (
        _managed(kubeconfig, names, namespace or ("" if everything else "default"), registry, timeout)
        if managed
        else prove_directly(kubeconfig, registry, image, timeout=timeout, show=_progress)
    )
    try:
        rows = asyncio.run(work)
    except KeyboardInterrupt:
        echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    _show(rows, output)
    if not rows:
        raise UserError(
            "Nothing to prove",
            why="no Registry selects these clusters, or they have no nodes",
            next_step="Create a Registry: see `kubectl explain registry.spec`",
        )
    if any(row.is_waiting for row in rows):
        raise TransientError(
            f"Some nodes have no result after {timeout:g} s",
            why="a node is down, its cluster does not answer, or `trustplane manager` is not running",
            next_step="Check: trustplane status CLUSTER",
        )
    sys.exit(_exit_status({row.verdict for row in rows}))


def _exit_status(verdicts: AbstractSet[str]) -> int:
    if verdicts <= {TRUSTED}:
        return 0
    return UNVERIFIED if verdicts <= {TRUSTED, ACCEPTED} else 1


async def _managed(
    kubeconfig: Path | None, names: Sequence[str], namespace: str, registry: str, timeout: float
) -> list[Row]:
    async with Client.open(kubeconfig) as client:
        requests = {key: await _request(client, key) for key in await _select(client, names, namespace)}
        return await _follow(client, requests, registry, timeout)


async def _select(client: Client, names: Sequence[str], namespace: str) -> list[Key]:
    known = {key_of(trust) for trust in await client.list(CLUSTER_TRUSTS, namespace)}
    if not names:
        return sorted(known)
    missing = [name for name in names if Key(namespace, name) not in known]
    if missing:
        raise UserError(
            f"Namespace {namespace} has no cluster {', '.join(missing)} with a ClusterTrust",
            next_step="See `trustplane status`, or pass another namespace with -n",
        )
    return [Key(namespace, name) for name in dict.fromkeys(names)]


async def _request(client: Client, key: Key) -> datetime:
    cluster = await client.get(CLUSTERS, key.name, key.namespace)
    last = parse_time(cluster.metadata.annotations.get(PROVE_REQUESTED_AT, ""))
    at = next_request_time(datetime.now(UTC), requested=last)
    body = {"metadata": {"annotations": {PROVE_REQUESTED_AT: at.isoformat(timespec="microseconds")}}}
    await client.patch(CLUSTERS, key.name, key.namespace, body)
    return at


async def _follow(client: Client, requests: Mapping[Key, datetime], registry: str, timeout: float) -> list[Row]:
    machines, changed = Informer(client, MACHINES), asyncio.Event()
    machines.subscribe(lambda _: changed.set())
    rows: list[Row] = []
    reported: set[Row] = set()
    try:
        async with asyncio.timeout(timeout), beside(machines.run()):
            while True:
                changed.clear()
                rows = [row for key, at in requests.items() for row in await read_rows(client, key, at, registry)]
                for row in rows:
                    if not row.is_waiting and row not in reported:
                        reported.add(row)
                        _progress(row)
                if not any(row.is_waiting for row in rows):
                    break
                await changed.wait()
    except TimeoutError:
        pass
    return rows


def _progress(row: Row) -> None:
    echo(row.text, err=True)


def _show(rows: Sequence[Row], output: str) -> None:
    if output == "json":
        document = [
            {
                "namespace": row.cluster.namespace,
                "cluster": row.cluster.name,
                "node": row.node,
                "registry": row.registry,
                "verdict": row.verdict or None,
                "pulled": row.pulled,
                "provenAt": time(row.at),
                "message": row.message,
            }
            for row in rows
        ]
        echo_json(document)
        return
    lines = table("CLUSTER", "NODE", "REGISTRY", "VERDICT", "MESSAGE")
    for row in rows:
        message = row.message or ("the image was pulled" if row.pulled else "")
        lines.add_row(str(row.cluster), row.node, row.registry, row.verdict or "-", message)
    console().print(lines)
