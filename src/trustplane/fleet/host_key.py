"""Check a node's SSH host key against the pin on its Machine and the keys that the node reported."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.clusterapi import Machine
from trustplane.api.keys import Key
from trustplane.errors import TransientError
from trustplane.fleet.workload import open_workload
from trustplane.kube.client import Client
from trustplane.kube.errors import ConflictError
from trustplane.kube.kinds import MACHINES, WORKLOAD_NODES
from trustplane.nodes import hostkey

_ATTEMPTS: Final = 5  # to pin a key on a Machine that other controllers change
_READS: Final = 10  # of a Node that has just joined, and normally reports its keys within two seconds
_PAUSE: Final = 0.5
# A node without a report after this time lacks our unit, for example in a user's ClusterClass: pin its first key.
REPORT_TIMEOUT: Final = timedelta(minutes=5)


async def check_host_key(client: Client, machine: Machine, shown: str) -> None:
    """Check the host key that a node presented, before anything is sent to the node.

    Raises:
        NodeError: The key differs from the pinned one, and the node did not report it.
        TransientError: The node has not reported its keys yet, or the key cannot be pinned because its Machine keeps
            changing.
    """
    if hostkey.is_known(machine, shown):
        return
    reported = await _reported_keys(client, machine)
    if not reported and not hostkey.pinned_key(machine) and _is_young(machine):
        raise TransientError(
            f"The node of Machine {machine.metadata.name} has not reported its SSH host keys yet",
            why=f"annotation {hostkey.REPORTED} of its Node is absent",
            next_step="Trustplane retries; if this persists, run `systemctl status trustplane-host-keys` on the node",
        )
    await _pin(client, machine, shown, reported)


async def _reported_keys(client: Client, machine: Machine) -> frozenset[str]:
    """Return the keys from the Node in the workload cluster, where only the node and administrators can write them.

    Raises:
        TransientError: The Node does not exist yet, or its API server does not answer.
    """
    name, metadata = machine.status.node_ref.name, machine.metadata
    if not name:
        raise TransientError(f"Machine {metadata.name} has no Node yet", next_step="Trustplane retries")
    cluster = Key(metadata.namespace, machine.spec.cluster_name or metadata.labels.get(CLUSTER_NAME_LABEL, ""))
    async with open_workload(client, cluster) as workload:
        for _ in range(_READS if _is_young(machine) else 1):
            node = await workload.find(WORKLOAD_NODES, name)
            if node and (reported := hostkey.reported_keys(node.metadata.annotations)):
                return reported
            await asyncio.sleep(_PAUSE)
    return frozenset()


def _is_young(machine: Machine) -> bool:
    created = machine.metadata.creation_timestamp
    return created is not None and datetime.now(UTC) - created < REPORT_TIMEOUT


async def _pin(client: Client, machine: Machine, shown: str, reported: Collection[str]) -> None:
    name, namespace, current = machine.metadata.name, machine.metadata.namespace, machine
    for _ in range(_ATTEMPTS):
        patch = hostkey.check_host_key(current, shown, reported)
        if patch is None:
            return
        try:
            await client.patch(MACHINES, name, namespace, patch)
        except ConflictError:
            current = await client.get(MACHINES, name, namespace)
        else:
            return
    raise TransientError(f"The host key of Machine {name} cannot be pinned", why="the Machine keeps changing")
