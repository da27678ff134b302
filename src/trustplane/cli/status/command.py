"""`trustplane status`: trust of clusters, its proofs, and differences."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from trustplane.api.clustertrust import CURRENT, PROVEN, ClusterTrust
from trustplane.api.conditions import TRUE
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json, condition
from trustplane.cli.console import console
from trustplane.cli.epilog import examples
from trustplane.cli.options import age, kubeconfig, namespace_option, output, table, time
from trustplane.cli.output import echo, echo_json
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.cli.status import risks
from trustplane.cli.status.nodes import NodeRow, node_rows
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS
from trustplane.reporting.cluster_trust import NOTHING_TO_PROVE
from trustplane.trust.entries import SHORT_DIGEST_LENGTH


@click.command(
    "status",
    epilog=examples(
        ("trustplane status", "the fleet"),
        ("trustplane status shop -n team-a", "one cluster: entries, nodes, differences"),
        ("trustplane status --at-risk", "pulls that will fail"),
        ("trustplane status -o json | jq '.[] | select(.good | not)'", "for scripts"),
    ),
)
@click.argument("cluster", metavar="[CLUSTER]", required=False)
@click.option("-n", "--namespace", default="", help="Namespace. Default: all; of a named CLUSTER: default.")
@click.option("--at-risk", is_flag=True, help="Show pulls that will fail soon, or with the next pod.")
@kubeconfig
@output
def command(*, cluster: str | None, namespace: str, at_risk: bool, kubeconfig: Path | None, output: str) -> None:
    """Show which clusters have the desired trust, and which have proven it.

    With CLUSTER: its entries with fingerprints, expiry and source, its nodes, and the differences.

    With --at-risk: images from registries that the cluster's nodes do not trust; certificates of registries and trust
    list entries that expire within 30 days; server certificates trusted instead of their CA, whose renewal breaks
    pulls. Registries without evidence are listed, but are not risks.

    Exit status: 0 all shown clusters are current and proven (or have nothing to prove), or no risk is known; 1 some
    are not, or a risk is known; 2 wrong usage or unknown cluster.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    if at_risk:
        good = asyncio.run(risks.report_risks(kubeconfig, namespace, cluster, output))
    elif cluster:
        good = asyncio.run(_report_cluster(kubeconfig, Key(namespace or "default", cluster), output))
    else:
        good = asyncio.run(_report_fleet(kubeconfig, namespace, output))
    sys.exit(0 if good else 1)


async def _report_fleet(kubeconfig: Path | None, namespace: str, output: str) -> bool:
    async with Client.open(kubeconfig) as client:
        trusts = sorted(await client.list(CLUSTER_TRUSTS, namespace), key=key_of)
    if output == "json":
        echo_json([_brief(trust) for trust in trusts])
    elif not trusts:
        echo(f"No clusters with a ClusterTrust. See `kubectl get clusters {namespace_option(namespace)}`", err=True)
    else:
        _show_fleet(trusts)
    return all(is_good(trust) for trust in trusts)


async def _report_cluster(kubeconfig: Path | None, key: Key, output: str) -> bool:
    async with Client.open(kubeconfig) as client:
        trust = await client.find(CLUSTER_TRUSTS, key.name, key.namespace)
        if trust is None:
            raise UserError(
                f"Cluster {key} has no ClusterTrust",
                why="the cluster does not exist, has no trust list, or `trustplane manager` is not running",
                next_step="See `trustplane status`, or pass another namespace with -n",
            )
        rows = await node_rows(client, trust)
    if output == "json":
        echo_json(_full(trust, rows))
    else:
        _show(trust, rows)
    return is_good(trust)


def is_good(trust: ClusterTrust) -> bool:
    """Return whether a cluster is current, and is proven or has nothing to prove."""
    current = condition(trust.status.conditions, CURRENT)
    proven = condition(trust.status.conditions, PROVEN)
    if current is None or proven is None or current.status != TRUE:
        return False
    return proven.status == TRUE or proven.reason == NOTHING_TO_PROVE


