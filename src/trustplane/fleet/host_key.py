"""A node's SSH host key, compared with the pin of its Machine, and with what the node itself has said."""

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

_ATTEMPTS: Final = 5  # while a Machine that is being made changes
_LOOKS: Final = 10  # at a Node that has joined just now, and says within two seconds which keys it has
_PAUSE: Final = 0.5
# After which a node that says nothing has no such unit, as in somebody's own class: its first key is believed.
REPORT_TIMEOUT: Final = timedelta(minutes=5)


async def check_host_key(client: Client, machine: Machine, shown: str) -> None:
    """Compare the key that a node has shown, before anything is sent to it.

    Raises:
        NodeError: It is another one than the pinned one, and none that the node has said it has.
        TransientError: The node has said nothing yet, or its Machine keeps changing, so that the key cannot be pinned.
    """
    if hostkey.is_known(machine, shown):
        return
    said = await _said(client, machine)
    if not said and not hostkey.pinned_key(machine) and _is_young(machine):
        raise TransientError(
            f"The node of Machine {machine.metadata.name} has not said yet which SSH host keys it has",
            why=f"annotation {hostkey.REPORTED} of its Node is absent",
            next_step="It is tried again by itself; on the node, see `systemctl status trustplane-host-keys`",
        )
    await _pin(client, machine, shown, said)


async def _said(client: Client, machine: Machine) -> frozenset[str]:
    """Ask the node's own cluster, where only the node and its administrators can write that.

    Raises:
        TransientError: There is no Node yet, or its API server does not answer.
    """
    name, metadata = machine.status.node_ref.name, machine.metadata
    if not name:
        raise TransientError(f"Machine {metadata.name} has no Node yet", next_step="It is tried again by itself")
    cluster = Key(metadata.namespace, machine.spec.cluster_name or metadata.labels.get(CLUSTER_NAME_LABEL, ""))
    async with open_workload(client, cluster) as workload:
        for _ in range(_LOOKS if _is_young(machine) else 1):
            found = await workload.find(WORKLOAD_NODES, name)
            if found and (said := hostkey.reported_keys(found.metadata.annotations)):
                return said
            await asyncio.sleep(_PAUSE)
    return frozenset()


def _is_young(machine: Machine) -> bool:
    created = machine.metadata.creation_timestamp
    return created is not None and datetime.now(UTC) - created < REPORT_TIMEOUT


async def _pin(client: Client, machine: Machine, shown: str, said: Collection[str]) -> None:
    name, namespace, found = machine.metadata.name, machine.metadata.namespace, machine
    for _ in range(_ATTEMPTS):
        patch = hostkey.check_host_key(found, shown, said)
        if patch is None:
            return
        try:
            await client.patch(MACHINES, name, namespace, patch)
        except ConflictError:
            found = await client.get(MACHINES, name, namespace)
        else:
            return
    raise TransientError(f"Machine {name} keeps changing, so that its host key cannot be pinned")
