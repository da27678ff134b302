"""`trustplane manager`: run the controllers."""

import asyncio
from pathlib import Path

import click
import structlog

from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane.cli.options import kubeconfig_of
from trustplane.cli.service import run
from trustplane.controllers.manager import add_controllers, ensure_manager_namespace
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.lease import Lease
from trustplane.kube.manager import Manager

LEASE = "trustplane-manager"

_log = structlog.get_logger(__name__)


@click.command("manager")
@kubeconfig_of("Management cluster", in_cluster=True)
@click.option("--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Namespace of Trustplane.")
@click.option("--health-host", default="127.0.0.1", show_default=True, help="Address of the health server.")
@click.option(
    "--health-port", type=click.IntRange(1, 65535), help="Port of /healthz, /readyz, /metrics. Default: none."
)
def command(*, kubeconfig: Path | None, namespace: str, health_host: str, health_port: int | None) -> None:
    """Run the controllers for trust lists, clusters, releases, registries and proofs.

    They write to workload clusters (probe pods, Events) with the clusters' kubeconfigs, and to nodes over SSH.

    One of several replicas leads, elected by Lease trustplane-manager. A replica that loses the lease exits with status
    75 and should be restarted. SIGTERM and SIGINT end the manager cleanly, with status 0.
    """
    health = (health_host, health_port) if health_port else None

    async def service(stop: asyncio.Event) -> None:
        async with Client.open(kubeconfig) as client:
            await manage(client, stop, namespace=namespace, health=health)

    run(service)


async def manage(client: Client, stop: asyncio.Event, *, namespace: str, health: tuple[str, int] | None) -> None:
    """Run the controllers until `stop` is set.

    Raises:
        TransientError: the lease was lost.
    """
    await ensure_manager_namespace(client, namespace)
    manager = Manager(client, lease=Lease(client, LEASE, namespace), health=health)
    add_controllers(manager, client, namespace=namespace)
    _log.info("started", server=client.server, namespace=namespace)
    await manager.run(stop)
    if not stop.is_set():
        raise TransientError(
            "The manager stopped leading",
            why=f"lease {namespace}/{LEASE} was lost",
            next_step="Restart it; it takes over when the lease is free",
        )
