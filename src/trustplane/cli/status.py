"""`trustplane status`: who trusts what, who proved it, and what differs."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from trustplane.api.clustertrust import CURRENT, PROVEN, ClusterTrust
from trustplane.api.conditions import TRUE
from trustplane.api.meta import Json, condition
from trustplane.cli import status_risk
from trustplane.cli.console import console
from trustplane.cli.options import age, examples, kubeconfig, output, table, time, where
from trustplane.cli.output import echo, echo_json
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.cli.status_nodes import NodeRow, node_rows
from trustplane.controllers.resources import CLUSTER_TRUSTS
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key, key_of
from trustplane.trust.entries import SHORT
from trustplane.trust.report import NOTHING_TO_PROVE


@click.command(
    "status",
    epilog=examples(
        ("trustplane status", "the fleet"),
        ("trustplane status shop -n team-a", "one cluster: entries, nodes, what differs"),
        ("trustplane status --at-risk", "what fails soon, or where a pod starts next"),
        ("trustplane status -o json | jq '.[] | select(.good | not)'", "for scripts"),
    ),
)
@click.argument("cluster", metavar="[CLUSTER]", required=False)
@click.option("-n", "--namespace", default="", help="Namespace. Default: all; of a named CLUSTER: default.")
@click.option("--at-risk", is_flag=True, help="Say what fails soon, or will where a pod starts next.")
@kubeconfig
@output
def command(*, cluster: str | None, namespace: str, at_risk: bool, kubeconfig: Path | None, output: str) -> None:
    """Say which clusters have the trust that the lists ask for, and which proved it.

    With CLUSTER: its entries with fingerprints and expiry, its nodes, what differs, where it comes from, since when.

    With --at-risk: images whose registry a cluster's nodes do not trust; certificates of registries and entries of
    lists that expire within 30 days; servers' certificates that are trusted in place of their CA, so that renewing
    them breaks pulls. Registries of which nothing is known are listed, and are no risk.

    Exit status: 0 every cluster shown is current and proven (or has nothing to prove), or nothing is at risk; 1 some
    are not, or something is; 2 wrong usage or an unknown cluster.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    if at_risk:
        good = asyncio.run(status_risk.report(kubeconfig, namespace, cluster, output))
    elif cluster:
        good = asyncio.run(_one(kubeconfig, Key(namespace or "default", cluster), output))
    else:
        good = asyncio.run(_fleet(kubeconfig, namespace, output))
    sys.exit(0 if good else 1)


async def _fleet(kubeconfig: Path | None, namespace: str, output: str) -> bool:
    async with Client.open(kubeconfig) as client:
        found = sorted(await client.list(CLUSTER_TRUSTS, namespace), key=key_of)
    if output == "json":
        echo_json([_brief(one) for one in found])
    elif not found:
        echo(f"No clusters whose trust is watched. See `kubectl get clusters {where(namespace)}`", err=True)
    else:
        _show_fleet(found)
    return all(is_good(one) for one in found)


async def _one(kubeconfig: Path | None, key: Key, output: str) -> bool:
    async with Client.open(kubeconfig) as client:
        trust = await client.find(CLUSTER_TRUSTS, key.name, key.namespace)
        if trust is None:
            raise UserError(
                f"Nothing is known of the trust of cluster {key}",
                why="there is no such cluster, nothing says what it is to trust, or `trustplane manager` does not run",
                next_step="See `trustplane status`, or name another namespace with -n",
            )
        rows = await node_rows(client, trust)
    if output == "json":
        echo_json(_full(trust, rows))
    else:
        _show(trust, rows)
    return is_good(trust)


def is_good(trust: ClusterTrust) -> bool:
    """Tell whether a cluster is current, and proven as far as there is something to prove."""
    current = condition(trust.status.conditions, CURRENT)
    proven = condition(trust.status.conditions, PROVEN)
    if current is None or proven is None or current.status != TRUE:
        return False
    return proven.status == TRUE or proven.reason == NOTHING_TO_PROVE


def _states(trust: ClusterTrust) -> tuple[str, str, str]:
    """Return both conditions, and the message of the first that is not True."""
    found = [condition(trust.status.conditions, one) for one in (CURRENT, PROVEN)]
    message = next((one.message for one in found if one and one.status != TRUE), "")
    current, proven = ((one.status if one else "Unknown") for one in found)
    return current, proven, message


def _show_fleet(found: Sequence[ClusterTrust]) -> None:
    drawn = table("NAMESPACE", "NAME", "CURRENT", "PROVEN", "NODES", "IN FORCE", "SINCE", "MESSAGE")
    for one in found:
        current, proven, message = _states(one)
        force = one.status.in_force
        digest, since = (force.digest[:SHORT], age(force.since)) if force else ("", "")
        key = key_of(one)
        drawn.add_row(key.namespace, key.name, current, proven, one.status.proven_nodes, digest, since, message)
    console().print(drawn)


def _show(trust: ClusterTrust, rows: Sequence[NodeRow]) -> None:
    out, status = console(), trust.status
    force, desired = status.in_force, status.desired
    out.print(f"Cluster {key_of(trust)}")
    for one in status.conditions:
        colour = "green" if one.status == TRUE else "yellow" if one.status == "Unknown" else "red"
        rest = f" ({one.reason}) since {age(one.last_transition_time)}"
        out.print(Text.assemble(f"  {one.type}: ", (one.status, colour), rest))
        out.print(f"    {one.message}")
    if force:
        out.print(f"  In force: {force.digest[:SHORT]} since {age(force.since)} ({force.reason or 'of the Cluster'})")
    if desired:
        out.print(f"  Asked for: {desired.digest[:SHORT]}, from: {desired.source}")
    if status.difference:
        out.print(f"  What differs: {status.difference}")
    if desired and desired.entries:
        drawn = table("ENTRY", "SHA-256 FINGERPRINT", "FOR", "EXPIRES")
        for entry in desired.entries:
            hosts = "\n".join(entry.hosts) or "the whole node"
            drawn.add_row(entry.name, "\n".join(entry.fingerprints), hosts, str(time(entry.expires)))
        out.print()
        out.print(drawn)
    drawn = table("NODE", "STATE", "SET", "METHOD", "PROVEN", "LOOKED AT", "MESSAGE")
    for row in rows:
        drawn.add_row(
            row.node or row.machine,
            row.state,
            row.digest[:SHORT],
            row.method,
            age(row.proven_at),
            age(row.inspected_at),
            row.message,
        )
    out.print()
    out.print(drawn)


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
            {"name": one.name, "fingerprints": one.fingerprints, "hosts": one.hosts, "expires": time(one.expires)}
            for one in (desired.entries if desired else [])
        ],
        "nodes": [row.as_json() for row in rows],
    }
