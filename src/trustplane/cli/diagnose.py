"""`trustplane diagnose`: the cause of a failed image pull by all the evidence that can be gathered."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from trustplane.api.dockerhub import canonical
from trustplane.cli import diagnose_report
from trustplane.cli.console import console, progress
from trustplane.cli.diagnose_report import Answer
from trustplane.cli.options import examples, follow, kubeconfig, kubeconfig_of
from trustplane.cli.output import echo, echo_json
from trustplane.cli.service import is_verbose, log_to_stderr
from trustplane.collectors import gathering
from trustplane.collectors.failing import failing_pods
from trustplane.diagnosis.decision import diagnose
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.kube.tasks import together
from trustplane.registry.address import Address
from trustplane.registry.inspection import Follow

T = TypeVar("T")
INTERRUPTED = 130  # as shells report a program that SIGINT ended
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom."
)
_ssh = click.option("--ssh/--no-ssh", default=True, show_default=True, help="Look at the node itself.")


@click.group(
    "diagnose",
    epilog=examples(
        ("trustplane diagnose pod web-7f9 -n shop --cluster prod", "why this pod cannot pull"),
        ("trustplane diagnose cluster prod", "every pod of a cluster that cannot"),
        ("trustplane diagnose registry harbor.corp:8443", "which trust sets of the fleet accept a registry"),
    ),
)
def command() -> None:
    """Say why image pulls fail: cause, confidence, evidence, who must act, the next step, and the CA that is missing.

    Looked at, at once and each within its own time: pod, events, pull secrets, the cluster's trust and that of other
    clusters, the node's state and proof, its files, containerd and clock over SSH, and the chains that the registry,
    its token service and its blob store serve, here and to the node. What could not be looked at is said. Nothing is
    changed, and no credentials are sent or shown. Hosts that a registry names on other sites are named, and asked with
    --follow-hosts only; so are issuers, with --follow-aia. For a message alone: trustplane explain.

    Exit status: 0 one cause with high confidence, or nothing fails; 1 several causes fit, or none is certain; 2 it
    cannot be told, or wrong usage; 75 the API server does not answer; 130 interrupted.
    """


@command.command(
    "pod",
    epilog=examples(
        ("trustplane diagnose pod web-7f9 -n shop --cluster prod --cluster-namespace team-a", "of a managed cluster"),
        ("trustplane diagnose pod web-7f9 -n shop --kubeconfig prod.kubeconfig", "of any cluster"),
    ),
)
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Of the pod.")
@click.option("--cluster", default="", help="Managed cluster of the pod; $KUBECONFIG is the management cluster's then.")
@click.option("--cluster-namespace", default="default", show_default=True, help="Of the managed cluster.")
@kubeconfig_of("Cluster of the pod; with --cluster, management cluster")
@_ssh
@follow
@_output
def pod(
    *,
    name: str,
    namespace: str,
    cluster: str,
    cluster_namespace: str,
    kubeconfig: Path | None,
    ssh: bool,
    follow: Follow,
    output: str,
) -> None:
    """Say why the pod NAME cannot pull its images, now or, as long as its events are kept, lately."""
    key = Key(cluster_namespace, cluster) if cluster else None

    async def work() -> list[Answer]:
        async with gathering.open_access(kubeconfig, key, use_ssh=ssh, follow=follow) as access:
            return _answers(await gathering.gather_pod_cases(access, Key(namespace, name)))

    answers = _run(work(), f"Looking at pod {namespace}/{name}")
    if not answers:
        raise UserError(
            f"Nothing says that pod {namespace}/{name} could not pull an image",
            why="it waits for none, or is gone, and no event, which are kept for an hour, tells of a failed pull",
            next_step=f"Look: kubectl get pod {name} -n {namespace}; or give an old message to: trustplane explain",
        )
    _show(answers, output)


@command.command("cluster", epilog=examples(("trustplane diagnose cluster prod -n team-a", "a managed cluster")))
@click.argument("cluster")
@click.option("-n", "--namespace", default="default", show_default=True, help="Of the cluster.")
@kubeconfig
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Kinds of failure to look at.")
@_ssh
@follow
@_output
def cluster(
    *,
    cluster: str,
    namespace: str,
    kubeconfig: Path | None,
    limit: int,
    ssh: bool,
    follow: Follow,
    output: str,
) -> None:
    """Say why pods of CLUSTER cannot pull; pods that fail alike are told together, and one of them is looked at."""

    async def work() -> tuple[list[Answer], int]:
        async with gathering.open_access(kubeconfig, Key(namespace, cluster), use_ssh=ssh, follow=follow) as access:
            every = await failing_pods(access.workload)
            groups = every[:limit]
            found = await together(*(gathering.gather_pod_cases(access, one.first) for one in groups))
            answers = [
                answer
                for group, cases in zip(groups, found, strict=True)
                for answer in _answers(cases, tuple(map(str, group.pods)))
            ]
            return answers, len(every) - len(groups)

    answers, left = _run(work(), f"Looking at cluster {namespace}/{cluster}")
    if not answers:
        echo(f"No pod of cluster {namespace}/{cluster} waits for an image.", err=True)
    if left:
        echo(f"{left} more kinds of failure were not looked at: --limit {limit + left}", err=True)
    _show(answers, output)


@command.command(
    "registry", epilog=examples(("trustplane diagnose registry harbor.corp:8443", "by every trust set of the fleet"))
)
@click.argument("address", metavar="HOST[:PORT]")
@kubeconfig
@follow
@_output
def registry(*, address: str, kubeconfig: Path | None, follow: Follow, output: str) -> None:
    """Say which trust sets of the fleet accept the registry HOST, and what those that do not are missing."""
    host = canonical(str(Address.read(address)))

    async def work() -> list[Answer]:
        async with Client.open(kubeconfig, timeout=gathering.API_SECONDS) as client:
            groups = await gathering.gather_registry_cases(client, host, follow)
            return [Answer(one.case, diagnose(one.case), clusters=tuple(map(str, one.clusters))) for one in groups]

    _show(_run(work(), f"Looking at {host}"), output)


def _answers(cases: list[Any], pods: tuple[str, ...] = ()) -> list[Answer]:
    return [Answer(case, diagnose(case), pods=pods or (case.subject,)) for case in cases]


def _run(work: Coroutine[Any, Any, T], words: str) -> T:
    log_to_stderr(verbose=is_verbose(), quiet=True)
    try:
        with progress(words):
            return asyncio.run(work)
    except KeyboardInterrupt:
        echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def _show(answers: list[Answer], output: str) -> None:
    if output == "json":
        echo_json(diagnose_report.as_json(answers))
    else:
        diagnose_report.show(console(), answers)
    sys.exit(diagnose_report.exit_code(answers))
