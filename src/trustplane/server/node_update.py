"""UpdateMachine: what its request asks for; the work is that of `machines.update`."""

from trustplane.api.meta import Json
from trustplane.clusterapi import inplace_update
from trustplane.kube.client import Client
from trustplane.machines.update import Update, carry_out, digest_in_force, permission, prepare

__all__ = ["Update", "carry_out", "digest_in_force", "permission", "read"]


async def read(client: Client, request: Json) -> Update:
    """Read what a request asks for, with the content of the Secrets that it names.

    Raises:
        NotFoundError: The Machine or its Cluster is gone.
        TransientError: A Secret is not there.
        UserError: The request, or a Secret, cannot be used.
    """
    return await prepare(client, inplace_update.read(request))
