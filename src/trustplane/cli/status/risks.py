"""`trustplane status --at-risk`: pulls that will fail soon, or with the next pod."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trustplane.api.clustertrust import ClusterTrust, ImageSource
from trustplane.api.meta import Json
from trustplane.api.registry import Registry
from trustplane.cli.console import console
from trustplane.cli.options import table, time
from trustplane.cli.output import echo, echo_json
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS, REGISTRIES
from trustplane.reporting.registry_assessment import canonical_registry_host
from trustplane.reporting.risks import Risk, list_risks, unknown_sources


async def report_risks(kubeconfig: Path | None, namespace: str, cluster: str | None, output: str) -> bool:
    """Print the known risks; return whether there are none.

    Args:
        kubeconfig: of the management cluster.
        namespace: of the clusters; empty: all; with `cluster`, `default`.
        cluster: one cluster, with the registries of its images; None: all clusters and registries.
        output: `table` or `json`.
    """
    async with Client.open(kubeconfig) as client:
        trusts = await client.list(CLUSTER_TRUSTS, namespace or ("default" if cluster else ""))
        registries = await client.list(REGISTRIES)
    if cluster:
        trusts, registries = _select(cluster, namespace or "default", trusts, registries)
    known_risks, unknown = list_risks(trusts, registries, datetime.now(UTC)), unknown_sources(trusts)
    if output == "json":
        echo_json(_as_json(known_risks, unknown))
    else:
        _show(known_risks, unknown)
    return not known_risks


def _select(
    cluster: str, namespace: str, trusts: Sequence[ClusterTrust], registries: Sequence[Registry]
) -> tuple[list[ClusterTrust], list[Registry]]:
    selected = [trust for trust in trusts if trust.metadata.name == cluster]
    if not selected:
        raise UserError(
            f"Cluster {namespace}/{cluster} has no ClusterTrust",
            why="the cluster does not exist, has no trust list, or `trustplane manager` is not running",
            next_step="See `trustplane status`, or pass another namespace with -n",
        )
    hosts = {image.host for trust in selected for image in trust.status.images}
    return selected, [registry for registry in registries if canonical_registry_host(registry) in hosts]


def _show(known_risks: Sequence[Risk], unknown_sources: Sequence[tuple[str, ImageSource]]) -> None:
    out = console()
    if known_risks:
        rows = table("RISK", "OF", "REGISTRY", "WHEN", "WHY", "NEXT STEP")
        for risk in known_risks:
            when = str(risk.at.date()) if risk.at else "next pull"
            rows.add_row(str(risk.kind), risk.subject, risk.host, when, risk.message, risk.next_step)
        out.print(rows)
    else:
        echo("No known risks.")
    if unknown_sources:
        rows = table("CLUSTER", "REGISTRY", "IMAGE", "WHY UNKNOWN")
        for name, source in unknown_sources:
            rows.add_row(name, source.host, source.image, source.message)
        out.print()
        out.print(rows)


def _as_json(known_risks: Sequence[Risk], unknown_sources: Sequence[tuple[str, ImageSource]]) -> Json:
    return {
        "risks": [
            {
                "kind": str(risk.kind),
                "subject": risk.subject,
                "registry": risk.host,
                "at": time(risk.at),
                "message": risk.message,
                "nextStep": risk.next_step,
            }
            for risk in known_risks
        ],
        "unknown": [
            {"cluster": name, "registry": source.host, "image": source.image, "message": source.message}
            for name, source in unknown_sources
        ],
    }
