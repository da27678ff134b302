"""Having Cluster API replace the machines of a pool, or of a control plane, by its own strategy: `rollout.after`."""

from datetime import UTC, datetime

from trustplane.api.annotations import DEPLOYMENT_NAME_LABEL
from trustplane.api.condition_merge import timestamp
from trustplane.api.keys import key_of
from trustplane.fleet.reading import list_cluster_objects
from trustplane.fleet.view import ClusterState
from trustplane.kube.client import Client
from trustplane.kube.kinds import CONTROL_PLANES, MACHINE_DEPLOYMENTS


async def replace_group(client: Client, seen: ClusterState, group: str) -> None:
    """Have every machine of a group replaced that is older than now.

    Args:
        client: To the management cluster.
        seen: The cluster.
        group: Name of the pool; empty for the control plane.
    """
    key = key_of(seen.cluster)
    body = {"spec": {"rollout": {"after": timestamp(datetime.now(UTC))}}}
    if not group:
        for found in await list_cluster_objects(client, CONTROL_PLANES, key):
            await client.patch(CONTROL_PLANES, found.metadata.name, key.namespace, body)
        return
    for pool in await list_cluster_objects(client, MACHINE_DEPLOYMENTS, key):
        if group in (pool.metadata.name, pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL)):
            await client.patch(MACHINE_DEPLOYMENTS, pool.metadata.name, key.namespace, body)
