"""`trustplane diagnose`: the cause of failed image pulls, from all available evidence."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from trustplane.api.dockerhub import canonical
from trustplane.api.keys import Key
from trustplane.cli.console import console, progress
from trustplane.cli.diagnose import report
from trustplane.cli.diagnose.report import CaseDiagnosis
from trustplane.cli.epilog import examples
from trustplane.cli.options import follow, kubeconfig, kubeconfig_of
from trustplane.cli.output import echo, echo_json
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.diagnosis.decision import diagnose
from trustplane.diagnosis.evidence import gathering
from trustplane.diagnosis.evidence.failing import failing_pods
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.tasks import together
from trustplane.registry.address import Address
from trustplane.registry.inspection import Follow

T = TypeVar("T")
INTERRUPTED = 130  # the exit status of shells after SIGINT
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
_ssh = click.option("--ssh/--no-ssh", default=True, show_default=True, help="Inspect the node over SSH.")
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=TimeLimits.part,
    show_default=True,
    help="Seconds for the slowest source of evidence; the others get their share.",
)


@click.group(
    "diagnose",
    epilog=examples(
        ("trustplane diagnose pod web-7f9 -n shop --cluster prod", "why this pod cannot pull"),
        ("trustplane diagnose cluster prod", "all failing pods of a cluster"),
        ("trustplane diagnose registry harbor.corp:8443", "which trust sets of the fleet accept a registry"),
    ),
)
def command() -> None:
    """Diagnose failed image pulls: cause, confidence, evidence, who must act, the next step, and the missing CA.

    Collects evidence concurrently, each source with its own time limit (--timeout): pod, events, pull secrets, the
    trust of this and other clusters, the node's state and proof, its files, containerd and clock over SSH, and the
    certificate chains of the registry, its token service and its blob store, from here and from the node. Sources that
    failed are listed. The command changes nothing, and neither sends nor shows credentials. It contacts hosts on other
    sites, named by the registry, only with --follow-hosts, and issuers only with --follow-aia. To explain a message
    alone: trustplane explain.

    Exit status: 0 one cause with high confidence, or nothing fails; 1 several or uncertain causes; 2 unknown cause, or
    wrong usage; 75 the API server does not answer; 130 interrupted.
    """


@command.command(
    "pod",
    epilog=examples(
        ("trustplane diagnose pod web-7f9 -n shop --cluster prod --cluster-namespace team-a", "in a workload cluster"),
        ("trustplane diagnose pod web-7f9 -n shop --kubeconfig prod.kubeconfig", "in any cluster"),
    ),
)
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the pod.")
@click.option("--cluster", default="", help="Workload cluster of the pod; the kubeconfig is the management cluster's.")
@click.option("--cluster-namespace", default="default", show_default=True, help="Namespace of the workload cluster.")
@kubeconfig_of("Cluster of the pod; with --cluster, management cluster")
@_ssh
@follow
@_timeout
@_output
def pod(  # noqa: PLR0913 - an argument for each option
    *,
    name: str,
    namespace: str,
    cluster: str,
    cluster_namespace: str,
    kubeconfig: Path | None,
    ssh: bool,
    follow: Follow,
    timeout: float,
    output: str,
) -> None:
    """Diagnose why pod NAME cannot pull its images, now or while its events are kept."""
    key, limits = Key(cluster_namespace, cluster) if cluster else None, TimeLimits.within(timeout)

    async def work() -> list[CaseDiagnosis]:
        async with gathering.open_access(kubeconfig, key, use_ssh=ssh, follow=follow, limits=limits) as access:
            return _diagnose_all(await gathering.gather_pod_cases(access, Key(namespace, name)))

    diagnoses = _run(work(), f"Diagnosing pod {namespace}/{name}")
    if not diagnoses:
        raise UserError(
            f"No evidence of a failed pull of pod {namespace}/{name}",
            why="it waits for no image or does not exist, and no event of the last hour reports a failed pull",
            next_step=f"Check: kubectl get pod {name} -n {namespace}; or pass an old message to: trustplane explain",
        )
    _show(diagnoses, output)


@command.command("cluster", epilog=examples(("trustplane diagnose cluster prod -n team-a", "a workload cluster")))
@click.argument("cluster")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the cluster.")
@kubeconfig
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Maximum groups to diagnose.")
@_ssh
@follow
@_timeout
@_output
def cluster(
    *,
    cluster: str,
    namespace: str,
    kubeconfig: Path | None,
    limit: int,
    ssh: bool,
    follow: Follow,
    timeout: float,
    output: str,
) -> None:
    """Diagnose failing pods of CLUSTER: group them by failure, and diagnose one pod per group."""
    limits = TimeLimits.within(timeout)

    async def work() -> tuple[list[CaseDiagnosis], int]:
        where = Key(namespace, cluster)
        async with gathering.open_access(kubeconfig, where, use_ssh=ssh, follow=follow, limits=limits) as access:
            every = await failing_pods(access.workload)
            groups = every[:limit]
            cases_of_groups = await together(*(gathering.gather_pod_cases(access, group.first) for group in groups))
            diagnoses = [
                diagnosis
                for group, cases in zip(groups, cases_of_groups, strict=True)
                for diagnosis in _diagnose_all(cases, tuple(map(str, group.pods)))
            ]
            return diagnoses, len(every) - len(groups)

    diagnoses, left = _run(work(), f"Diagnosing cluster {namespace}/{cluster}")
    if not diagnoses:
        echo(f"No pod of cluster {namespace}/{cluster} waits for an image.", err=True)
    if left:
        echo(f"{left} more groups of failures were not diagnosed: --limit {limit + left}", err=True)
    _show(diagnoses, output)


@command.command(
    "registry", epilog=examples(("trustplane diagnose registry harbor.corp:8443", "with all trust sets of the fleet"))
)
@click.argument("address", metavar="HOST[:PORT]")
@kubeconfig
@follow
@_timeout
@_output
def registry(*, address: str, kubeconfig: Path | None, follow: Follow, timeout: float, output: str) -> None:
    """Show which trust sets of the fleet accept the registry HOST, and what the others lack."""
    host, limits = canonical(str(Address.read(address))), TimeLimits.within(timeout)

    async def work() -> list[CaseDiagnosis]:
        async with Client.open(kubeconfig, timeout=limits.api) as client:
            return [
                CaseDiagnosis(group.case, diagnose(group.case), clusters=tuple(map(str, group.clusters)))
                for group in await gathering.gather_registry_cases(client, host, follow, limits)
            ]

    _show(_run(work(), f"Diagnosing {host}"), output)


def _diagnose_all(cases: list[Any], pods: tuple[str, ...] = ()) -> list[CaseDiagnosis]:
    return [CaseDiagnosis(case, diagnose(case), pods=pods or (case.subject,)) for case in cases]


def _run(work: Coroutine[Any, Any, T], message: str) -> T:
    log_to_stderr(verbose=is_verbose(), quiet=True)
    try:
        with progress(message):
            return asyncio.run(work)
    except KeyboardInterrupt:
        echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def _show(diagnoses: list[CaseDiagnosis], output: str) -> None:
    if output == "json":
        echo_json(report.as_json(diagnoses))
    else:
        report.show_diagnoses(console(), diagnoses)
    sys.exit(report.exit_code(diagnoses))
