"""Controller of TanzuKubernetesCluster: a Cluster of Cluster API, with its trust by the rules of propagation.

A reconcile reads twice. The informers' caches usually show that there is nothing to write. Otherwise, it reads the API
server itself and decides again. A cluster created right after `kubectl apply` of the service's configuration therefore
gets the new trust, and a decision from stale data never reverts a newer one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from trustplane.api.annotations import COMPONENT_LABEL
from trustplane.api.cluster import KIND, TanzuKubernetesCluster, TanzuKubernetesClusterStatus
from trustplane.api.clusterapi import Cluster
from trustplane.api.conditions import RELEASE_COMPATIBLE, TRUST_CURRENT, TRUST_VALID
from trustplane.api.core import Secret
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding
from trustplane.clusterapi.cluster import desired_cluster, refusal_message
from trustplane.clusterapi.readiness import CapiObjects
from trustplane.clusterapi.release import available_updates, resolve_release
from trustplane.clusterapi.secret import boot_secret_name, parse_boot_secret
from trustplane.controllers.clusters import deletion, ssh_key
from trustplane.controllers.clusters.ownership import is_owned_by
from trustplane.controllers.transitions import changed_conditions, record_events
from trustplane.errors import UserError
from trustplane.fleet.last_good import is_last_good
from trustplane.fleet.observation import TrustObservation, observe_trust
from trustplane.fleet.reading import ClusterIndex, InformerReader, Reader, cluster_keys
from trustplane.kube.client import Client
from trustplane.kube.controller import Result, Watch
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONFIGURATIONS,
    CONTROL_PLANES,
    FIELD_MANAGER,
    MACHINE_DEPLOYMENTS,
    RELEASES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.kube.manager import Manager
from trustplane.kube.reconciler import Reconciler
from trustplane.reporting.cluster_status import cluster_status
from trustplane.rollout.execution import trust_secrets
from trustplane.trust.entries import EMPTY_SET, compare_sets
from trustplane.trust.propagation import PropagationDecision, decide_propagation, has_spec_changed

# A refusal by the API server can end without a change of a watched object: a webhook, a ClusterClass, a quota.
_REFUSED_SECONDS = 30.0
# The service's list is recorded within milliseconds, and wakes the controller. This is a fallback.
_RECORD_SECONDS = 5.0


@dataclass(frozen=True)
class ClusterPlan:
    """The result of one read and decision."""

    observation: TrustObservation
    decision: PropagationDecision
    body: Json | None  # the Cluster to apply; None: do not create one
    is_held: bool = False  # new machines wait for the canary of the taken set: write only the record


class AppliedCluster(NamedTuple):
    """The last apply of a Cluster; repeating it has no effect while the Cluster is unchanged."""

    body: Json
    uid: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class ClusterOutcome:
    """The outcome of a reconcile, for the report."""

    release: TanzuKubernetesRelease | Finding
    cluster: Cluster | None = None
    decision: PropagationDecision | None = None
    error: str = ""


class TanzuKubernetesClusterReconciler(Reconciler):
    """Keep each cluster's Cluster, Secrets and status as desired.

    Args:
        client: To the management cluster.
        manager: Provides the informers.
        recorder: Recorder of Events.
        namespace: Trustplane's own namespace, with the last good service list.
    """

    name = "tanzukubernetescluster"

    def __init__(self, client: Client, manager: Manager, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._recorder = recorder
        self._namespace = namespace
        self._tkcs = manager.informer(TANZU_CLUSTERS)
        self._configurations = manager.informer(CONFIGURATIONS)
        self._releases = manager.informer(RELEASES)
        self._clusters = manager.informer(CLUSTERS)
        self._control_planes = manager.informer(CONTROL_PLANES)
        self._pools = manager.informer(MACHINE_DEPLOYMENTS)
        self._secrets = manager.informer(SECRETS, labels=COMPONENT_LABEL)
        self._cached = InformerReader([self._configurations, self._clusters, self._secrets])
        self._control_planes_of = ClusterIndex(self._control_planes)
        self._pools_of = ClusterIndex(self._pools)
        self._trusts = manager.informer(CLUSTER_TRUSTS)
        self._applied: dict[Key, AppliedCluster] = {}

    def _watches(self) -> list[Watch[Any]]:
        return [
            Watch(self._tkcs),
            Watch(self._clusters),
            Watch(self._control_planes, cluster_keys),
            Watch(self._pools, cluster_keys),
            Watch(self._trusts),
            Watch(self._secrets, self._keys_of_secret),
            Watch(self._configurations, self._all),
            Watch(self._releases, self._all),
        ]

    def _keys_of_secret(self, secret: Secret) -> Iterable[Key]:
        # Clusters may wait until the last good list is recorded.
        return self._all(secret) if is_last_good(key_of(secret), self._namespace) else cluster_keys(secret)

    def _all(self, _: object) -> Iterable[Key]:
        return [key_of(tkc) for tkc in self._tkcs.items()]

    async def reconcile(self, key: Key) -> Result:
        """Bring one cluster one step closer to its desired state."""
        tkc = self._tkcs.get(key)
        if tkc is None:
            self._applied.pop(key, None)
            return Result()
        try:
            if tkc.metadata.deletion_timestamp:
                return await self._delete(tkc)
            if not await deletion.ensure_finalizer(self._client, tkc):
                return Result()
            outcome = await self._carry_out(tkc)
            if outcome is None:
                return Result(requeue_after=_RECORD_SECONDS)
            await self._report(tkc, outcome)
        except ConflictError:
            # Based on an outdated object; the watch delivers the change and wakes the controller.
            return Result()
        return _next(outcome)

    async def _delete(self, tkc: TanzuKubernetesCluster) -> Result:
        result = await deletion.delete_cluster(self._client, tkc)
        if result is not None:
            return result
        cluster = self._own_cluster(tkc)
        await self._report(tkc, ClusterOutcome(release=self._release(tkc, cluster), cluster=cluster))
        return Result()

    async def _carry_out(self, tkc: TanzuKubernetesCluster) -> ClusterOutcome | None:
        """Write what differs; None: wait until the service's list is recorded, which wakes the controller."""
        own = self._own_cluster(tkc)
        release = self._release(tkc, own)
        if isinstance(release, Finding):
            return ClusterOutcome(release=release, cluster=own)
        try:
            plan = await self._plan(self._cached, tkc, release)
            if not self._is_applied(key_of(tkc), plan):
                plan = await self._plan(self._client, tkc, release)
                if plan.decision.takes_set and not plan.observation.is_list_stored:
                    return None
                cluster = await self._write(tkc, plan)
            else:
                cluster = plan.observation.cluster
        except UserError as error:
            return ClusterOutcome(release=release, cluster=own, error=str(error))
        except InvalidError as error:
            return ClusterOutcome(release=release, cluster=own, error=refusal_message(tkc, error.why))
        return ClusterOutcome(release=release, cluster=cluster, decision=plan.decision)

    def _own_cluster(self, tkc: TanzuKubernetesCluster) -> Cluster | None:
        cluster = self._clusters.get(key_of(tkc))
        return cluster if cluster and is_owned_by(cluster, tkc) else None

    def _release(self, tkc: TanzuKubernetesCluster, cluster: Cluster | None) -> TanzuKubernetesRelease | Finding:
        running = cluster.spec.topology.version if cluster else ""
        return resolve_release(tkc, self._releases.items(), running=running)

    async def _plan(self, reader: Reader, tkc: TanzuKubernetesCluster, release: TanzuKubernetesRelease) -> ClusterPlan:
        version = release.spec.kubernetes.version
        observation = await observe_trust(
            reader, tkc, kubernetes_version=version, namespace=self._namespace, now=datetime.now(UTC)
        )
        _check_ownership(observation.cluster, tkc)
        decision = decide_propagation(observation.situation)
        if decision.trust is None or decision.record is None:
            return ClusterPlan(observation, decision, None)
        body = desired_cluster(
            tkc,
            kubernetes_version=version,
            annotations=decision.record.to_annotations(),
            ssh_public_key=await ssh_key.ensure_ssh_key(reader, self._client, tkc),
            default_drain_timeout=observation.configuration.spec.default_node_drain_timeout,
        )
        return ClusterPlan(observation, decision, body, is_held=await self._is_held(reader, observation, decision))

    async def _is_held(self, reader: Reader, observation: TrustObservation, decision: PropagationDecision) -> bool:
        """Return whether new machines would boot with another set than the taken one (P4).

        A canary runs with the taken set first. It becomes the boot set if the canary succeeds, or if none is possible.
        """
        before = observation.situation.record
        if observation.cluster is None or before is None or decision.record is None:
            return False
        if not has_spec_changed(before.update_digests, decision.record.update_digests):
            return False
        metadata = observation.cluster.metadata
        secret = await reader.find(SECRETS, boot_secret_name(metadata.name), metadata.namespace)
        return secret is not None and parse_boot_secret(secret).digest != decision.record.digest

    def _observed(self, key: Key, cluster: Cluster | None) -> CapiObjects:
        return CapiObjects(
            cluster=cluster,
            control_plane=next(iter(self._control_planes_of.objects(key)), None),
            machine_deployments=self._pools_of.objects(key),
        )

    def _is_applied(self, key: Key, plan: ClusterPlan) -> bool:
        cluster = plan.observation.cluster
        if cluster is None or plan.body is None:
            return False
        return self._applied.get(key) == AppliedCluster(plan.body, cluster.metadata.uid, cluster.metadata.generation)

    async def _write(self, tkc: TanzuKubernetesCluster, plan: ClusterPlan) -> Cluster | None:
        before = plan.observation.cluster
        if plan.body is None or plan.decision.trust is None or (before and before.metadata.deletion_timestamp):
            return before
        if plan.is_held and before is not None:
            cluster = await self._hold(before, plan)
        else:
            version = {"resourceVersion": before.metadata.resource_version} if before else {}
            body = plan.body | {"metadata": plan.body["metadata"] | version}
            # Without force, a Cluster created by another client in between is a conflict, and is not adopted.
            cluster = await self._client.apply(CLUSTERS, body, manager=FIELD_MANAGER, force=before is not None)
            self._applied[key_of(tkc)] = AppliedCluster(plan.body, cluster.metadata.uid, cluster.metadata.generation)
        # After the Cluster, its owner. Until it exists, no boot set is written, and no machine is created.
        await trust_secrets.ensure_set_secret(self._client, cluster, plan.decision.trust)
        if plan.decision.takes_set:
            await self._recorder.event(tkc, "TrustTaken", _taken(plan))
        return cluster

    async def _hold(self, before: Cluster, plan: ClusterPlan) -> Cluster:
        """Record only the taken set; other changes of the spec follow when new machines boot with that set."""
        frozen, old = plan.decision.record, plan.observation.situation.record
        if frozen is None or old is None:
            return before
        annotations = replace(frozen, update_digests=old.update_digests).to_annotations()
        if annotations.items() <= before.metadata.annotations.items():
            return before
        metadata = {"annotations": annotations, "resourceVersion": before.metadata.resource_version}
        return await self._client.patch(
            CLUSTERS, before.metadata.name, before.metadata.namespace, {"metadata": metadata}
        )

    async def _report(self, tkc: TanzuKubernetesCluster, outcome: ClusterOutcome) -> None:
        key = key_of(tkc)
        body = self._status(tkc, outcome, self._observed(key, outcome.cluster))
        status = msgspec.convert(body["status"], TanzuKubernetesClusterStatus)
        if status == tkc.status:
            return
        body["metadata"]["resourceVersion"] = tkc.metadata.resource_version
        try:
            await self._client.apply(TANZU_CLUSTERS, body, manager=FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return
        types = {RELEASE_COMPATIBLE, TRUST_CURRENT, TRUST_VALID}
        await record_events(self._recorder, tkc, changed_conditions(tkc.status.conditions, status.conditions, types))

    def _status(self, tkc: TanzuKubernetesCluster, outcome: ClusterOutcome, observed: CapiObjects) -> Json:
        body = cluster_status(
            tkc,
            observed=observed,
            release=outcome.release,
            updates=[]
            if isinstance(outcome.release, Finding)
            else available_updates(outcome.release, self._releases.items()),
            decision=outcome.decision,
            trust=self._trusts.get(key_of(tkc)),
            now=datetime.now(UTC),
            error=outcome.error,
        )
        return {**body, "status": fitted(KIND, body["status"])}


def _check_ownership(cluster: Cluster | None, tkc: TanzuKubernetesCluster) -> None:
    if cluster is not None and not is_owned_by(cluster, tkc):
        raise UserError(
            f"A Cluster named {tkc.metadata.name} already exists and is left unchanged",
            why="it does not belong to this TanzuKubernetesCluster",
            next_step="Delete this object and create it with another name, or delete that Cluster first",
        )


def _taken(plan: ClusterPlan) -> str:
    before, after = plan.observation.situation.in_force or EMPTY_SET, plan.decision.trust or EMPTY_SET
    change = compare_sets(before, after).text or "no additional CAs"
    return f"{plan.decision.reason}: {change}"


def _next(outcome: ClusterOutcome) -> Result:
    times: list[float] = []
    if outcome.error:
        times.append(_REFUSED_SECONDS)
    if outcome.decision and outcome.decision.wait_until:
        times.append(max(0.1, (outcome.decision.wait_until - datetime.now(UTC)).total_seconds()))
    return Result(requeue_after=min(times, default=0.0))
