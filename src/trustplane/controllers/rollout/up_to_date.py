"""Controller of condition `trustplane.dev/TrustUpToDate` of Machines and Clusters: the nodes' trust, for Cluster API.

Cluster API compares only specs, which do not contain trust. Our condition is an entry of a list merged by type, and our
field manager owns it; Cluster API's controllers patch only the conditions that they changed, on the object's latest
version (util/patch of sigs.k8s.io/cluster-api v1.14.2, patchStatusConditions).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.conditions import TRUST_UP_TO_DATE, UNKNOWN
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Condition, Json, condition
from trustplane.fleet.reading import cluster_keys
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.kube.kinds import CLUSTERS, FIELD_MANAGER, MACHINES
from trustplane.kube.reconciler import Reconciler
from trustplane.kube.resource import Resource
from trustplane.kube.tasks import Pauses
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.facts import OngoingWrites
from trustplane.rollout.planning.plan import plan_rollout
from trustplane.rollout.planning.up_to_date import ConditionValue, cluster_condition, machine_condition

_MOST: Final = 50  # objects per reconcile: conditions of further objects would be outdated when written
_MORE_SECONDS: Final = 1.0  # until the next ones, unless the writes wake the controller earlier
_POLL_SECONDS: Final = 60.0  # between reconciles while machines have not joined, or refuse the condition
_UNREADABLE: Final = ConditionValue(
    UNKNOWN, "Unreadable", "The trust set of the cluster cannot be read. See the ClusterTrust with the same name"
)
_Holder = Cluster | Machine

_log = structlog.get_logger(__name__)


class UpToDateReconciler(Reconciler):
    """Report on each Machine and Cluster whether it has the set in force.

    Args:
        client: To the management cluster.
        view: The view of clusters.
        writing: Returns the names of a cluster's Machines with a write in progress.
    """

    name = "up-to-date"

    def __init__(self, client: Client, view: FleetView, writing: Callable[[Key], frozenset[str]]) -> None:
        self._client = client
        self._view = view
        self._writing = writing

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [
            Watch(view.clusters),
            Watch(view.tkcs),
            Watch(view.machines, cluster_keys),
            Watch(view.secrets, cluster_keys),
            view.watch_registries(),
        ]

    async def reconcile(self, key: Key) -> Result:
        """Write the changed conditions of one cluster."""
        snapshot = await self._view.observe(key)
        contents = self._withdrawn(key) if snapshot is None else self._contents(key, snapshot)
        changed = [(holder, content) for holder, content in contents if _is_changed(holder, content)]
        pauses, is_refused = Pauses(), False
        for holder, content in changed[:_MOST]:
            is_refused |= not await self._write(holder, content)
            await pauses.take()
        if len(changed) > _MOST and not is_refused:
            return Result(requeue_after=_MORE_SECONDS)
        is_waiting = is_refused or (snapshot is not None and any(not facts.node for facts in snapshot.nodes))
        return Result(requeue_after=_POLL_SECONDS if is_waiting else 0.0)

    def _contents(self, key: Key, snapshot: ClusterState) -> list[tuple[_Holder, ConditionValue | None]]:
        if snapshot.sets.in_force is None:
            holders: list[_Holder] = [snapshot.cluster, *snapshot.machines.values()]
            return [(holder, _UNREADABLE) for holder in holders]
        # A node with a failed write counts as failed until one succeeds; otherwise each retry would change conditions.
        work = OngoingWrites(writing=self._writing(key), backing_off=frozenset(snapshot.machines))
        observation = plan_input(snapshot, now=datetime.now(UTC), work=work)
        machines: list[tuple[_Holder, ConditionValue | None]] = [
            (snapshot.machines[node.name], machine_condition(observation, node)) for node in observation.nodes
        ]
        return [*machines, (snapshot.cluster, cluster_condition(observation, plan_rollout(observation)))]

    def _withdrawn(self, key: Key) -> list[tuple[_Holder, ConditionValue | None]]:
        """Return the objects of a Cluster that Trustplane no longer manages, without a condition."""
        cluster = self._view.clusters.get(key)
        if cluster is None or cluster.metadata.deletion_timestamp:
            return []
        holders: list[_Holder] = [cluster, *self._view.machines_of(key)]
        return [(holder, None) for holder in holders]

    async def _write(self, holder: _Holder, content: ConditionValue | None) -> bool:
        """Write a condition, or remove it if None; return whether the object accepts it."""
        resource: Resource[Any] = CLUSTERS if isinstance(holder, Cluster) else MACHINES
        key = key_of(holder)
        metadata: Json = {"name": key.name, "namespace": key.namespace, "uid": holder.metadata.uid}
        body: Json = {"metadata": metadata, "status": {"conditions": _conditions(holder, content)}}
        try:
            await self._client.apply(resource, body, manager=FIELD_MANAGER, subresource="status")
        except (NotFoundError, ConflictError):
            return True  # deleted or replaced; the watch wakes the controller
        except InvalidError as error:  # for example, other clients filled its list of conditions
            _log.warning("condition refused", object=f"{resource} {key}", error=str(error))
            return False
        return True


def _is_changed(holder: _Holder, content: ConditionValue | None) -> bool:
    before = condition(holder.status.conditions, TRUST_UP_TO_DATE)
    return content != (ConditionValue(before.status, before.reason, before.message) if before else None)


def _conditions(holder: _Holder, content: ConditionValue | None) -> list[Json]:
    if content is None:
        return []
    new = Condition(type=TRUST_UP_TO_DATE, status=content.status, reason=content.reason, message=content.message)
    return to_json(merge(holder.status.conditions, [new], datetime.now(UTC)))
