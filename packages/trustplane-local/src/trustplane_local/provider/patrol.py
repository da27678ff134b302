"""Looks after containers from podman's side: wakes controllers when one changes, removes those that nobody wants."""

import asyncio
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from trustplane.api.keys import Key
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller
from trustplane.kube.resource import Resource
from trustplane_local.podman import LIST_SECONDS, ObservedContainer, Podman
from trustplane_local.provider import instance, loadbalancer
from trustplane_local.provider.instance import NAME_LABEL, NAMESPACE_LABEL, ROLE_LABEL
from trustplane_local.provider.objects import LOCAL_CLUSTERS, LOCAL_MACHINES
from trustplane_local.stack import Stack

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ContainerGroup:
    """What is looked after for one kind.

    Args:
        role: value of the role label.
        resource: the kind that wants such containers.
        controller: what is woken.
        parent: the folder that has one folder for each object.
    """

    role: str
    resource: Resource[Any]
    controller: Controller
    parent: Path


def container_groups(stack: Stack, machines: Controller, clusters: Controller) -> list[ContainerGroup]:
    """Return what is looked after in a stack."""
    return [
        ContainerGroup(instance.MACHINE_ROLE, LOCAL_MACHINES, machines, stack.folder / "machines"),
        ContainerGroup(loadbalancer.LOAD_BALANCER_ROLE, LOCAL_CLUSTERS, clusters, stack.folder / "loadbalancers"),
    ]


class ContainerWatch:
    """Compares podman's containers with the last look and with the objects that want them."""

    def __init__(self, client: Client, podman: Podman, watched: Collection[ContainerGroup]) -> None:
        self._client = client
        self._podman = podman
        self._beats = watched

    async def run(self) -> None:
        """Look every few seconds until cancelled; a look that fails is reported and repeated."""
        seen: dict[tuple[str, Key], str] = {}
        while True:
            try:
                containers = await self._podman.list()
                seen = self._wake(seen, containers)
                await self._sweep(containers)
            except TrustplaneError as error:
                log.warning("look at the containers failed", error=str(error))
            await asyncio.sleep(LIST_SECONDS)

    def _wake(
        self, before: Mapping[tuple[str, Key], str], containers: Iterable[ObservedContainer]
    ) -> dict[tuple[str, Key], str]:
        now = container_states(containers)
        for role, key in changed_containers(before, now):
            for beat in self._beats:
                if beat.role == role:
                    beat.controller.wake(key)
        return now

    async def _sweep(self, containers: Collection[ObservedContainer]) -> None:
        for beat in self._beats:
            # Objects are listed last: what was made for one since then is not among what is looked at.
            folders = await asyncio.to_thread(_folders, beat.parent)
            wanted = {Key(one.metadata.namespace, one.metadata.name) for one in await self._client.list(beat.resource)}
            for name in orphaned_containers(containers, beat.role, wanted):
                log.warning("container without object removed", container=name, kind=beat.resource.kind)
                await self._podman.remove(name)
            names = {instance.container_name(key) for key in wanted}
            for folder in folders:
                if folder.name not in names:
                    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def object_key(container: ObservedContainer) -> Key:
    """Return the object that a container was made for."""
    labels = container.labels or {}
    return Key(labels.get(NAMESPACE_LABEL, ""), labels.get(NAME_LABEL, ""))


def container_states(containers: Iterable[ObservedContainer]) -> dict[tuple[str, Key], str]:
    """Return what distinguishes each container from itself after a change."""
    return {
        (
            (one.labels or {}).get(ROLE_LABEL, ""),
            object_key(one),
        ): f"{one.id} {'running' if one.is_running else 'stopped'}"
        for one in containers
    }


def changed_containers(
    before: Mapping[tuple[str, Key], str], now: Mapping[tuple[str, Key], str]
) -> list[tuple[str, Key]]:
    """Return the containers that are new, gone or different."""
    return sorted(one for one in before.keys() | now.keys() if before.get(one) != now.get(one))


def orphaned_containers(containers: Iterable[ObservedContainer], role: str, wanted: Collection[Key]) -> list[str]:
    """Return the names of the containers of that role whose object is not there."""
    ours = [one for one in containers if (one.labels or {}).get(ROLE_LABEL) == role]
    return [one.name for one in ours if object_key(one) not in wanted]


def _folders(parent: Path) -> list[Path]:
    return list(parent.iterdir()) if parent.exists() else []
