"""Controller of rollouts: each cluster's boot set, and the trust of its running nodes.

`rollout.planning` decides again after every change of an object or a write. This module executes the plan: records and
Secrets in the management cluster immediately, writes to nodes as separate tasks, because an unreachable node must not
delay others.
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
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CLUSTERS, MACHINES
from trustplane.kube.reconciler import Reconciler
from trustplane.rollout.execution import boot_data, replacement, trust_secrets
from trustplane.rollout.execution.boot_data import BootRecorder, LostSetError
from trustplane.rollout.execution.node_write import NodeWriter
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.facts import OngoingWrites
from trustplane.rollout.planning.inputs import RolloutInput
from trustplane.rollout.planning.plan import plan_rollout
from trustplane.rollout.planning.steps import RolloutNote, RolloutPlan, RolloutState, RolloutStep, StepAction
from trustplane.trust.entries import TrustSet

_ROLL_SECONDS: Final = 5.0
_STALE_SECONDS: Final = 1.0  # for a change that wakes no controller, such as that of our condition of a Machine
_POLL_SECONDS: Final = 60.0  # between reconciles of a cluster that no watch covers completely

_log = structlog.get_logger(__name__)


class RolloutReconciler(Reconciler):
    """Bring the set in force to the nodes of each cluster.

    Args:
        client: To the management cluster.
        view: The view of clusters.
        recorder: Recorder of Events.
    """

    name = "rollout"
    workers = 16

    def __init__(self, client: Client, view: FleetView, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder
        self._writer = NodeWriter(client, self._wake_and_notify)
        self._births = BootRecorder(client)
        self._notify: Callable[[Key], None] = lambda _: None

    def machines_being_written(self, key: Key) -> frozenset[str]:
        """Return the names of a cluster's Machines with a write in progress."""
        return self._writer.machines_writing(key)

    def notify_on_write(self, on_work: Callable[[Key], None]) -> None:
        """Set the callback for clusters with a write that began or ended; no object shows this."""
        self._notify = on_work

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [
            Watch(view.clusters),
            Watch(view.tkcs),
            view.watch_machines(),
            Watch(view.control_planes, cluster_keys),
            Watch(view.pools, cluster_keys),
            Watch(view.secrets, cluster_keys),
            view.watch_registries(),
            view.watch_health_checks(),
        ]

    async def close(self) -> None:
        """End the writes in progress."""
        await self._writer.close()

    def _wake_and_notify(self, key: Key, after: float = 0.0) -> None:
        self.wake(key, after=after)
        if not after:
            self._notify(key)

    async def reconcile(self, key: Key) -> Result:
        """Bring one cluster one step closer to its set in force."""
        snapshot = await self._view.observe(key)
        if snapshot is None:
            self._births.forget(key)
        if snapshot is None or snapshot.sets.in_force is None:
            self._writer.forget(key)
            return Result()
        if await self._births.record(snapshot):
            return Result()  # the watch wakes the controller
        await self._keep_set(key, snapshot, snapshot.sets.in_force)
        observation, rollout_plan = self._make_plan(key, snapshot)
        try:
            await self._carry_out(key, snapshot, rollout_plan)
        except ConflictError:
            # Based on an outdated object; the watch delivers the change and wakes the controller.
            return Result(requeue_after=_STALE_SECONDS)
        await self._report(snapshot, rollout_plan)
        if (
            rollout_plan.state is RolloutState.CURRENT
        ):  # the set that `trustplane undo` would restore is among the last few
            await trust_secrets.collect_set_secrets(self._client, snapshot, observation, self._view.secrets_of(key))
        return Result(requeue_after=self._retry_seconds(key, snapshot, rollout_plan))

    def _retry_seconds(self, key: Key, snapshot: ClusterState, rollout_plan: RolloutPlan) -> float:
        """Return the seconds until the next reconcile; 0: after the next change."""
        # `rollout.after` has whole seconds: another roll in the same second changes nothing and wakes no controller.
        rolled = _ROLL_SECONDS if rollout_plan.replace_group is not None else 0.0
        # No watch covers Secrets created by users.
        is_waiting = snapshot.tkc is None or any(not facts.node for facts in snapshot.nodes)
        times = (_POLL_SECONDS if is_waiting else 0.0, rolled, self._writer.backoff_seconds(key))
        return min((time for time in times if time > 0), default=0.0)

    async def _keep_set(self, key: Key, snapshot: ClusterState, trust: TrustSet) -> None:
        """Keep the set in force in a separate Secret; for a TanzuKubernetesCluster, it exists already."""
        names = {stored.metadata.name for stored in self._view.secrets_of(key)}
        if secret.set_secret_name(key.name, trust.digest) not in names:
            await trust_secrets.ensure_set_secret(self._client, snapshot.cluster, trust)

    def _make_plan(self, key: Key, snapshot: ClusterState) -> tuple[RolloutInput, RolloutPlan]:
        """Return the observation and the plan, limited to the writes that the fleet-wide limit allows."""
        work = OngoingWrites(
            writing=self._writer.machines_writing(key), backing_off=self._writer.machines_backing_off(key)
        )
        observation = plan_input(snapshot, now=datetime.now(UTC), work=work)
        rollout_plan = plan_rollout(observation)
        granted = self._writer.allowance(key, len(rollout_plan.write))
        if granted < len(rollout_plan.write):
            observation = replace(observation, fleet_allowance=granted)
            rollout_plan = plan_rollout(observation)
        return observation, rollout_plan

    async def _carry_out(self, key: Key, snapshot: ClusterState, rollout_plan: RolloutPlan) -> None:
        """Execute the steps in order, until one fails.

        Raises:
            LostSetError: The boot set's content is lost. Nodes still get the set in force, because its proof restores
                the boot set.
        """
        lost: LostSetError | None = None
        try:
            # Both records in one change, because each passes Cluster API's webhooks, which are slow.
            await self._annotate(snapshot, _records(rollout_plan))
        except NotFoundError:
            return
        for step in rollout_plan.steps:
            try:
                await self._execute(key, snapshot, step)
            except LostSetError as error:
                lost = error
            except NotFoundError:
                return  # deleted in between; the watch wakes the controller
        if lost is not None:
            raise lost

    async def _execute(self, key: Key, snapshot: ClusterState, step: RolloutStep) -> None:
        actions: dict[StepAction, Callable[[], Awaitable[None]]] = {
            StepAction.WRITE_BOOT_SET: lambda: boot_data.write_boot_set(
                self._client, self._view, snapshot, step.target
            ),
            StepAction.REPLACE_GROUP: lambda: replacement.replace_group(self._client, snapshot, step.target),
            StepAction.WRITE: lambda: self._write(key, snapshot, step.target),
            StepAction.DELETE: lambda: self._delete(snapshot, step.target),
            StepAction.REMEDIATE: lambda: self._remediate(snapshot, step.target),
        }
        if step.action in actions:  # records are written already
            await actions[step.action]()

    async def _annotate(self, snapshot: ClusterState, annotations: Mapping[str, str]) -> None:
        """Annotate the observed version of the Cluster; a change in between is a conflict."""
        if not annotations:
            return
        metadata = snapshot.cluster.metadata
        body: Json = {"metadata": {"annotations": dict(annotations), "resourceVersion": metadata.resource_version}}
        await self._client.patch(CLUSTERS, metadata.name, metadata.namespace, body)

    async def _write(self, key: Key, snapshot: ClusterState, machine: str) -> None:
        facts = next(facts for facts in snapshot.nodes if facts.machine == machine)
        self._writer.start(key, snapshot.machines[machine], facts, snapshot.sets)
        self._notify(key)

    async def _delete(self, snapshot: ClusterState, name: str) -> None:
        machine = snapshot.machines[name]
        await self._client.delete(MACHINES, name, machine.metadata.namespace, uid=machine.metadata.uid)
        message = f"Machine {name} is unreachable and was deleted for replacement, as requested"
        await self._recorder.event(snapshot.cluster, "TrustReplacing", message, warning=True)

    async def _remediate(self, snapshot: ClusterState, name: str) -> None:
        """Mark the observed version of a Machine; a mark by another client in between is a conflict."""
        metadata = snapshot.machines[name].metadata
        body: Json = {"metadata": {"annotations": {REMEDIATE: ""}, "resourceVersion": metadata.resource_version}}
        await self._client.patch(MACHINES, name, metadata.namespace, body)
        message = f"Machine {name} is unreachable and was marked for its MachineHealthCheck, as requested"
        await self._recorder.event(snapshot.cluster, "TrustReplacing", message, warning=True)

    async def _report(self, snapshot: ClusterState, rollout_plan: RolloutPlan) -> None:
        if rollout_plan.boot_set is None:
            return
        name = secret.boot_secret_name(snapshot.cluster.metadata.name)
        for note in rollout_plan.notes:
            if note in _EVENTS:
                reason, message = _EVENTS[note]
                await self._recorder.event(snapshot.cluster, reason, message.format(name), warning=True)


_EVENTS: Final = {
    RolloutNote.BOOT_SET_EDITED: (
        "TrustBootSetRestored",
        "Secret {} was edited; Trustplane restored its content",
    ),
    RolloutNote.BOOT_SET_MISSING: (
        "TrustBootSetMissing",
        "Secret {} was missing, which blocks new machines; Trustplane restored it",
    ),
}


def _records(rollout_plan: RolloutPlan) -> Mapping[str, str]:
    """Return the annotations that the first steps of a plan, ELECT and RECORD_PROVEN, write on the Cluster."""
    canary = {TRUST_CANARY: _text(rollout_plan.canary)} if rollout_plan.canary else {}
    return canary | ({TRUST_PROVEN: rollout_plan.proven} if rollout_plan.proven else {})


def _text(record: Any) -> str:
    return msgspec.json.encode(record).decode()
