"""`trustplane plan`: what a manifest would do to which clusters, before anyone applies it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from trustplane.api.meta import Json
from trustplane.cli import manifests
from trustplane.cli.console import console
from trustplane.cli.options import examples, kubeconfig, output, table
from trustplane.cli.output import echo_json
from trustplane.cli.plan_effects import Effect, Plan, make
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.local.stack import SYSTEM_NAMESPACE


@click.command(
    "plan",
    epilog=examples(
        ("trustplane plan -f tkgserviceconfiguration.yaml", "before `kubectl apply -f` of it"),
        ("trustplane plan -f cluster.yaml -o json", "for scripts"),
        ("kustomize build . | trustplane plan -f -", "from standard input"),
    ),
)
@click.option("-f", "--filename", required=True, metavar="FILE", help="Manifest; - for standard input.")
@click.option("--system-namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Namespace of Trustplane itself.")
@click.option("--field-manager", default="kubectl", show_default=True, help="Who is going to apply it.")
@kubeconfig
@output
def command(*, filename: str, system_namespace: str, field_manager: str, kubeconfig: Path | None, output: str) -> None:
    """Say what a TkgServiceConfiguration or TanzuKubernetesCluster manifest would do. Nothing is changed.

    For each cluster: nothing; not current until asked; or which update, in place or by replaced nodes, whether
    containerd restarts, and which CAs are added and removed, by fingerprint. Findings name entries that cannot be used.

    Exit status: 0 it can be applied; 1 it cannot, or an entry of it cannot be used; 2 wrong usage, or trust
    depends on nothing in it.
    """
    log_to_stderr(verbose=is_verbose(), quiet=True)
    plan = asyncio.run(_plan(kubeconfig, _documents(filename), system_namespace, field_manager))
    if output == "json":
        echo_json(plan.as_json())
    else:
        _show(plan)
    sys.exit(0 if plan.can_be_applied else 1)


async def _plan(kubeconfig: Path | None, documents: list[Json], namespace: str, manager: str) -> Plan:
    async with Client.open(kubeconfig) as client:
        return await make(client, documents, namespace=namespace, manager=manager)


def _documents(filename: str) -> list[Json]:
    objects = [one for each in manifests.load(filename, manifests.content(filename)) for one in _objects(each)]
    if not all(isinstance(one, dict) and isinstance(one.get("metadata"), dict) for one in objects):
        raise UserError(f"{filename} holds something else than objects of Kubernetes")
    return objects


def _objects(document: Any) -> list[Any]:
    items = document.get("items") if isinstance(document, dict) else None
    return items if isinstance(items, list) else [document]


def _show(plan: Plan) -> None:
    out = console()
    for document in plan.documents:
        verdict = ("can be applied", "green") if document.can_be_applied else ("cannot be applied", "red")
        out.print(Text.assemble(f"{document.kind} {document.name}: ", verdict))
        for finding in document.findings:
            out.print(f"  {finding.severity}: {finding}")
    if not plan.effects:
        out.print("No cluster is concerned.")
        return
    out.print("RESTARTS: containerd is restarted, which stops no pod.")
    drawn = table(
        "NAMESPACE", "CLUSTER", "EFFECT", "WHY", "MACHINES", "REPLACED", "HOW", "CONTAINERD RESTARTS", "CHANGE"
    )
    for one in plan.effects:
        drawn.add_row(
            one.key.namespace,
            one.key.name,
            one.effect,
            one.reason,
            str(one.machines),
            str(one.replaced),
            one.how or "-",
            "yes" if one.restarts else "no",
            _change(one),
        )
    out.print()
    out.print(drawn)


def _change(one: Effect) -> str:
    return "; ".join(part for part in (one.change.text, one.message) if part) or "-"
