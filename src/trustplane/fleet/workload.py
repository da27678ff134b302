"""Connect to workload clusters by Cluster API's kubeconfig, which a tenant may have edited and is therefore checked."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trustplane.api.clusterapi import Cluster, kubeconfig_secret
from trustplane.api.keys import Key
from trustplane.errors import TransientError
from trustplane.fleet.access_report import report_accepted_access, report_refused_access
from trustplane.kube import access as kubeconfig
from trustplane.kube.access import Access
from trustplane.kube.client import Client
from trustplane.kube.errors import RefusedAccessError
from trustplane.kube.guarded import open_guarded
from trustplane.kube.kinds import CLUSTERS, SECRETS
from trustplane.kube.reach import reach_beside
from trustplane.kube.transport import STRANGERS_KEPT
from trustplane.text import clean

REQUEST_SECONDS = 10.0  # timeout of a request: an unreachable cluster must not block callers longer
_MAX_HOST = 253  # characters in a host


@asynccontextmanager
async def open_workload_and_report(client: Client, cluster: Key) -> AsyncIterator[Client]:
    """Open a client for a workload cluster, and report a refused kubeconfig on its ClusterTrust until it is accepted.

    Raises:
        RefusedAccessError: The kubeconfig has unsupported content or points to another server.
        TransientError: The kubeconfig or the endpoint does not exist yet.
    """
    try:
        async with open_workload(client, cluster) as opened:
            await report_accepted_access(client, cluster)
            yield opened
    except RefusedAccessError as error:
        await report_refused_access(client, cluster, error)
        raise


@asynccontextmanager
async def open_workload(client: Client, cluster: Key, *, most_kept: int = STRANGERS_KEPT) -> AsyncIterator[Client]:
    """Open a client for a workload cluster without reporting anything.

    Args:
        client: Client of the management cluster.
        cluster: The Cluster.
        most_kept: Maximum weight of the kept objects of one kind; a command can afford more than the manager.

    Raises:
        RefusedAccessError: The kubeconfig has unsupported content or points to another server.
        TransientError: The kubeconfig or the endpoint does not exist yet.
    """
    name = kubeconfig_secret(cluster.name)
    capi = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    secret = await client.find(SECRETS, name, cluster.namespace)
    value = secret.data.get("value", "") if secret else ""
    if not value:
        raise _not_ready(cluster, f"Secret {name} does not exist or contains no kubeconfig")
    if capi is None or not capi.spec.control_plane_endpoint.host:
        raise _not_ready(cluster, "its Cluster has no control plane endpoint")
    access = kubeconfig.parse_secret(value)
    check_kubeconfig_endpoint(access, capi)
    reach = await reach_beside(client.server)
    async with open_guarded(access, reach, timeout=REQUEST_SECONDS, most_kept=most_kept) as opened:
        yield opened


def check_kubeconfig_endpoint(access: Access, cluster: Cluster) -> None:
    """Check that a kubeconfig points to the Cluster's control plane.

    Raises:
        RefusedAccessError: The kubeconfig points to another server.
    """
    endpoint = cluster.spec.control_plane_endpoint
    if (_normalized(access.host), access.port) != (_normalized(endpoint.host), endpoint.port):
        host = clean(endpoint.host, _MAX_HOST)
        why = f"it names {access.host} port {access.port}, but the Cluster's endpoint is {host} port {endpoint.port}"
        kubeconfig.refuse("clusters[].cluster.server", why)


def _normalized(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _not_ready(cluster: Key, why: str) -> TransientError:
    return TransientError(f"Cannot connect to cluster {cluster}", why=why)