def _states(trust: ClusterTrust) -> tuple[str, str, str]:
    """Return both conditions, and the message of the first that is not True."""
    conditions = [condition(trust.status.conditions, type_) for type_ in (CURRENT, PROVEN)]
    message = next((item.message for item in conditions if item and item.status != TRUE), "")
    current, proven = ((item.status if item else "Unknown") for item in conditions)
    return current, proven, message


def _show_fleet(trusts: Sequence[ClusterTrust]) -> None:
    rows = table("NAMESPACE", "NAME", "CURRENT", "PROVEN", "NODES", "IN FORCE", "SINCE", "MESSAGE")
    for trust in trusts:
        current, proven, message = _states(trust)
        force = trust.status.in_force
        digest, since = (force.digest[:SHORT_DIGEST_LENGTH], age(force.since)) if force else ("", "")
        key = key_of(trust)
        rows.add_row(key.namespace, key.name, current, proven, trust.status.proven_nodes, digest, since, message)
    console().print(rows)


def _show(trust: ClusterTrust, rows: Sequence[NodeRow]) -> None:
    out, status = console(), trust.status
    force, desired = status.in_force, status.desired
    out.print(f"Cluster {key_of(trust)}")
    for item in status.conditions:
        colour = "green" if item.status == TRUE else "yellow" if item.status == "Unknown" else "red"
        rest = f" ({item.reason}) since {age(item.last_transition_time)}"
        out.print(Text.assemble(f"  {item.type}: ", (item.status, colour), rest))
        out.print(f"    {item.message}")
    if force:
        digest, reason = force.digest[:SHORT_DIGEST_LENGTH], force.reason or "of the Cluster"
        out.print(f"  In force: {digest} since {age(force.since)} ({reason})")
    if desired:
        out.print(f"  Desired: {desired.digest[:SHORT_DIGEST_LENGTH]}, from: {desired.source}")
    if status.difference:
        out.print(f"  Difference: {status.difference}")
    if desired and desired.entries:
        entries = table("ENTRY", "SHA-256 FINGERPRINT", "SCOPE", "EXPIRES")
        for entry in desired.entries:
            hosts = "\n".join(entry.hosts) or "node-wide"
            entries.add_row(entry.name, "\n".join(entry.fingerprints), hosts, str(time(entry.expires)))
        out.print()
        out.print(entries)
    nodes = table("NODE", "STATE", "SET", "METHOD", "PROVEN", "INSPECTED", "MESSAGE")
    for row in rows:
        nodes.add_row(
            row.node or row.machine,
            row.state,
            row.digest[:SHORT_DIGEST_LENGTH],
            row.method,
            age(row.proven_at),
            age(row.inspected_at),
            row.message,
        )
    out.print()
    out.print(nodes)


def _brief(trust: ClusterTrust) -> Json:
    current, proven, message = _states(trust)
    force, summary = trust.status.in_force, trust.status.summary
    return {
        "namespace": trust.metadata.namespace,
        "name": trust.metadata.name,
        "good": is_good(trust),
        "current": current,
        "proven": proven,
        "provenNodes": summary.proven,
        "nodes": summary.total,
        "inForce": force.digest if force else None,
        "since": time(force.since) if force else None,
        "difference": trust.status.difference,
        "message": message,
    }


def _full(trust: ClusterTrust, rows: Sequence[NodeRow]) -> Json:
    desired = trust.status.desired
    return {
        **_brief(trust),
        "source": desired.source if desired else None,
        "desired": desired.digest if desired else None,
        "entries": [
            {
                "name": entry.name,
                "fingerprints": entry.fingerprints,
                "hosts": entry.hosts,
                "expires": time(entry.expires),
            }
            for entry in (desired.entries if desired else [])
        ],
        "nodes": [row.as_json() for row in rows],
    }
