"""`trustplane webhook`: the admission webhook for trust lists."""

import asyncio
from pathlib import Path

import click
import structlog

from trustplane.cli.options import kubeconfig_of
from trustplane.cli.service import run
from trustplane.kube.client import Client
from trustplane.kube.health import serve_health
from trustplane.webhooks import tls
from trustplane.webhooks.admission import Admission
from trustplane.webhooks.application import create_application
from trustplane.webhooks.serve import open_listener, serve_application

_log = structlog.get_logger(__name__)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("webhook")
@kubeconfig_of("Management cluster", in_cluster=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9443, show_default=True, help="Port; 0: any free port.")
@click.option("--tls-cert", type=_FILE, required=True, help="PEM certificate; reloaded after a renewal.")
@click.option("--tls-key", type=_FILE, required=True, help="PEM private key of the certificate.")
@click.option("--health-host", default="127.0.0.1", show_default=True, help="Address of the health server.")
@click.option(
    "--health-port", type=click.IntRange(1, 65535), help="Port of /healthz, /readyz, /metrics. Default: none."
)
def command(
    *,
    kubeconfig: Path | None,
    host: str,
    port: int,
    tls_cert: Path,
    tls_key: Path,
    health_host: str,
    health_port: int | None,
) -> None:
    """Run the admission webhook, which checks trust lists before they are stored: /admission, over HTTPS.

    The server also answers /healthz and /readyz; /metrics is served at --health-port only. Any number of replicas can
    run, since they keep no state and write nothing. SIGTERM and SIGINT end it after the requests in flight.
    """
    health = (health_host, health_port) if health_port else None
    context, listener = tls.server_context(tls_cert, tls_key), open_listener(host, port)

    async def service(stop: asyncio.Event) -> None:
        _log.info("serving the webhook", host=host, port=listener.getsockname()[1])
        async with Client.open(kubeconfig) as client, serve_health(health, list):
            await serve_application(create_application([Admission(client).route()]), listener, context, stop)

    run(service)
