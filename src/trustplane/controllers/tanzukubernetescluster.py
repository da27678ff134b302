"""TanzuKubernetesCluster: a Cluster of Cluster API, with the trust that the rules of propagation give it.

A reconcile looks twice. What informers last saw tells whether anything may have to be written, which is rare. Only then
it looks at the API server itself and decides anew: so a cluster that is made right after `kubectl apply` of the
service's configuration has its trust, and a decision on stale data never undoes a newer one.
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
from trustplane.api.meta import Json
from trustplane.api.release import TanzuKubernetesRelease
from trustplane.certificates.finding import Finding
from trustplane.clusterapi.cluster import desired_cluster, refused
from trustplane.clusterapi.readiness import Observed
from trustplane.clusterapi.release import newer, resolve
from trustplane.clusterapi.secret import boot_name, read_boot
from trustplane.clusterapi.status import cluster_status
from trustplane.controllers import deletion, ssh_key, trust_secrets
from trustplane.controllers.last_good import is_last_good
from trustplane.controllers.observation import Observation, observe
from trustplane.controllers.ownership import is_owned
from trustplane.controllers.reading import ByCluster, Cached, Reader, cluster_key
from trustplane.controllers.resources import (
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
from trustplane.controllers.transitions import report, turned
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import ConflictError, InvalidError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.manager import Manager
from trustplane.kube.resource import Key, key_of
from trustplane.trust.entries import EMPTY, difference
from trustplane.trust.propagation import Decision, decide, is_updated

# What the API server refused may become right without any object that we watch: a webhook, a ClusterClass, a quota.
_REFUSED_SECONDS = 30.0
# The service's list is recorded within milliseconds; its arrival wakes us. This is for one that was missed.
_RECORD_SECONDS = 5.0


@dataclass(frozen=True)
class Plan:
    """What one look led to."""

    observation: Observation
    decision: Decision
    body: Json | None  # the Cluster to apply; None: make none
    is_held: bool = False  # its machines wait for the set, which is on trial: until then only that is recorded


class Applied(NamedTuple):
    """The last apply of a Cluster: while the Cluster stays so, the same apply would change nothing."""

    body: Json
    uid: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How far a reconcile came: what there is to report."""

    release: TanzuKubernetesRelease | Finding
    cluster: Cluster | None = None
    decision: Decision | None = None
    error: str = ""


