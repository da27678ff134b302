"""`trustplane plan`: show the effects of a manifest on clusters before you apply it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane.api.meta import Json
from trustplane.cli import manifests
from trustplane.cli.console import console
from trustplane.cli.epilog import examples
from trustplane.cli.options import kubeconfig, output, table
from trustplane.cli.output import echo_json
from trustplane.cli.plan.effects import Effect, ManifestPlan, plan_manifest
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.errors import UserError
from trustplane.kube.client import Client


@click.command(
    "plan",
    epilog=examples(
        ("trustplane plan -f tkgserviceconfiguration.yaml", "before `kubectl apply -f`"),
        ("trustplane plan -f cluster.yaml -o json", "for scripts"),
        ("kustomize build . | trustplane plan -f -", "from standard input"),
    ),
)
@click.option("-f", "--filename", required=True, metavar="FILE", help="Manifest; - for standard input.")
@click.option("--system-namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Namespace of Trustplane.")
@click.option("--field-manager", default="kubectl", show_default=True, help="Field manager of the later apply.")
@kubeconfig
@output
def command(*, filename: str, system_namespace: str, field_manager: str, kubeconfig: Path | None, output: str) -> None:
    """Show the effects of a TkgServiceConfiguration or TanzuKubernetesCluster manifest. Changes nothing.

    For each cluster: no effect; not current until a requested update; or the update, in place or by replaced nodes,
    with restarts of containerd, and the added and removed CAs by fingerprint. Findings name unusable entries.

    Exit status: 0 the manifest can be applied; 1 it cannot, or an entry is unusable; 2 wrong usage, or a manifest
    without effect on trust.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    plan = asyncio.run(_plan(kubeconfig, _read_objects(filename), system_namespace, field_manager))
    if output == "json":
        echo_json(plan.as_json())
    else:
        _show(plan)
    sys.exit(0 if plan.can_be_applied else 1)


async def _plan(kubeconfig: Path | None, objects: list[Json], namespace: str, manager: str) -> ManifestPlan:
    async with Client.open(kubeconfig) as client:
        return await plan_manifest(client, objects, namespace=namespace, manager=manager)


def _read_objects(filename: str) -> list[Json]:
    documents = manifests.parse_objects(filename, manifests.read_content(filename))
    objects = [obj for document in documents for obj in _objects(document)]
    if not all(isinstance(obj, dict) and isinstance(obj.get("metadata"), dict) for obj in objects):
        raise UserError(f"{filename} has content other than Kubernetes objects")
    return objects


def _objects(document: Any) -> list[Any]:
    items = document.get("items") if isinstance(document, dict) else None
    return items if isinstance(items, list) else [document]


def _show(plan: ManifestPlan) -> None:
    out = console()
    for obj in plan.objects:
        verdict = ("can be applied", "green") if obj.can_be_applied else ("cannot be applied", "red")
        out.print(Text.assemble(f"{obj.kind} {obj.name}: ", verdict))
        for finding in obj.findings:
            out.print(f"  {finding.severity}: {finding}")
    if not plan.effects:
        out.print("No clusters affected.")
        return
    out.print("Note: a restart of containerd does not stop any pod.")
    rows = table(
        "NAMESPACE", "CLUSTER", "EFFECT", "WHY", "MACHINES", "REPLACED", "HOW", "CONTAINERD RESTARTS", "CHANGE"
    )
    for effect in plan.effects:
        rows.add_row(
            effect.key.namespace,
            effect.key.name,
            effect.effect,
            effect.reason,
            str(effect.machines),
            str(effect.replaced),
            effect.how or "-",
            "yes" if effect.restarts else "no",
            _change(effect),
        )
    out.print()
    out.print(rows)


def _change(effect: Effect) -> str:
    return "; ".join(part for part in (effect.change.text, effect.message) if part) or "-"
