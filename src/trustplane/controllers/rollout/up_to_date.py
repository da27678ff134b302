"""Condition `trustplane.dev/TrustUpToDate` of Machines and Clusters: what nodes have, in Cluster API's terms.

Cluster API knows specs only, which say nothing of trust. A condition of ours beside its own is owned by our field
manager, one entry of a list that is merged by type; its controllers patch the conditions that they changed themselves,
on the latest version of the object (util/patch of sigs.k8s.io/cluster-api v1.14.2, patchStatusConditions).
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
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.kube.kinds import CLUSTERS, FIELD_MANAGER, MACHINES
from trustplane.kube.resource import Resource
from trustplane.kube.tasks import Pauses
from trustplane.rollout.execution.observation import plan_input
from trustplane.rollout.planning.facts import Work
from trustplane.rollout.planning.plan import plan
from trustplane.rollout.planning.up_to_date import Said, of_cluster, of_machine

_MOST: Final = 50  # objects that are written in one go: what is said of the others would be old by then
_MORE_SECONDS: Final = 1.0  # until the next ones, unless what was written wakes us before
_LOOK_SECONDS: Final = 60.0  # between looks at machines that have not joined, or that take no condition
_UNREADABLE: Final = Said(
    UNKNOWN, "Unreadable", "It is not known which trust set the cluster is to have: see the ClusterTrust of its name"
)
_Holder = Cluster | Machine

_log = structlog.get_logger(__name__)


class UpToDateReconciler:
    """Says of each Machine, and of each Cluster, whether it has the set in force.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        writing: Returns the names of a cluster's Machines that are being written on.
    """

    def __init__(self, client: Client, view: FleetView, writing: Callable[[Key], frozenset[str]]) -> None:
        self._client = client
        self._view = view
        self._writing = writing
        self._controller = self._made()

    def controller(self) -> Controller:
        """Return the controller."""
        return self._controller

    def wake(self, key: Key) -> None:
        """Look at a cluster again: a write on a node of it has begun."""
        self._controller.wake(key)

    def _made(self) -> Controller:
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.tkcs),
            Watch(view.machines, cluster_keys),
            Watch(view.secrets, cluster_keys),
            view.watch_registries(),
        ]
        return Controller("up-to-date", self.reconcile, watches)

    async def reconcile(self, key: Key) -> Result:
        """Write the conditions of one cluster that say something else now."""
        seen = await self._view.observe(key)
        wanted = self._withdrawn(key) if seen is None else self._said(key, seen)
        changed = [(found, said) for found, said in wanted if _is_other(found, said)]
        pauses, is_refused = Pauses(), False
        for found, said in changed[:_MOST]:
            is_refused |= not await self._write(found, said)
            await pauses.take()
        if len(changed) > _MOST and not is_refused:
            return Result(requeue_after=_MORE_SECONDS)
        is_waiting = is_refused or (seen is not None and any(not one.node for one in seen.nodes))
        return Result(requeue_after=_LOOK_SECONDS if is_waiting else 0.0)

    def _said(self, key: Key, seen: ClusterState) -> list[tuple[_Holder, Said | None]]:
        if seen.sets.in_force is None:
            holders: list[_Holder] = [seen.cluster, *seen.machines.values()]
            return [(one, _UNREADABLE) for one in holders]
        # A node that could not be written counts as that until it is written: else each attempt would be told.
        work = Work(writing=self._writing(key), resting=frozenset(seen.machines))
        look = plan_input(seen, now=datetime.now(UTC), work=work)
        machines: list[tuple[_Holder, Said | None]] = [
            (seen.machines[one.name], of_machine(look, one)) for one in look.nodes
        ]
        return [*machines, (seen.cluster, of_cluster(look, plan(look)))]

    def _withdrawn(self, key: Key) -> list[tuple[_Holder, Said | None]]:
        """Return the objects of a Cluster whose trust is ours no more, and of which nothing is to be said."""
        cluster = self._view.clusters.get(key)
        if cluster is None or cluster.metadata.deletion_timestamp:
            return []
        holders: list[_Holder] = [cluster, *self._view.machines_of(key)]
        return [(one, None) for one in holders]

    async def _write(self, found: _Holder, said: Said | None) -> bool:
        """Write a condition; return whether the object takes one."""
        resource: Resource[Any] = CLUSTERS if isinstance(found, Cluster) else MACHINES
        key = key_of(found)
        metadata: Json = {"name": key.name, "namespace": key.namespace, "uid": found.metadata.uid}
        body: Json = {"metadata": metadata, "status": {"conditions": _conditions(found, said)}}
        try:
            await self._client.apply(resource, body, manager=FIELD_MANAGER, subresource="status")
        except (NotFoundError, ConflictError):
            return True  # it is gone, or another one of its name, which wakes us
        except InvalidError as error:  # as where others have filled its list of conditions
            _log.warning("condition refused", object=f"{resource} {key}", error=str(error))
            return False
        return True


def _is_other(found: _Holder, said: Said | None) -> bool:
    before = condition(found.status.conditions, TRUST_UP_TO_DATE)
    return said != (Said(before.status, before.reason, before.message) if before else None)


def _conditions(found: _Holder, said: Said | None) -> list[Json]:
    if said is None:
        return []
    new = Condition(type=TRUST_UP_TO_DATE, status=said.status, reason=said.reason, message=said.message)
    return to_json(merge(found.status.conditions, [new], datetime.now(UTC)))
