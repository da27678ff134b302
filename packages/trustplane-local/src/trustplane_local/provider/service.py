"""The provider's process, and what `trustplane local up` asks of it after a crash or a reboot."""

import asyncio

import structlog

from trustplane.errors import HostError
from trustplane.kube.client import Client
from trustplane.kube.manager import Manager
from trustplane.kube.tasks import first
from trustplane_local.podman import Podman
from trustplane_local.provider import instance
from trustplane_local.provider.clusters import Clusters
from trustplane_local.provider.instance import MACHINE_ROLE, ROLE_LABEL
from trustplane_local.provider.machines import Machines
from trustplane_local.provider.patrol import ContainerWatch, container_groups, object_key
from trustplane_local.provider.writer import Writer
from trustplane_local.stack import Stack

log = structlog.get_logger(__name__)


async def run_provider(stack: Stack, stop: asyncio.Event) -> None:
    """Reconcile LocalClusters and LocalMachines until `stop` is set. Health and metrics are at port `provider-health`.

    Raises:
        HostError: podman cannot be used, or the health port is taken.
    """
    podman = Podman(stack)
    await podman.prepare()
    async with Client.open(stack.kubeconfig) as client:
        manager = Manager(client, health=("127.0.0.1", stack.ports["provider-health"]))
        writer = Writer(client)
        machines = Machines(stack, client, podman, manager, writer).controller()
        clusters = Clusters(stack, client, podman, manager, writer).controller()
        manager.add(machines)
        manager.add(clusters)
        patrol = ContainerWatch(client, podman, container_groups(stack, machines, clusters))
        await first(manager.run(stop), patrol.run())


async def restart_stopped_machines(stack: Stack) -> list[str]:
    """Start the machines whose containers do not run; return their names. Nothing else of the stack needs to run.

    A machine that was interrupted in the middle of its bootstrap does not go on where it was: its container is removed,
    and the provider makes it anew. One that cannot be started stays as it is: the provider reports it, and Cluster API
    replaces it when it is told to.
    """
    podman = Podman(stack)
    await podman.prepare()
    stopped = [
        one for one in await podman.list() if (one.labels or {}).get(ROLE_LABEL) == MACHINE_ROLE and not one.is_running
    ]
    started = []
    for container in stopped:
        try:
            if await asyncio.to_thread(instance.is_bootstrapped, instance.machine_folder(stack, object_key(container))):
                await podman.start(container.name)
            else:
                await podman.remove(container.name)
        except HostError as error:
            log.warning("machine not started", machine=str(object_key(container)), error=str(error))
        else:
            started.append(str(object_key(container)))
    return started