class TanzuKubernetesClusterReconciler:
    """Keeps each cluster's Cluster, Secrets and status as they should be.

    Args:
        client: To the management cluster.
        manager: Whose informers are used.
        recorder: For events.
        namespace: Trustplane's own, which has the last good service list.
    """

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
        self._cached = Cached([self._configurations, self._clusters, self._secrets])
        self._control_planes_of = ByCluster(self._control_planes)
        self._pools_of = ByCluster(self._pools)
        self._trusts = manager.informer(CLUSTER_TRUSTS)
        self._applied: dict[Key, Applied] = {}

    def controller(self) -> Controller:
        """Return the controller."""
        watches: list[Watch[Any]] = [
            Watch(self._tkcs),
            Watch(self._clusters),
            Watch(self._control_planes, cluster_key),
            Watch(self._pools, cluster_key),
            Watch(self._trusts),
            Watch(self._secrets, self._of_secret),
            Watch(self._configurations, self._all),
            Watch(self._releases, self._all),
        ]
        return Controller("tanzukubernetescluster", self.reconcile, watches)

    def _of_secret(self, found: Secret) -> Iterable[Key]:
        # The last good list: what waits for it to be recorded goes on.
        return self._all(found) if is_last_good(key_of(found), self._namespace) else cluster_key(found)

    def _all(self, _: object) -> Iterable[Key]:
        return [key_of(tkc) for tkc in self._tkcs.items()]

    async def reconcile(self, key: Key) -> Result:
        """Bring one cluster a step further."""
        tkc = self._tkcs.get(key)
        if tkc is None:
            self._applied.pop(key, None)
            return Result()
        try:
            if tkc.metadata.deletion_timestamp:
                return await self._delete(tkc)
            if not await deletion.guard(self._client, tkc):
                return Result()
            outcome = await self._carry_out(tkc)
            if outcome is None:
                return Result(requeue_after=_RECORD_SECONDS)
            await self._report(tkc, outcome)
        except ConflictError:
            # Decided on an object that has changed since. That change is on its way here, and wakes us.
            return Result()
        return _next(outcome)

    async def _delete(self, tkc: TanzuKubernetesCluster) -> Result:
        result = await deletion.delete(self._client, tkc)
        if result is not None:
            return result
        cluster = self._own_cluster(tkc)
        await self._report(tkc, Outcome(release=self._release(tkc, cluster), cluster=cluster))
        return Result()

    async def _carry_out(self, tkc: TanzuKubernetesCluster) -> Outcome | None:
        """Do what there is to do; None: the service's list is about to be recorded, which wakes us."""
        own = self._own_cluster(tkc)
        release = self._release(tkc, own)
        if isinstance(release, Finding):
            return Outcome(release=release, cluster=own)
        try:
            plan = await self._plan(self._cached, tkc, release)
            if not self._is_applied(key_of(tkc), plan):
                plan = await self._plan(self._client, tkc, release)
                if plan.decision.taken and not plan.observation.is_recorded:
                    return None
                cluster = await self._write(tkc, plan)
            else:
                cluster = plan.observation.cluster
        except UserError as error:
            return Outcome(release=release, cluster=own, error=str(error))
        except InvalidError as error:
            return Outcome(release=release, cluster=own, error=refused(tkc, error.why))
        return Outcome(release=release, cluster=cluster, decision=plan.decision)

    def _own_cluster(self, tkc: TanzuKubernetesCluster) -> Cluster | None:
        cluster = self._clusters.get(key_of(tkc))
        return cluster if cluster and is_owned(cluster, tkc) else None

    def _release(self, tkc: TanzuKubernetesCluster, cluster: Cluster | None) -> TanzuKubernetesRelease | Finding:
        running = cluster.spec.topology.version if cluster else ""
        return resolve(tkc, self._releases.items(), running=running)

    async def _plan(self, reader: Reader, tkc: TanzuKubernetesCluster, release: TanzuKubernetesRelease) -> Plan:
        version = release.spec.kubernetes.version
        seen = await observe(reader, tkc, kubernetes_version=version, namespace=self._namespace, now=datetime.now(UTC))
        _check_ours(seen.cluster, tkc)
        decision = decide(seen.situation)
        if decision.trust is None or decision.frozen is None:
            return Plan(seen, decision, None)
        body = desired_cluster(
            tkc,
            kubernetes_version=version,
            annotations=decision.frozen.annotations(),
            ssh_public_key=await ssh_key.ensure(reader, self._client, tkc),
            default_drain_timeout=seen.configuration.spec.default_node_drain_timeout,
        )
        return Plan(seen, decision, body, is_held=await self._is_held(reader, seen, decision))

    async def _is_held(self, reader: Reader, seen: Observation, decision: Decision) -> bool:
        """Tell whether new machines would boot with another set than the one that the cluster has taken (P4).

        That one is being tried on a running node; where it proves itself, or none can, new machines boot with it.
        """
        before = seen.situation.frozen
        if seen.cluster is None or before is None or decision.frozen is None:
            return False
        if not is_updated(before.update_digests, decision.frozen.update_digests):
            return False
        found = await reader.find(SECRETS, boot_name(seen.cluster.metadata.name), seen.cluster.metadata.namespace)
        return found is not None and read_boot(found).digest != decision.frozen.digest

    def _observed(self, key: Key, cluster: Cluster | None) -> Observed:
        return Observed(
            cluster=cluster,
            control_plane=next(iter(self._control_planes_of.of(key)), None),
            machine_deployments=self._pools_of.of(key),
        )

    def _is_applied(self, key: Key, plan: Plan) -> bool:
        cluster = plan.observation.cluster
        if cluster is None or plan.body is None:
            return False
        return self._applied.get(key) == Applied(plan.body, cluster.metadata.uid, cluster.metadata.generation)

    async def _write(self, tkc: TanzuKubernetesCluster, plan: Plan) -> Cluster | None:
        before = plan.observation.cluster
        if plan.body is None or plan.decision.trust is None or (before and before.metadata.deletion_timestamp):
            return before
        if plan.is_held and before is not None:
            cluster = await self._hold(before, plan)
        else:
            version = {"resourceVersion": before.metadata.resource_version} if before else {}
            body = plan.body | {"metadata": plan.body["metadata"] | version}
            # Without force, a Cluster that somebody else made just now is a conflict, not ours.
            cluster = await self._client.apply(CLUSTERS, body, manager=FIELD_MANAGER, force=before is not None)
            self._applied[key_of(tkc)] = Applied(plan.body, cluster.metadata.uid, cluster.metadata.generation)
        # After the Cluster, which owns it. Without it the boot set is not written, and no machine is made.
        await trust_secrets.ensure(self._client, cluster, plan.decision.trust)
        if plan.decision.taken:
            await self._recorder.event(tkc, "TrustTaken", _taken(plan))
        return cluster

    async def _hold(self, before: Cluster, plan: Plan) -> Cluster:
        """Record what the cluster has taken; what else its spec asks for comes when new machines boot with that."""
        frozen, old = plan.decision.frozen, plan.observation.situation.frozen
        if frozen is None or old is None:
            return before
        annotations = replace(frozen, update_digests=old.update_digests).annotations()
        if annotations.items() <= before.metadata.annotations.items():
            return before
        metadata = {"annotations": annotations, "resourceVersion": before.metadata.resource_version}
        return await self._client.patch(
            CLUSTERS, before.metadata.name, before.metadata.namespace, {"metadata": metadata}
        )

    async def _report(self, tkc: TanzuKubernetesCluster, outcome: Outcome) -> None:
        key = key_of(tkc)
        seen = self._observed(key, outcome.cluster)
        body = self._status(tkc, outcome, seen)
        status = msgspec.convert(body["status"], TanzuKubernetesClusterStatus)
        if status == tkc.status:
            return
        body["metadata"]["resourceVersion"] = tkc.metadata.resource_version
        try:
            await self._client.apply(TANZU_CLUSTERS, body, manager=FIELD_MANAGER, subresource="status")
        except NotFoundError:
            return
        types = {RELEASE_COMPATIBLE, TRUST_CURRENT, TRUST_VALID}
        await report(self._recorder, tkc, turned(tkc.status.conditions, status.conditions, types))

    def _status(self, tkc: TanzuKubernetesCluster, outcome: Outcome, seen: Observed) -> Json:
        body = cluster_status(
            tkc,
            observed=seen,
            release=outcome.release,
            updates=[] if isinstance(outcome.release, Finding) else newer(outcome.release, self._releases.items()),
            decision=outcome.decision,
            trust=self._trusts.get(key_of(tkc)),
            now=datetime.now(UTC),
            error=outcome.error,
        )
        return {**body, "status": fitted(KIND, body["status"])}


def _check_ours(cluster: Cluster | None, tkc: TanzuKubernetesCluster) -> None:
    if cluster is not None and not is_owned(cluster, tkc):
        raise UserError(
            f"A Cluster named {tkc.metadata.name} exists already and is not touched",
            why="it does not belong to this TanzuKubernetesCluster",
            next_step="Delete this object and make it under another name, or delete that Cluster first",
        )


def _taken(plan: Plan) -> str:
    before, after = plan.observation.situation.in_force or EMPTY, plan.decision.trust or EMPTY
    change = difference(before, after).text or "no additional CAs"
    return f"{plan.decision.reason}: {change}"


def _next(outcome: Outcome) -> Result:
    times: list[float] = []
    if outcome.error:
        times.append(_REFUSED_SECONDS)
    if outcome.decision and outcome.decision.wait_until:
        times.append(max(0.1, (outcome.decision.wait_until - datetime.now(UTC)).total_seconds()))
    return Result(requeue_after=min(times, default=0.0))
