"""Control planes of one or two machines: changed trust in place, while Cluster API is kept from replacing them."""

from typing import Any, Final

import structlog

from trustplane.api.annotations import PAUSED
from trustplane.api.clustertrust import TRUST_HINDRANCE
from trustplane.api.meta import Json
from trustplane.clusterapi.field_owner import handed_back
from trustplane.clusterapi.small_control_plane import Move, Step, is_ours, pause_value, step
from trustplane.controllers.clustertrust_view import View
from trustplane.controllers.reading import ByCluster, cluster_key
from trustplane.controllers.small_control_plane_look import Look, look_at
from trustplane.errors import NodeError, TransientError, TrustplaneError, UserError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.resource import Key
from trustplane.machines import update as machine_update
from trustplane.machines.resources import CONTROL_PLANES, KUBEADM_CONFIGS, MACHINES
from trustplane.trust.gate import Move as Turn

_WORKERS: Final = 16  # clusters at a time: those whose nodes do not answer only wait
_AGAIN_SECONDS: Final = 1.0
_UNREACHABLE_SECONDS: Final = 5.0
_REFUSED_SECONDS: Final = 15.0
_WAIT_SECONDS: Final = 10.0  # what is waited for wakes us; only the end of our patience does not
_MESSAGE: Final = 600  # characters of what is kept in an annotation
_ALTERNATIVE: Final = "Or have the machine replaced: annotation trustplane.dev/update-strategy: Replace of its cluster"

_log = structlog.get_logger(__name__)


class SmallControlPlaneReconciler:
    """Brings changed trust to small control planes, one step at a time.

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

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.control_planes, cluster_key),
            Watch(view.machines, cluster_key),
            Watch(view.configs, cluster_key),
        ]
        return Controller("smallcontrolplane", self.reconcile, watches, workers=_WORKERS)

    async def reconcile(self, key: Key) -> Result:
        """Take the next step of one cluster's control plane."""
        cluster = self._view.clusters.get(key)
        is_held = cluster is not None and cluster.control_plane_override("trust")
        if not is_held and not any(is_ours(one.metadata.annotations) for one in self._control_planes_of.of(key)):
            return Result()
        look = await look_at(self._client, key)
        if look is None:
            return Result()
        todo = step(look.scene)
        _log.debug("step", cluster=str(key), move=todo.move.value, machine=todo.machine, reason=todo.reason)
        try:
            return await self._carry_out(look, todo)
        except (ConflictError, NotFoundError):
            return Result(requeue_after=_AGAIN_SECONDS)  # decided on an object that has changed since

    async def _carry_out(self, look: Look, todo: Step) -> Result:
        if todo.move is Move.NOTHING:
            return Result()
        if todo.move is Move.WAIT:
            return Result(requeue_after=_WAIT_SECONDS)
        if todo.move is Move.WRITE:
            return await self._write(look, todo)
        if todo.move is Move.COPY:
            await self._copy(look, todo)
        elif todo.move is Move.HAND_BACK:
            await self._hand_back(look, todo)
        else:
            await self._set_pause(look, todo)
        return Result(requeue_after=_AGAIN_SECONDS)

    async def _set_pause(self, look: Look, todo: Step) -> None:
        value = pause_value(look.scene.spec) if todo.move is Move.PAUSE else None
        if value is None:
            for one in look.scene.members:
                await self._hindered(look, one.name, "")
        metadata = look.control_plane["metadata"]
        # Of the very object that was decided about: a pause that a user has made of it meanwhile stays.
        body = {"resourceVersion": metadata["resourceVersion"], "annotations": {PAUSED: value}}
        await self._client.patch(CONTROL_PLANES, metadata["name"], metadata["namespace"], {"metadata": body})
        _log.info("control plane", cluster=str(look.key), move=todo.move.value, reason=todo.reason)
        if look.scene.cluster is not None:
            what = "ControlPlanePaused" if value else "ControlPlaneUnpaused"
            await self._recorder.event(look.scene.cluster, what, todo.reason)

    async def _write(self, look: Look, todo: Step) -> Result:
        try:
            update = await machine_update.prepare(self._client, look.update(todo.machine))
            if update.is_done:
                return Result(requeue_after=_AGAIN_SECONDS)
            turn = await machine_update.permission(self._client, update)
            if turn.move in (Turn.WAIT, Turn.STOP):
                await self._hindered(look, todo.machine, turn.reason if turn.move is Turn.STOP else "")
                return Result(requeue_after=_WAIT_SECONDS)
            await machine_update.carry_out(self._client, update)
        except (TransientError, NotFoundError) as error:
            await self._hindered(look, todo.machine, _told(error))
            return Result(requeue_after=_UNREACHABLE_SECONDS)
        except (NodeError, UserError) as error:
            await self._recorder.event(
                look.machines[todo.machine], "TrustRefused", str(error), warning=True, action="UpdateMachine"
            )
            await self._hindered(look, todo.machine, _told(error))
            return Result(requeue_after=_REFUSED_SECONDS)
        await self._hindered(look, todo.machine, "")
        return Result(requeue_after=_AGAIN_SECONDS)

    async def _hindered(self, look: Look, machine: str, why: str) -> None:
        """Say on a Machine why its node has not taken the trust yet, or say nothing any more."""
        found = look.machines[machine]["metadata"]
        if (found.get("annotations") or {}).get(TRUST_HINDRANCE, "") == why[:_MESSAGE]:
            return
        body: Json = {"metadata": {"annotations": {TRUST_HINDRANCE: why[:_MESSAGE] or None}}}
        try:
            await self._client.patch(MACHINES, machine, found["namespace"], body)
        except NotFoundError:
            return  # what is gone is not hindered

    async def _copy(self, look: Look, todo: Step) -> None:
        await self._hindered(look, todo.machine, "")
        await self._patch_config(look, todo, {}, {"spec": {"files": [*look.scene.files] or None}})

    async def _hand_back(self, look: Look, todo: Step) -> None:
        managed = look.config(todo.machine)["metadata"].get("managedFields") or []
        await self._patch_config(look, todo, {"managedFields": handed_back(managed)}, {})

    async def _patch_config(self, look: Look, todo: Step, metadata: Json, rest: Json) -> None:
        config = look.config(todo.machine)["metadata"]
        body = {"metadata": {"resourceVersion": config["resourceVersion"], **metadata}, **rest}
        await self._client.patch(KUBEADM_CONFIGS, config["name"], config["namespace"], body)


def _told(error: TrustplaneError) -> str:
    return f"{error}. {_ALTERNATIVE}"
