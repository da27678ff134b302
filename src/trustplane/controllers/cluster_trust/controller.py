"""Controller of ClusterTrust: derive each cluster's trust from the records on its Cluster and Machines."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from trustplane.api.annotations import CLUSTER_NAME_LABEL
from trustplane.api.clusterapi import GROUP, VERSION, Cluster
from trustplane.api.clustertrust import (
    CURRENT,
    KIND,
    KUBECONFIG_ACCEPTED,
    MACHINE_POOLS,
    OVERRIDES,
    PROVEN,
    WHOLE_CLUSTER,
    ClusterTrust,
    ClusterTrustStatus,
)
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key
from trustplane.api.meta import Condition, Json
from trustplane.clusterapi import exclusions
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.controllers.transitions import changed_conditions
from trustplane.fleet.reading import cluster_keys
from trustplane.fleet.view import FleetView, truncate_to_seconds
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CLUSTER_TRUSTS, FIELD_MANAGER
from trustplane.kube.reconciler import Reconciler
from trustplane.reporting.cluster_trust import (
    CURRENT_INVALID,
    CURRENT_STOPPED,
    STATES_WORST_FIRST,
    cluster_trust_status,
)
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.plan import plan_rollout

_POLL_SECONDS = 60.0  # between reads of users' Secrets
_SHOWN = 5  # maximum annotations in a message
_WARNINGS = frozenset(
    {CURRENT_INVALID, CURRENT_STOPPED, OVERRIDES, MACHINE_POOLS, *STATES_WORST_FIRST[:5]}
)  # reasons that require action


class ClusterTrustReconciler(Reconciler):
    """Keep each cluster's ClusterTrust present and current.

    Args:
        client: To the management cluster.
        view: The view of clusters.
        recorder: Recorder of Events.
    """

    name = "clustertrust"

    def __init__(self, client: Client, view: FleetView, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [
            Watch(view.clusters),
            Watch(view.tkcs),
            Watch(view.trusts),
            view.watch_machines(),
            Watch(view.control_planes, cluster_keys),
            Watch(view.pools, cluster_keys),
            Watch(view.secrets, cluster_keys),
            Watch(view.configurations, view.all_keys),
            view.watch_registries(),
            view.watch_health_checks(),
        ]

    async def reconcile(self, key: Key) -> Result:
        """Update one cluster's status; the garbage collector deletes the ClusterTrust of a deleted Cluster."""
        snapshot = await self._view.observe(key)
        if snapshot is None:
            return Result()
        # No watch covers Secrets created by users.
        result = Result(requeue_after=0.0 if snapshot.tkc else _POLL_SECONDS)
        trust = snapshot.trust or await self._create(snapshot.cluster)
        now = truncate_to_seconds(datetime.now(UTC))
        rollout = plan_rollout(plan_input(snapshot, now=now))
        new = cluster_trust_status(
            snapshot.nodes, snapshot.sets, snapshot.hosts, rollout=rollout, before=trust.status, now=now
        )
        whole = exclusions.exclusion_condition(snapshot.cluster)
        conditions = [
            *(_with_note(condition, snapshot.nodes) for condition in new.conditions),
            *([whole] if whole else []),
        ]
        new.conditions = merge(trust.status.conditions, conditions, now)
        body = fitted(KIND, {**msgspec.to_builtins(new), "conditions": to_json(new.conditions)})
        if msgspec.convert(body, ClusterTrustStatus) == _own(trust.status):
            return result
        await self._write(trust, body, new)
        return result

    async def _create(self, cluster: Cluster) -> ClusterTrust:
        metadata = cluster.metadata
        owner = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Cluster", "name": metadata.name, "uid": metadata.uid}
        body: Json = {
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "labels": {CLUSTER_NAME_LABEL: metadata.name},
                "ownerReferences": [owner],
            }
        }
        return await self._client.apply(CLUSTER_TRUSTS, body, manager=FIELD_MANAGER)

    async def _write(self, trust: ClusterTrust, body: Json, new: ClusterTrustStatus) -> None:
        metadata = {"name": trust.metadata.name, "namespace": trust.metadata.namespace}
        try:
            await self._client.apply(
                CLUSTER_TRUSTS, {"metadata": metadata, "status": body}, manager=FIELD_MANAGER, subresource="status"
            )
        except NotFoundError:
            return  # deleted in between; the watch wakes the controller
        # Numbers in messages change with every node; only another status or reason deserves an Event.
        old = {known.type: (known.status, known.reason) for known in trust.status.conditions}
        for changed in changed_conditions(trust.status.conditions, new.conditions, {CURRENT, PROVEN, WHOLE_CLUSTER}):
            if old.get(changed.type) != (changed.status, changed.reason):
                reason, is_warning = f"{changed.type}{changed.reason}", changed.reason in _WARNINGS
                await self._recorder.event(trust, reason, changed.message, warning=is_warning)


def _with_note(condition: Condition, nodes: Iterable[NodeFacts]) -> Condition:
    """Name ignored records in condition Proven; without the note, users could not know why nodes are unproven."""
    ignored = [f"annotation {name} of Machine {node.machine}" for node in nodes for name in node.ignored_annotations]
    if condition.type != PROVEN or not ignored:
        return condition
    more = f" and {len(ignored) - _SHOWN} more" if len(ignored) > _SHOWN else ""
    note = f"Ignored as malformed or dated in the future: {', '.join(ignored[:_SHOWN])}{more}"
    return msgspec.structs.replace(condition, message=f"{condition.message}. {note}")


def _own(status: ClusterTrustStatus) -> ClusterTrustStatus:
    """Return a status without the fields owned by other controllers."""
    own = [condition for condition in status.conditions if condition.type != KUBECONFIG_ACCEPTED]
    return msgspec.structs.replace(status, conditions=own, failures=[], more_failing_pods=0, images=[], more_images=0)
