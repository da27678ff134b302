"""UpdateMachine: what its request asks for; the work is that of `machines.update`."""

from trustplane.api.meta import Json
from trustplane.clusterapi import inplace_update
from trustplane.clusterapi.inplace import trust_files
from trustplane.errors import TransientError, UserError
from trustplane.kube.client import Client
from trustplane.machines.resources import KUBEADM_CONFIGS
from trustplane.machines.update import Update, prepare


async def read(client: Client, request: Json) -> Update:
    """Read what a request asks for, with the content of the Secrets that it names.

    Raises:
        NotFoundError: The Machine or its Cluster is gone.
        TransientError: A Secret is not there, or the request is older than the update that it is about.
        UserError: The request, or a Secret, cannot be used.
    """
    asked = inplace_update.read(request)
    await _check_recent(client, asked, request["desired"]["bootstrapConfig"])
    return await prepare(client, asked)


async def _check_recent(client: Client, asked: inplace_update.MachineUpdate, config: Json) -> None:
    """Compare a request, which Cluster API makes from what its watches last saw, with the KubeadmConfig as it is.

    One that is behind asks for the set before: "done" would be true of that, and end the update to the new one.
    """
    name = (config.get("metadata") or {}).get("name", "")
    if not name:
        raise UserError("The UpdateMachineRequest names no KubeadmConfig")
    found = await client.find(KUBEADM_CONFIGS, name, asked.namespace)
    if found and tuple(trust_files((found.get("spec") or {}).get("files") or [])) != asked.files:
        raise TransientError(
            f"Cluster API asks for the files that Machine {asked.name} had before",
            why="its watch of KubeadmConfigs is behind",
            next_step="It asks again by itself",
        )
