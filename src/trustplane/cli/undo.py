"""`trustplane undo`: restore a cluster's previous trust set until the next update."""

import asyncio
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from trustplane.api.annotations import TRUST_PIN, UPDATE_REQUESTED_AT
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.cli.epilog import examples
from trustplane.cli.options import kubeconfig, output
from trustplane.cli.output import echo
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.cli.update.command import INTERRUPTED, conclude
from trustplane.cli.update.following import Follower
from trustplane.clusterapi import secret
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTERS, SECRETS, TANZU_CLUSTERS
from trustplane.reporting.progress import UPDATE_WAITING, UpdateProgress, undo_progress
from trustplane.trust.entries import EMPTY_SET, TrustSet, compare_sets
from trustplane.trust.propagation import PropagationRecord, UndoPin
from trustplane.trust.recorded import parse_time
from trustplane.trust.removal import compare_fingerprints, fingerprints_by_name
from trustplane.trust.request_times import next_request_time


@click.command(
    "undo",
    epilog=examples(
        ("trustplane undo shop -n team-a", "restore the previous trust, and wait for the proofs"),
        ("trustplane update shop -n team-a", "take the current lists again"),
    ),
)
@click.argument("name", metavar="CLUSTER")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the cluster.")
@kubeconfig
@click.option("--allow-removal", is_flag=True, help="Allow the removal of more than half of the certificates.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until every node has proven its trust.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds to wait; the change continues afterwards.",
)
@output
def command(
    *,
    name: str,
    namespace: str,
    kubeconfig: Path | None,
    allow_removal: bool,
    wait: bool,
    timeout: float,
    output: str,
) -> None:
    """Restore a cluster's previous trust set. Like every change, it reaches one node first.

    The cluster is pinned to this set, regardless of the lists, until the next `trustplane update`; `trustplane status`
    shows it. The lists do not change. A second undo restores the newer set.

    Exit status: 0 every node has the set again, and has proven it for all registries that select the cluster (with
    --no-wait: the change is requested); 1 a node does not trust a registry with this set; 2 wrong usage, unknown
    cluster, no previous set, or too many removals; 75 timeout; 130 interrupted. In the last two cases the change
    continues.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    key = Key(namespace, name)
    try:
        results = asyncio.run(_undo(kubeconfig, key, allow_removal=allow_removal, timeout=timeout if wait else 0.0))
    except KeyboardInterrupt:
        echo(f"Interrupted. The change continues. Check: trustplane status {name} -n {namespace}", err=True)
        sys.exit(INTERRUPTED)
    conclude(results, namespace, output=output, timeout=timeout if wait else 0.0)


async def _undo(kubeconfig: Path | None, key: Key, *, allow_removal: bool, timeout: float) -> list[UpdateProgress]:
    async with Client.open(kubeconfig) as client:
        tkc = await client.find(TANZU_CLUSTERS, key.name, key.namespace)
        if tkc is None:
            raise UserError(
                f"TanzuKubernetesCluster {key} does not exist",
                next_step=f"See `kubectl get tkc -n {key.namespace}`, or pass another namespace with -n",
            )
        frozen = await _check(client, key, allow_removal=allow_removal)
        digest = frozen.previous
        await _pin(client, key, UndoPin(digest, _pin_time(tkc, frozen), allow_removal))
        if not timeout:
            return [UpdateProgress(key=key, state=UPDATE_WAITING, message="requested")]
        follower = Follower(client, key.namespace, lambda progress: echo(progress.line, err=True), prove=True)
        return await follower.follow({key: partial(undo_progress, digest=digest)}, timeout=timeout)


async def _check(client: Client, key: Key, *, allow_removal: bool) -> PropagationRecord:
    """Return the cluster's record, which names a previous set, and print the changes.

    Raises:
        UserError: no previous set exists, or too much would be removed.
    """
    cluster = await client.find(CLUSTERS, key.name, key.namespace)
    frozen = PropagationRecord.from_annotations(cluster.metadata.annotations) if cluster else None
    if cluster is None or frozen is None or not frozen.previous:
        raise UserError(
            f"Cluster {key} has no previous trust set",
            next_step=f"See `trustplane status {key.name} -n {key.namespace}`",
        )
    before, now = await _read(client, cluster, frozen.previous), await _read(client, cluster, frozen.digest)
    lost = compare_fingerprints(fingerprints_by_name(now), fingerprints_by_name(before))
    if lost.needs_permission and not allow_removal:
        raise UserError(
            f"The undo would remove {len(lost.gone)} of {lost.before} certificates",
            why=f"the change is: {compare_sets(now, before).text}",
            next_step="To allow it, add --allow-removal",
        )
    echo(f"{key}: {compare_sets(now, before).text}", err=True)
    return frozen


async def _read(client: Client, cluster: Cluster, digest: str) -> TrustSet:
    if digest == EMPTY_SET.digest:
        return EMPTY_SET
    name = secret.set_secret_name(cluster.metadata.name, digest)
    stored = await client.find(SECRETS, name, cluster.metadata.namespace)
    trust = secret.parse_set_of_digest(stored, digest) if stored else None
    if trust is None:
        raise UserError(
            f"Secret {name} with an earlier trust set cannot be read",
            why="it was deleted or changed",
            next_step="Correct the trust list, and run `trustplane update`",
        )
    return trust


def _pin_time(tkc: TanzuKubernetesCluster, frozen: PropagationRecord) -> datetime:
    requested = parse_time(tkc.metadata.annotations.get(UPDATE_REQUESTED_AT, ""))
    return next_request_time(datetime.now(UTC), handled=frozen.handled_at, requested=requested)


async def _pin(client: Client, key: Key, pin: UndoPin) -> None:
    body: Json = {"metadata": {"annotations": {TRUST_PIN: pin.encode()}}}
    await client.patch(TANZU_CLUSTERS, key.name, key.namespace, body)
