"""The way into a workload cluster: the kubeconfig that Cluster API keeps of it."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import yaml

from trustplane.controllers.resources import SECRETS
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key

REQUEST_SECONDS = 10.0  # a cluster that is gone is not waited for longer


@asynccontextmanager
async def workload(client: Client, cluster: Key) -> AsyncIterator[Client]:
    """Open a client for a workload cluster, by Secret `<cluster>-kubeconfig`.

    Raises:
        TransientError: There is no such Secret yet, or none that can be read.
    """
    name = f"{cluster.name}-kubeconfig"
    found = await client.find(SECRETS, name, cluster.namespace)
    content = _content(found.data.get("value", "")) if found else None
    if content is None:
        raise TransientError(
            f"Cluster {cluster} cannot be asked", why=f"Secret {name} is not there, or holds no kubeconfig"
        )
    async with Client.open(content, timeout=REQUEST_SECONDS) as opened:
        yield opened


def _content(value: str) -> dict[str, Any] | None:
    try:
        content = yaml.safe_load(base64.b64decode(value))
    except (binascii.Error, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None
