"""Polls podman: wakes controllers for changed containers, and removes containers and folders without an object."""

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
    """The containers of one kind of object.

    Attributes:
        role: Value of their role label.
        resource: The kind.
        controller: The controller of the kind.
        parent: The folder with a folder for each object.
    """

    role: str
    resource: Resource[Any]
    controller: Controller
    parent: Path


def container_groups(stack: Stack, machines: Controller, clusters: Controller) -> list[ContainerGroup]:
    """Return the beats of a stack: machines and load balancers."""
    return [
        ContainerGroup(instance.MACHINE_ROLE, LOCAL_MACHINES, machines, stack.folder / "machines"),
        ContainerGroup(loadbalancer.LOAD_BALANCER_ROLE, LOCAL_CLUSTERS, clusters, stack.folder / "loadbalancers"),
    ]


class ContainerWatch:
    """Compares podman's containers with those of the last poll, and with the objects that they belong to."""

    def __init__(self, client: Client, podman: Podman, beats: Collection[ContainerGroup]) -> None:
        self._client = client
        self._podman = podman
        self._beats = beats

    async def run(self) -> None:
        """Poll until cancelled; log failures and retry."""
        known: dict[tuple[str, Key], str] = {}
        while True:
            try:
                containers = await self._podman.list()
                known = self._wake(known, containers)
                await self._sweep(containers)
            except TrustplaneError as error:
                log.warning("patrol failed", error=str(error))
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
            # Objects are listed last: containers and folders of newer objects are then not in the earlier lists.
            folders = await asyncio.to_thread(_folders, beat.parent)
            objects = await self._client.list(beat.resource)
            keys = {Key(owner.metadata.namespace, owner.metadata.name) for owner in objects}
            for name in orphaned_containers(containers, beat.role, keys):
                log.warning("container without object removed", container=name, kind=beat.resource.kind)
                await self._podman.remove(name)
            names = {instance.container_name(key) for key in keys}
            for folder in folders:
                if folder.name not in names:
                    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def object_key(container: ObservedContainer) -> Key:
    """Return the key of the object that a container belongs to."""
    labels = container.labels or {}
    return Key(labels.get(NAMESPACE_LABEL, ""), labels.get(NAME_LABEL, ""))


def container_states(containers: Iterable[ObservedContainer]) -> dict[tuple[str, Key], str]:
    """Return ID and state of each container, by its role and object."""
    return {
        _identity(container): f"{container.id} {'running' if container.is_running else 'stopped'}"
        for container in containers
    }


def _identity(container: ObservedContainer) -> tuple[str, Key]:
    return (container.labels or {}).get(ROLE_LABEL, ""), object_key(container)


def changed_containers(
    before: Mapping[tuple[str, Key], str], now: Mapping[tuple[str, Key], str]
) -> list[tuple[str, Key]]:
    """Return role and object of each container that is new, gone or different."""
    return sorted(identity for identity in before.keys() | now.keys() if before.get(identity) != now.get(identity))


def orphaned_containers(containers: Iterable[ObservedContainer], role: str, keys: Collection[Key]) -> list[str]:
    """Return the names of the containers of a role whose object does not exist."""
    members = [container for container in containers if (container.labels or {}).get(ROLE_LABEL) == role]
    return [container.name for container in members if object_key(container) not in keys]


def _folders(parent: Path) -> list[Path]:
    return list(parent.iterdir()) if parent.exists() else []
