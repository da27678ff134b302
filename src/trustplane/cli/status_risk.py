"""`trustplane status --at-risk`: what fails soon, or where a pod starts next."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trustplane.api.clustertrust import ClusterTrust, ImageSource
from trustplane.api.meta import Json
from trustplane.api.registry import Registry
from trustplane.cli.console import console
from trustplane.cli.options import table, time
from trustplane.cli.output import echo, echo_json
from trustplane.controllers.resources import CLUSTER_TRUSTS, REGISTRIES
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.trust.knowledge import registry_host
from trustplane.trust.risk import Risk, risks, unknown


async def report(kubeconfig: Path | None, namespace: str, cluster: str | None, output: str) -> bool:
    """Show what is at risk; return whether nothing is.

    Args:
        kubeconfig: Of the management cluster.
        namespace: Of the clusters; empty: all, and of a named cluster `default`.
        cluster: One cluster, with the registries of its images; None: all clusters and registries.
        output: `table` or `json`.
    """
    async with Client.open(kubeconfig) as client:
        trusts = await client.list(CLUSTER_TRUSTS, namespace or ("default" if cluster else ""))
        registries = await client.list(REGISTRIES)
    if cluster:
        trusts, registries = _of(cluster, namespace or "default", trusts, registries)
    found, not_known = risks(trusts, registries, datetime.now(UTC)), unknown(trusts)
    if output == "json":
        echo_json(_as_json(found, not_known))
    else:
        _show(found, not_known)
    return not found


def _of(
    cluster: str, namespace: str, trusts: Sequence[ClusterTrust], registries: Sequence[Registry]
) -> tuple[list[ClusterTrust], list[Registry]]:
    chosen = [one for one in trusts if one.metadata.name == cluster]
    if not chosen:
        raise UserError(
            f"Nothing is known of the trust of cluster {namespace}/{cluster}",
            why="there is no such cluster, nothing says what it is to trust, or `trustplane manager` does not run",
            next_step="See `trustplane status`, or name another namespace with -n",
        )
    hosts = {image.host for one in chosen for image in one.status.images}
    return chosen, [one for one in registries if registry_host(one) in hosts]


def _show(found: Sequence[Risk], not_known: Sequence[tuple[str, ImageSource]]) -> None:
    out = console()
    if found:
        drawn = table("RISK", "OF", "REGISTRY", "WHEN", "WHY", "WHAT TO DO")
        for one in found:
            when = str(one.at.date()) if one.at else "next pull"
            words = (one.subject, one.host, when, one.message, one.next_step)
            drawn.add_row(str(one.kind), *words)
        out.print(drawn)
    else:
        echo("Nothing that is known is at risk.")
    if not_known:
        drawn = table("CLUSTER", "REGISTRY", "IMAGE", "NOT KNOWN, BECAUSE")
        for name, source in not_known:
            drawn.add_row(name, source.host, source.image, source.message)
        out.print()
        out.print(drawn)


def _as_json(found: Sequence[Risk], not_known: Sequence[tuple[str, ImageSource]]) -> Json:
    return {
        "risks": [
            {
                "kind": str(one.kind),
                "subject": one.subject,
                "registry": one.host,
                "at": time(one.at),
                "message": one.message,
                "nextStep": one.next_step,
            }
            for one in found
        ],
        "unknown": [
            {"cluster": name, "registry": one.host, "image": one.image, "message": one.message}
            for name, one in not_known
        ],
    }
