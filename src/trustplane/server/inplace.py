"""Updates in place: Cluster API's hooks that look at the management cluster and at nodes.

`UpdateMachine` writes on a node by a task in the background, since Cluster API waits for an answer for a few seconds
only. Nothing is remembered but the task: a call after a crash starts again, and what was done already is found done. Of
several replicas that work on one node, the lock of `nodes.trust` lets one at a time, and the next finds nothing to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping

import structlog

from trustplane.api.annotations import CLUSTER_NAME_LABEL, IN_PLACE_REFUSED
from trustplane.api.meta import Json
from trustplane.clusterapi import inplace, inplace_update, rollout
from trustplane.clusterapi.hooks import CAN_UPDATE_MACHINE, CAN_UPDATE_MACHINE_SET, UPDATE_MACHINE
from trustplane.errors import NodeError, TransientError, TrustplaneError, UserError
from trustplane.kube.client import Client
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.machines import update as machine_update
from trustplane.machines.resources import CLUSTERS, MACHINES
from trustplane.server import node_update
from trustplane.trust.gate import Move

# Of the 10 s that Cluster API gives a hook.
_PATIENCE_SECONDS = 5.0
_RETRY_SECONDS = 1
_REFUSED_RETRY_SECONDS = 15

AsyncHook = Callable[[Json], Awaitable[Json]]
_log = structlog.get_logger(__name__)


class InPlace:
    """The hooks for updates in place.

    Args:
        client: To the management cluster.
        recorder: For events of Machines.
    """

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._tasks = Tasks()

    def hooks(self) -> Mapping[str, AsyncHook]:
        """Return the hooks by name."""
        return {
            CAN_UPDATE_MACHINE: self.can_update_machine,
            CAN_UPDATE_MACHINE_SET: self.can_update_machine_set,
            UPDATE_MACHINE: self.update_machine,
        }

    async def close(self) -> None:
        """End what is still under way; the next UpdateMachine goes on from there."""
        await self._tasks.close()

    async def can_update_machine(self, request: Json) -> Json:
        """Answer CanUpdateMachine."""
        cluster = await self._cluster((request.get("desired") or {}).get("machine") or {})
        if rollout.is_replace(_annotations(cluster)):
            return inplace.refusal(is_set=False)
        return inplace.can_update_machine(request)

    async def can_update_machine_set(self, request: Json) -> Json:
        """Answer CanUpdateMachineSet.

        Raises:
            TransientError: The machines have to be replaced, but would be under the strategy for updates in place: so
                many at once, and none made before. Cluster API asks again until the strategy is another.
        """
        desired = request.get("desired") or {}
        cluster = await self._cluster(desired.get("machineSet") or {})
        if rollout.is_replace(_annotations(cluster)):
            decision = inplace.Decision(in_place=False, reason="Replacement is wanted")
        else:
            decision = inplace.decide_machine_set(request.get("current") or {}, desired)
        if not decision.in_place and rollout.is_ours(desired.get("machineSet") or {}):
            await self._refuse(cluster)
            raise TransientError("The machines cannot be updated in place", why=decision.reason)
        return inplace.can_update_machine_set(request) if decision.in_place else inplace.refusal(is_set=True)

    async def _refuse(self, cluster: Json) -> None:
        """Have the manager give the pools their own strategy back."""
        digest = machine_update.digest_in_force(cluster)
        if _annotations(cluster).get(IN_PLACE_REFUSED) != digest:
            metadata = cluster["metadata"]
            body: Json = {"metadata": {"annotations": {IN_PLACE_REFUSED: digest}}}
            await self._client.patch(CLUSTERS, metadata["name"], metadata["namespace"], body)

    async def _cluster(self, desired: Json) -> Json:
        """Read the Cluster of a Machine or a MachineSet."""
        metadata, spec = desired.get("metadata") or {}, desired.get("spec") or {}
        name = spec.get("clusterName") or (metadata.get("labels") or {}).get(CLUSTER_NAME_LABEL, "")
        return await self._client.get(CLUSTERS, name, metadata.get("namespace", ""))

    async def update_machine(self, request: Json) -> Json:
        """Answer UpdateMachine: done, or in progress with what is being waited for."""
        try:
            update = await node_update.read(self._client, request)
            if update.is_done:
                return inplace_update.done()
            permission = await machine_update.permission(self._client, update)
            if permission.move in (Move.WAIT, Move.STOP):
                return inplace_update.in_progress(permission.reason, retry_after=_RETRY_SECONDS)
            is_done = await self._tasks.run(
                (update.namespace, update.name, update.digest),
                lambda: machine_update.carry_out(self._client, update),
            )
        except (TransientError, NotFoundError) as error:
            return inplace_update.in_progress(str(error), retry_after=_RETRY_SECONDS)
        except (NodeError, UserError) as error:
            await self._report(request, error)
            return inplace_update.in_progress(str(error), retry_after=_REFUSED_RETRY_SECONDS)
        return inplace_update.done() if is_done else inplace_update.in_progress("Trust is being written on the node")

    async def _report(self, request: Json, error: TrustplaneError) -> None:
        metadata = ((request.get("desired") or {}).get("machine") or {}).get("metadata") or {}
        if machine := await self._client.find(MACHINES, metadata.get("name", ""), metadata.get("namespace", "")):
            await self._recorder.event(machine, "TrustRefused", str(error), warning=True, action="UpdateMachine")


def _annotations(found: Json) -> dict[str, str]:
    return found["metadata"].get("annotations") or {}


class Tasks:
    """Work in the background, at most once at a time for each key."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], asyncio.Task[None]] = {}

    async def run(self, key: tuple[str, ...], work: Callable[[], Coroutine[None, None, None]]) -> bool:
        """Start the work unless it is under way, wait for a while, and tell whether it is done.

        Raises:
            Exception: What the work raised; the next call starts it again.
        """
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(work())
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        if not task.done():
            return False
        if self._running.get(key) is task:
            del self._running[key]
        task.result()
        return True

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
