"""Make Cluster API replace the machines of a pool or control plane, by `rollout.after` and its own strategy."""

from datetime import UTC, datetime

from trustplane.api.annotations import DEPLOYMENT_NAME_LABEL
from trustplane.api.condition_merge import timestamp
from trustplane.api.keys import key_of
from trustplane.fleet.reading import list_cluster_objects
from trustplane.fleet.view import ClusterState
from trustplane.kube.client import Client
from trustplane.kube.kinds import CONTROL_PLANES, MACHINE_DEPLOYMENTS


async def replace_group(client: Client, state: ClusterState, group: str) -> None:
    """Make Cluster API replace all current machines of a group.

    Args:
        client: Client of the management cluster.
        state: The cluster.
        group: Name of the pool; empty for the control plane.
    """
    key = key_of(state.cluster)
    body = {"spec": {"rollout": {"after": timestamp(datetime.now(UTC))}}}
    if not group:
        for control_plane in await list_cluster_objects(client, CONTROL_PLANES, key):
            await client.patch(CONTROL_PLANES, control_plane.metadata.name, key.namespace, body)
        return
    for pool in await list_cluster_objects(client, MACHINE_DEPLOYMENTS, key):
        if group in (pool.metadata.name, pool.metadata.labels.get(DEPLOYMENT_NAME_LABEL)):
            await client.patch(MACHINE_DEPLOYMENTS, pool.metadata.name, key.namespace, body)
