"""`trustplane extension`: serve Cluster API's runtime hooks."""

import asyncio
from pathlib import Path

import click
import structlog

from trustplane.cli.service import run
from trustplane.clusterapi.hooks import HOOKS
from trustplane.server import tls
from trustplane.server.extension import application
from trustplane.server.serve import listen, serve

_log = structlog.get_logger(__name__)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("extension")
@click.option("--kubeconfig", type=_FILE, help="As for the manager; hooks of this version read no cluster.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9443, show_default=True, help="Port; 0: any free one.")
@click.option("--tls-cert", type=_FILE, required=True, help="PEM certificate; followed when it is renewed.")
@click.option("--tls-key", type=_FILE, required=True, help="PEM private key of the certificate.")
def command(*, kubeconfig: Path | None, host: str, port: int, tls_cert: Path, tls_key: Path) -> None:
    """Serve Cluster API's runtime hooks over HTTPS, with /healthz, /readyz and /metrics.

    Any number of replicas can run: they keep no state. SIGTERM and SIGINT end it after the requests in flight.
    """
    del kubeconfig
    context, listener = tls.context(tls_cert, tls_key), listen(host, port)

    async def service(stop: asyncio.Event) -> None:
        _log.info("serving runtime hooks", host=host, port=listener.getsockname()[1])
        await serve(application(HOOKS), listener, context, stop)

    run(service)
