"""The way into a workload cluster: the kubeconfig that Cluster API keeps of it, as far as a stranger's is trusted."""

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

REQUEST_SECONDS = 10.0  # a cluster that is gone is not waited for longer
_SHOWN = 253  # characters of a host


@asynccontextmanager
async def open_workload_and_report(client: Client, cluster: Key) -> AsyncIterator[Client]:
    """Open a client for a workload cluster; a refusal is recorded on its ClusterTrust, until there is none.

    Raises:
        RefusedAccessError: Its kubeconfig has what is not taken, or leads elsewhere.
        TransientError: There is no kubeconfig, or no endpoint, yet.
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
    """Open a client for a workload cluster, and record nothing.

    Args:
        client: To the management cluster.
        cluster: The Cluster.
        most_kept: The weight of all objects of one kind that may be kept of it; a command can afford more.

    Raises:
        RefusedAccessError: Its kubeconfig has what is not taken, or leads elsewhere.
        TransientError: There is no kubeconfig, or no endpoint, yet.
    """
    name = kubeconfig_secret(cluster.name)
    found = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    secret = await client.find(SECRETS, name, cluster.namespace)
    value = secret.data.get("value", "") if secret else ""
    if not value:
        raise _not_yet(cluster, f"Secret {name} is not there, or holds no kubeconfig")
    if found is None or not found.spec.control_plane_endpoint.host:
        raise _not_yet(cluster, "Cluster API knows no endpoint of its control plane")
    access = kubeconfig.parse_secret(value)
    check_kubeconfig_endpoint(access, found)
    reach = await reach_beside(client.server)
    async with open_guarded(access, reach, timeout=REQUEST_SECONDS, most_kept=most_kept) as opened:
        yield opened


def check_kubeconfig_endpoint(access: Access, cluster: Cluster) -> None:
    """Have a kubeconfig lead to the Cluster's control plane, and nowhere else.

    Raises:
        RefusedAccessError: It leads elsewhere.
    """
    endpoint = cluster.spec.control_plane_endpoint
    if (_plain(access.host), access.port) != (_plain(endpoint.host), endpoint.port):
        host = clean(endpoint.host, _SHOWN)
        why = f"it names {access.host} port {access.port}, and the Cluster's endpoint is {host} port {endpoint.port}"
        kubeconfig.refuse("clusters[].cluster.server", why)


def _plain(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _not_yet(cluster: Key, why: str) -> TransientError:
    return TransientError(f"Cluster {cluster} cannot be asked", why=why)
