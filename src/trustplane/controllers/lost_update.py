"""Machines whose update in place Cluster API has lost: it is taken up again."""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog

from trustplane.api.annotations import CONTROL_PLANE_LABEL, UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import KubeadmConfig, Machine
from trustplane.api.meta import Object
from trustplane.clusterapi.inplace import trust_files
from trustplane.clusterapi.inplace_update import MachineUpdate
from trustplane.clusterapi.lost_update import Loss, loss
from trustplane.clusterapi.rollout import CONTROL_PLANE_REPLICAS
from trustplane.controllers.clustertrust_view import View
from trustplane.controllers.reading import ByCluster, cluster_key
from trustplane.errors import NodeError, TransientError, UserError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.resource import Key
from trustplane.machines import update as machine_update
from trustplane.machines.resources import KUBEADM_CONFIGS, MACHINES
from trustplane.trust.gate import Move

# A Machine and its configuration are watched apart: one may be behind the other for a while.
_PATIENCE_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 10.0
_REFUSED_SECONDS: Final = 60.0
_EVENT: Final = "UpdateResumed"

_log = structlog.get_logger(__name__)


class LostUpdateReconciler:
    """Takes up again what Cluster API has lost, one Machine at a time.

    Args:
        client: To the management cluster.
        view: Whose informers are used.
        recorder: For events.
    """

    def __init__(self, client: Client, view: View, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder
        self._control_planes_of = ByCluster(view.control_planes)
        self._since: dict[Key, float] = {}  # when work seemed to be lost first; a new process is patient anew

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.machines),
            Watch(view.configs, _machine_key),
            *(Watch(one, lambda _: ()) for one in (view.clusters, view.control_planes)),  # to be there, no more
        ]
        return Controller("lostupdate", self.reconcile, watches)

    async def reconcile(self, key: Key) -> Result:
        """Look at one Machine."""
        machine = self._view.machines.get(key)
        found = self._loss(machine, self._config(machine)) if machine else Loss.NOTHING
        if found is Loss.WORK:
            return await self._work_patiently(key)
        self._since.pop(key, None)
        if machine and found is Loss.MARK:
            await self._mark(machine)
        return Result()

    async def _work_patiently(self, key: Key) -> Result:
        waited = time.monotonic() - self._since.setdefault(key, time.monotonic())
        if waited < _PATIENCE_SECONDS:
            return Result(requeue_after=_PATIENCE_SECONDS - waited)
        return await self._work(key)

    def _config(self, machine: Machine) -> KubeadmConfig | None:
        return self._view.configs.get(Key(machine.metadata.namespace, machine.spec.bootstrap.config_ref.name))

    def _loss(self, machine: Machine, config: KubeadmConfig | None) -> Loss:
        if self._view.cluster_of(machine) is None:
            return Loss.NOTHING
        is_control_plane = CONTROL_PLANE_LABEL in machine.metadata.labels
        return loss(machine, config, is_stepwise=is_control_plane and self._is_small(machine))

    def _is_small(self, machine: Machine) -> bool:
        found = [one for key in cluster_key(machine) for one in self._control_planes_of.of(key)]
        return not found or found[0].spec.replicas < CONTROL_PLANE_REPLICAS

    async def _mark(self, machine: Machine) -> None:
        metadata = machine.metadata
        # Of the very Machine that was looked at: Cluster API may have gone on since.
        body = {"resourceVersion": metadata.resource_version, "annotations": {UPDATE_IN_PROGRESS: ""}}
        try:
            await self._client.patch(MACHINES, metadata.name, metadata.namespace, {"metadata": body})
        except (ConflictError, NotFoundError):
            return  # what changed it wakes us
        await self._resumed(machine, "its mark was lost while it was moved to another MachineSet")

    async def _resumed(self, machine: Machine, why: str) -> None:
        _log.warning("update resumed", machine=machine.metadata.name, why=why)
        await self._recorder.event(machine, _EVENT, f"Cluster API had lost the update in place: {why}")

    async def _work(self, key: Key) -> Result:
        """Write on the node what its configuration names, if that is so at the API server itself."""
        try:
            machine = await self._client.get(MACHINES, key.name, key.namespace)
            typed = msgspec.convert(machine, Machine)
            config = await self._client.get(KUBEADM_CONFIGS, typed.spec.bootstrap.config_ref.name, key.namespace)
            if self._loss(typed, msgspec.convert(config, KubeadmConfig)) is not Loss.WORK:
                return Result()
            update = await machine_update.prepare(self._client, _update(typed, config))
            if update.is_done:
                return Result(requeue_after=_AGAIN_SECONDS)  # the cluster has taken another set, which is on its way
            turn = await machine_update.permission(self._client, update)
            if turn.move in (Move.WAIT, Move.STOP):
                return Result(requeue_after=_AGAIN_SECONDS)
            await machine_update.carry_out(self._client, update)
            await self._resumed(typed, "its node had not been written")
        except (TransientError, NotFoundError):
            return Result(requeue_after=_AGAIN_SECONDS)
        except (NodeError, UserError) as error:
            await self._recorder.event(typed, "TrustRefused", str(error), warning=True, action="UpdateMachine")
            return Result(requeue_after=_REFUSED_SECONDS)
        return Result()


def _update(machine: Machine, config: dict[str, Any]) -> MachineUpdate:
    return MachineUpdate(
        namespace=machine.metadata.namespace,
        name=machine.metadata.name,
        cluster=machine.spec.cluster_name,
        bootstrap_secret=machine.spec.bootstrap.data_secret_name,
        files=tuple(trust_files((config.get("spec") or {}).get("files") or [])),
    )


def _machine_key(config: Object) -> Iterable[Key]:
    owners = config.metadata.owner_references
    return [Key(config.metadata.namespace, one.name) for one in owners if one.kind == "Machine"]
