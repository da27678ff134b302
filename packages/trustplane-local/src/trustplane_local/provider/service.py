"""The provider's process, and the restart of machines by `trustplane local up`."""

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
    """Reconcile LocalClusters and LocalMachines until `stop` is set. Serve health and metrics at `provider-health`.

    Raises:
        HostError: podman does not work, or the health port is in use.
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
    """Start the machines whose containers are stopped; return their names. Works without the other parts of the stack.

    An interrupted bootstrap cannot continue: the container is removed, and the provider creates the machine again. A
    container that does not start stays as it is: the provider reports it, and Cluster API replaces it on request.
    """
    podman = Podman(stack)
    await podman.prepare()
    machines = [
        container for container in await podman.list() if (container.labels or {}).get(ROLE_LABEL) == MACHINE_ROLE
    ]
    started = []
    for container in (machine for machine in machines if not machine.is_running):
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
