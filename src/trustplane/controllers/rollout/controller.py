"""The rollout of each cluster's trust: what new machines boot with, and what running nodes have.

What is to be done is `trust.rollout`'s decision, made anew whenever an object or a write has changed. Here it is
carried out: records and Secrets in the management cluster at once, writes on nodes as tasks of their own, so that a
node that does not answer holds up nobody.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from trustplane.api.annotations import REMEDIATE, TRUST_CANARY, TRUST_PROVEN
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.clusterapi import secret
from trustplane.fleet.reading import cluster_keys
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CLUSTERS, MACHINES
from trustplane.rollout.execution import boot_data, replacement, trust_secrets
from trustplane.rollout.execution.boot_data import BootRecorder, LostSetError
from trustplane.rollout.execution.node_write import NodeWriter
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.facts import Work
from trustplane.rollout.planning.observed import Observed
from trustplane.rollout.planning.plan import plan
from trustplane.rollout.planning.steps import Action, Note, Plan, State, Step
from trustplane.trust.entries import TrustSet

_WORKERS: Final = 16
_ROLL_SECONDS: Final = 5.0
_STALE_SECONDS: Final = 1.0  # for a change that wakes nobody, as that of a Machine's condition of ours
_LOOK_SECONDS: Final = 60.0  # between looks at a cluster of which no watch tells all

_log = structlog.get_logger(__name__)


class RolloutReconciler:
    """Brings the set in force to the nodes of each cluster.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
    """

    def __init__(self, client: Client, view: FleetView, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder
        self._writer = NodeWriter(client, self._wake)
        self._born = BootRecorder(client)
        self._on_work: Callable[[Key], None] = lambda _: None
        self._controller = self._made()

    def controller(self) -> Controller:
        """Return the controller."""
        return self._controller

    def machines_being_written(self, key: Key) -> frozenset[str]:
        """Return the names of a cluster's Machines that are being written on."""
        return self._writer.machines_writing(key)

    def notify_on_write(self, on_work: Callable[[Key], None]) -> None:
        """Call somebody with each cluster on whose nodes a write has begun or ended, which no object says."""
        self._on_work = on_work

    def _made(self) -> Controller:
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.tkcs),
            view.watch_machines(),
            Watch(view.control_planes, cluster_keys),
            Watch(view.pools, cluster_keys),
            Watch(view.secrets, cluster_keys),
            view.watch_registries(),
            view.watch_health_checks(),
        ]
        return Controller("rollout", self.reconcile, watches, workers=_WORKERS, close=self._writer.close)

    def _wake(self, key: Key, after: float = 0.0) -> None:
        self._controller.wake(key, after=after)
        if not after:
            self._on_work(key)

    async def reconcile(self, key: Key) -> Result:
        """Bring one cluster a step further."""
        seen = await self._view.observe(key)
        if seen is None:
            self._born.forget(key)
        if seen is None or seen.sets.in_force is None:
            self._writer.forget(key)
            return Result()
        if await self._born.record(seen):
            return Result()  # which wakes us
        await self._keep_set(key, seen, seen.sets.in_force)
        look, found = self._planned(key, seen)
        try:
            await self._carry_out(key, seen, found)
        except ConflictError:
            # Decided on an object that has changed since. That change is on its way here, and wakes us.
            return Result(requeue_after=_STALE_SECONDS)
        await self._report(seen, found)
        if found.state is State.CURRENT:  # what `trustplane undo` would bring back is among the last few
            await trust_secrets.collect_set_secrets(self._client, seen, look, self._view.secrets_of(key))
        return Result(requeue_after=self._again(key, seen, found))

    def _again(self, key: Key, seen: ClusterState, found: Plan) -> float:
        """Return after how many seconds to look again; 0: when something changes."""
        # `rollout.after` is in whole seconds: a second roll in the same one changes nothing, and wakes nobody.
        rolled = _ROLL_SECONDS if found.roll is not None else 0.0
        # The Secret that a user made is followed by no watch.
        is_waiting = seen.tkc is None or any(not one.node for one in seen.nodes)
        times = (_LOOK_SECONDS if is_waiting else 0.0, rolled, self._writer.backoff_seconds(key))
        return min((one for one in times if one > 0), default=0.0)

    async def _keep_set(self, key: Key, seen: ClusterState, trust: TrustSet) -> None:
        """Have the set in force in a Secret of its own; that of a TanzuKubernetesCluster is there already."""
        if secret.set_secret_name(key.name, trust.digest) not in {
            one.metadata.name for one in self._view.secrets_of(key)
        }:
            await trust_secrets.ensure_set_secret(self._client, seen.cluster, trust)

    def _planned(self, key: Key, seen: ClusterState) -> tuple[Observed, Plan]:
        """Return what is decided from, and the plan; made anew where the fleet's limit grants less than it wants."""
        work = Work(writing=self._writer.machines_writing(key), resting=self._writer.machines_backing_off(key))
        look = plan_input(seen, now=datetime.now(UTC), work=work)
        found = plan(look)
        granted = self._writer.allowance(key, len(found.write))
        if granted < len(found.write):
            look = replace(look, allowance=granted)
            found = plan(look)
        return look, found

    async def _carry_out(self, key: Key, seen: ClusterState, found: Plan) -> None:
        """Take the steps in their order; where one fails, the rest is left.

        Raises:
            LostSetError: What new machines are to boot with is lost; nodes get the set in force all the same, since
                its proof is what helps.
        """
        lost: LostSetError | None = None
        try:
            # Both records in one change: Cluster API's webhooks judge each, which takes a while.
            await self._annotate(seen, _records(found))
        except NotFoundError:
            return
        for step in found.steps:
            try:
                await self._take(key, seen, step)
            except LostSetError as error:
                lost = error
            except NotFoundError:
                return  # gone just now, which wakes us
        if lost is not None:
            raise lost

    async def _take(self, key: Key, seen: ClusterState, step: Step) -> None:
        doing: dict[Action, Callable[[], Awaitable[None]]] = {
            Action.BOOT: lambda: boot_data.write_boot_set(self._client, self._view, seen, step.target),
            Action.ROLL: lambda: replacement.replace_group(self._client, seen, step.target),
            Action.WRITE: lambda: self._write(key, seen, step.target),
            Action.DELETE: lambda: self._delete(seen, step.target),
            Action.REMEDIATE: lambda: self._remediate(seen, step.target),
        }
        if step.action in doing:  # records are made already
            await doing[step.action]()

    async def _annotate(self, seen: ClusterState, annotations: Mapping[str, str]) -> None:
        """Record on the Cluster as it was seen: whoever has changed it meanwhile makes this a conflict."""
        if not annotations:
            return
        metadata = seen.cluster.metadata
        body: Json = {"metadata": {"annotations": dict(annotations), "resourceVersion": metadata.resource_version}}
        await self._client.patch(CLUSTERS, metadata.name, metadata.namespace, body)

    async def _write(self, key: Key, seen: ClusterState, machine: str) -> None:
        facts = next(one for one in seen.nodes if one.machine == machine)
        self._writer.start(key, seen.machines[machine], facts, seen.sets)
        self._on_work(key)

    async def _delete(self, seen: ClusterState, name: str) -> None:
        machine = seen.machines[name]
        await self._client.delete(MACHINES, name, machine.metadata.namespace, uid=machine.metadata.uid)
        message = f"Machine {name} cannot be reached and is replaced, as was asked for"
        await self._recorder.event(seen.cluster, "TrustReplacing", message, warning=True)

    async def _remediate(self, seen: ClusterState, name: str) -> None:
        """Mark a Machine as it was seen: a mark that somebody else has set meanwhile makes this a conflict."""
        metadata = seen.machines[name].metadata
        body: Json = {"metadata": {"annotations": {REMEDIATE: ""}, "resourceVersion": metadata.resource_version}}
        await self._client.patch(MACHINES, name, metadata.namespace, body)
        message = f"Machine {name} cannot be reached, and is marked for its MachineHealthCheck, as was asked for"
        await self._recorder.event(seen.cluster, "TrustReplacing", message, warning=True)

    async def _report(self, seen: ClusterState, found: Plan) -> None:
        if found.boot is None:
            return
        name = secret.boot_secret_name(seen.cluster.metadata.name)
        for note in found.notes:
            if note in _TOLD:
                reason, words = _TOLD[note]
                await self._recorder.event(seen.cluster, reason, words.format(name), warning=True)


_TOLD: Final = {
    Note.BOOT_SET_EDITED: (
        "TrustBootSetRestored",
        "Secret {} was edited by somebody; what Trustplane wrote is back",
    ),
    Note.BOOT_SET_MISSING: (
        "TrustBootSetMissing",
        "Secret {} was missing, without which no machine is made; it is there now",
    ),
}


def _records(found: Plan) -> Mapping[str, str]:
    """Return what the first steps of a plan, ELECT and RECORD_PROVEN, write on the Cluster, by annotation."""
    canary = {TRUST_CANARY: _text(found.elect)} if found.elect else {}
    return canary | ({TRUST_PROVEN: found.proven} if found.proven else {})


def _text(record: Any) -> str:
    return msgspec.json.encode(record).decode()
