"""ClusterTrust: the trust of each cluster, derived from the durable facts on its Cluster and its Machines."""

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
from trustplane.clusterapi import left_out
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.controllers.transitions import changed_conditions
from trustplane.fleet.reading import cluster_keys
from trustplane.fleet.view import FleetView, truncate_to_seconds
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CLUSTER_TRUSTS, FIELD_MANAGER
from trustplane.reporting.cluster_trust import INVALID, STOPPED, WORST_FIRST, status
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.plan import plan

_LOOK_SECONDS = 60.0  # between looks at Secrets of users
_SHOWN = 5  # annotations in a message
_WARNINGS = frozenset({INVALID, STOPPED, OVERRIDES, MACHINE_POOLS, *WORST_FIRST[:5]})  # somebody should act


class ClusterTrustReconciler:
    """Keeps each cluster's ClusterTrust there, and true.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
    """

    def __init__(self, client: Client, view: FleetView, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
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
        return Controller("clustertrust", self.reconcile, watches)

    async def reconcile(self, key: Key) -> Result:
        """Derive one cluster's status; the garbage collector removes what is left of a Cluster."""
        seen = await self._view.observe(key)
        if seen is None:
            return Result()
        # The Secret that a user made is followed by no watch.
        result = Result(requeue_after=0.0 if seen.tkc else _LOOK_SECONDS)
        trust = seen.trust or await self._make(seen.cluster)
        now = truncate_to_seconds(datetime.now(UTC))
        rollout = plan(plan_input(seen, now=now))
        found = status(seen.nodes, seen.sets, seen.hosts, rollout=rollout, before=trust.status, now=now)
        whole = left_out.exclusion_condition(seen.cluster)
        found.conditions = [*(_noted(one, seen.nodes) for one in found.conditions), *([whole] if whole else [])]
        found.conditions = merge(trust.status.conditions, found.conditions, now)
        body = fitted(KIND, {**msgspec.to_builtins(found), "conditions": to_json(found.conditions)})
        if msgspec.convert(body, ClusterTrustStatus) == _own(trust.status):
            return result
        await self._write(trust, body, found)
        return result

    async def _make(self, cluster: Cluster) -> ClusterTrust:
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

    async def _write(self, trust: ClusterTrust, body: Json, found: ClusterTrustStatus) -> None:
        metadata = {"name": trust.metadata.name, "namespace": trust.metadata.namespace}
        try:
            await self._client.apply(
                CLUSTER_TRUSTS, {"metadata": metadata, "status": body}, manager=FIELD_MANAGER, subresource="status"
            )
        except NotFoundError:
            return  # deleted just now, which wakes us
        # Counts within a message change with every node: only another status or reason is a turn of the story.
        old = {one.type: (one.status, one.reason) for one in trust.status.conditions}
        for one in changed_conditions(trust.status.conditions, found.conditions, {CURRENT, PROVEN, WHOLE_CLUSTER}):
            if old.get(one.type) != (one.status, one.reason):
                warning = one.reason in _WARNINGS
                await self._recorder.event(trust, f"{one.type}{one.reason}", one.message, warning=warning)


def _noted(one: Condition, nodes: Iterable[NodeFacts]) -> Condition:
    """Say in condition Proven which records count as absent: without the note, nobody would know why."""
    found = [f"annotation {name} of Machine {node.machine}" for node in nodes for name in node.ignored_annotations]
    if one.type != PROVEN or not found:
        return one
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    note = f"Not believed, since it cannot be read or is dated in the future: {', '.join(found[:_SHOWN])}{more}"
    return msgspec.structs.replace(one, message=f"{one.message}. {note}")


def _own(status: ClusterTrustStatus) -> ClusterTrustStatus:
    """Return a status without the fields of other controllers, which own them."""
    own = [one for one in status.conditions if one.type != KUBECONFIG_ACCEPTED]
    return msgspec.structs.replace(status, conditions=own, failures=[], more_failing_pods=0, images=[], more_images=0)
