"""What the controllers of trust see of a cluster: its sets, its nodes, and the registries that it is to trust."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trustplane.api import clustertrust
from trustplane.api.annotations import COMPONENT_LABEL
from trustplane.api.cluster import KIND, TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster, Machine, MachineHealthCheck
from trustplane.api.clustertrust import PROVE_REQUESTED_AT, ClusterTrust
from trustplane.api.configuration import GROUP, NAME, TkgServiceConfiguration
from trustplane.api.core import Secret
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Object
from trustplane.api.registry import Registry
from trustplane.clusterapi import secret, ssh_secret
from trustplane.clusterapi.bootstrap import needs_boot_set
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.clusterapi.secret import BootSet
from trustplane.fleet import last_good, own_lists
from trustplane.fleet.foreign_secrets import UserSecretCache
from trustplane.fleet.node_facts import NodeFactsCache
from trustplane.fleet.reading import (
    ClusterIndex,
    cluster_keys,
    has_more_than_status_changed,
    has_more_than_trust_changed,
    has_spec_changed,
    health_check_cluster_keys,
)
from trustplane.kube.client import Client
from trustplane.kube.controller import Watch
from trustplane.kube.kinds import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONFIGURATIONS,
    CONTROL_PLANES,
    MACHINE_DEPLOYMENTS,
    MACHINE_HEALTH_CHECKS,
    MACHINES,
    REGISTRIES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.kube.manager import Manager
from trustplane.proof.schedule import ProofDemand
from trustplane.reporting import trust_status
from trustplane.reporting.cluster_trust import Sets
from trustplane.rollout.planning import facts
from trustplane.trust import lists, recorded
from trustplane.trust.effective import effective
from trustplane.trust.entries import EMPTY, Reading, TrustSet
from trustplane.trust.policy import APPEND, AUTOMATIC, policy, read_time
from trustplane.trust.propagation import Frozen


@dataclass(frozen=True)
class ClusterState:
    """One look at a cluster."""

    cluster: Cluster
    tkc: TanzuKubernetesCluster | None
    sets: Sets
    machines: dict[str, Machine]  # by name; those that are being deleted are left out
    nodes: list[NodeFacts]
    registries: list[Registry]  # that select it, one for each host
    trust: ClusterTrust | None
    is_automatic: bool  # what differs on a node is to be repaired
    boot_set: BootSet | None  # what new machines boot with
    has_ssh_key: bool  # there is a key for SSH to its nodes
    strategy: str  # how machines get a changed set
    health_checks: list[MachineHealthCheck]  # of the cluster
    has_machine_deletions: bool  # one of its machines is being deleted
    replacement_requested_at: Mapping[
        str, datetime
    ]  # when groups of machines were last asked to be replaced, see `rollout_facts.groups`

    @property
    def hosts(self) -> frozenset[str]:
        """The registries that its nodes are to trust."""
        return frozenset(one.spec.host for one in self.registries)

    @property
    def demand(self) -> ProofDemand:
        """What is asked of its nodes."""
        holders = [self.cluster, *([self.trust] if self.trust else [])]
        times = [read_time(one.metadata.annotations.get(PROVE_REQUESTED_AT, "")) for one in holders]
        requested = max((one for one in times if one), default=None)
        is_readable = self.sets.in_force is not None
        return ProofDemand(in_force=self.sets.digest, hosts=self.hosts, is_readable=is_readable, requested_at=requested)


class FleetView:
    """Looks at clusters through informers, and at Secrets that are not among them through the API server.

    Args:
        client: To the management cluster.
        manager: Whose informers are used.
        namespace: Trustplane's own, which has the last good service list.
    """

    def __init__(self, client: Client, manager: Manager, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.clusters = manager.informer(CLUSTERS)
        self.machines = manager.informer(MACHINES)
        self.registries = manager.informer(REGISTRIES)
        self.trusts = manager.informer(CLUSTER_TRUSTS)
        self.tkcs = manager.informer(TANZU_CLUSTERS)
        self.configurations = manager.informer(CONFIGURATIONS)
        self.secrets = manager.informer(SECRETS, labels=COMPONENT_LABEL)
        self.control_planes = manager.informer(CONTROL_PLANES)
        self.pools = manager.informer(MACHINE_DEPLOYMENTS)
        self.health_checks = manager.informer(MACHINE_HEALTH_CHECKS)
        self._foreign = UserSecretCache(client)
        self._facts = NodeFactsCache(self.machines)
        self._boots: dict[Key, tuple[Secret, str, BootSet]] = {}  # by cluster: what was read, with which set in force
        self._machines_of = ClusterIndex(self.machines)
        self._control_planes_of = ClusterIndex(self.control_planes)
        self._pools_of = ClusterIndex(self.pools)
        self._secrets_of = ClusterIndex(self.secrets)
        self._health_checks_of = ClusterIndex(self.health_checks, health_check_cluster_keys)
        self._service: tuple[str, tuple[Reading, Mapping[str, str]]] = ("", (Reading(), {}))

    async def observe(self, key: Key) -> ClusterState | None:
        """Look at a cluster; None where there is none whose trust is ours to watch."""
        cluster = self.clusters.get(key)
        if cluster is None or cluster.metadata.deletion_timestamp:
            return None
        tkc = self._owner(cluster)
        if not self.is_managed(cluster):
            return None
        there = self._machines_of.objects(key)
        machines = {one.metadata.name: one for one in there if not one.metadata.deletion_timestamp}
        ssh = await self.find_secret(ssh_secret.ssh_secret_name(key.name), key.namespace)
        sets = await (
            self._sets(cluster, tkc) if tkc else own_lists.cluster_sets(cluster, self._last(key), self.find_secret)
        )
        return ClusterState(
            cluster=cluster,
            tkc=tkc,
            sets=sets,
            machines=machines,
            nodes=await self._facts.get(machines.values()),
            registries=self.registries_of(cluster),
            trust=self.trusts.get(key),
            is_automatic=policy(*self._policies(cluster, tkc)).propagation == AUTOMATIC,
            boot_set=self._boot(key, cluster, sets),
            has_ssh_key=ssh is not None,
            strategy=self._strategy(cluster, tkc),
            health_checks=self._health_checks_of.objects(key),
            has_machine_deletions=len(there) > len(machines),
            replacement_requested_at=facts.groups(
                next(iter(self._control_planes_of.objects(key)), None), self._pools_of.objects(key)
            ),
        )

    def _boot(self, cluster: Key, capi: Cluster, sets: Sets) -> BootSet | None:
        """Return what new machines of a cluster boot with, read anew only when its Secret or its set has changed."""
        key = Key(cluster.namespace, secret.boot_secret_name(cluster.name))
        found = self.secrets.get(key)
        if found is None:
            self._boots.pop(key, None)
            return None
        known = self._boots.get(key)
        judge = sets.digest if sets.in_force is not None else ""
        if known is None or known[0] is not found or known[1] != judge:
            boot = secret.verify_boot_set(
                secret.parse_boot_secret(found), sets.in_force, capi.spec.infrastructure_ref.kind
            )
            known = self._boots[key] = (found, judge, boot)
        return known[2]

    def is_managed(self, cluster: Cluster) -> bool:
        """Tell whether the trust of a Cluster is ours to watch."""
        return own_lists.has_list(cluster) or self._owner(cluster) is not None or self._needs_boot_set(cluster)

    def _needs_boot_set(self, cluster: Cluster) -> bool:
        """Tell whether the control plane of a Cluster waits for its boot set, though the Cluster asks for no trust."""
        found = self._control_planes_of.objects(key_of(cluster))
        return any(needs_boot_set(one.spec.kubeadm_config_spec, cluster.metadata.name) for one in found)

    def _last(self, key: Key) -> str:
        """Return the digest of the set that a Cluster had in force when it was looked at last; empty: none is known."""
        trust, boot = self.trusts.get(key), self.secrets.get(Key(key.namespace, secret.boot_secret_name(key.name)))
        reported = trust.status.in_force.digest if trust and trust.status.in_force else ""
        found = reported or (secret.parse_boot_secret(boot).digest if boot else "")
        return found if recorded.is_digest(found) else ""

    def cluster_of(self, found: Object) -> Cluster | None:
        """Return the Cluster of an object, if its trust is ours to watch."""
        cluster = next((self.clusters.get(key) for key in cluster_keys(found)), None)
        return cluster if cluster is not None and self.is_managed(cluster) else None

    def watch_registries(self) -> Watch[Registry]:
        """Return the watch that wakes every cluster where it may have other registries to trust now."""
        return Watch(self.registries, self.all_keys, has_spec_changed)

    def watch_machines(self) -> Watch[Machine]:
        """Return the watch that wakes a cluster when one of its Machines has changed."""
        return Watch(self.machines, cluster_keys, has_more_than_trust_changed)

    def watch_health_checks(self) -> Watch[MachineHealthCheck]:
        """Return the watch that wakes a cluster where other machines may be looked after now."""
        return Watch(self.health_checks, health_check_cluster_keys, has_more_than_status_changed)

    def machines_of(self, key: Key) -> list[Machine]:
        """Return the Machines of a cluster."""
        return self._machines_of.objects(key)

    def secrets_of(self, key: Key) -> list[Secret]:
        """Return the Secrets of ours of a cluster, as last seen."""
        return self._secrets_of.objects(key)

    def all_keys(self, _: object = None) -> list[Key]:
        """Return the keys of all clusters."""
        return [key_of(one) for one in self.clusters.items()]

    def registries_of(self, cluster: Cluster) -> list[Registry]:
        """Return the registries that a cluster is to trust, by host, one for each."""
        found = [one for one in self.registries.items() if one.selects(cluster.metadata.labels)]
        by_host = {one.spec.host: one for one in sorted(found, key=lambda one: one.metadata.name, reverse=True)}
        return [by_host[host] for host in sorted(by_host)]

    def configuration(self) -> TkgServiceConfiguration | None:
        """Return the service's configuration as last seen."""
        return self.configurations.get(Key("", NAME))

    def service_list(self) -> Reading:
        """Return the service's list, read anew only when it has changed."""
        return self._service_as_seen()[0]

    def _service_as_seen(self) -> tuple[Reading, Mapping[str, str]]:
        found, kept = self.configuration(), self.secrets.get(Key(self._namespace, last_good.LAST_GOOD_SECRET))
        version = "/".join(one.metadata.resource_version if one else "" for one in (found, kept))
        if self._service[0] != version:
            good = last_good.parse_last_good(kept)
            self._service = (version, (lists.service(found, good), lists.service_policies(found, good)))
        return self._service[1]

    def _owner(self, cluster: Cluster) -> TanzuKubernetesCluster | None:
        owners = cluster.metadata.owner_references
        is_ours = any(one.kind == KIND and one.api_version.startswith(f"{GROUP}/") for one in owners)
        return self.tkcs.get(key_of(cluster)) if is_ours else None

    def _policies(self, cluster: Cluster, tkc: TanzuKubernetesCluster | None) -> list[Mapping[str, str]]:
        return [(tkc or cluster).metadata.annotations, self._service_as_seen()[1]]

    def _strategy(self, cluster: Cluster, tkc: TanzuKubernetesCluster | None) -> str:
        nearest = [tkc.metadata.annotations] if tkc else []
        return policy(*nearest, cluster.metadata.annotations, self._service_as_seen()[1]).update_strategy

    async def _sets(self, cluster: Cluster, tkc: TanzuKubernetesCluster) -> Sets:
        frozen = Frozen.read(cluster.metadata.annotations) or Frozen(digest=EMPTY.digest)
        name = secret.set_secret_name(cluster.metadata.name, frozen.digest)
        found = None if frozen.digest == EMPTY.digest else await self.find_secret(name, cluster.metadata.namespace)
        in_force = (
            EMPTY
            if frozen.digest == EMPTY.digest
            else secret.parse_set_of_digest(found, frozen.digest)
            if found
            else None
        )
        merge = policy(*self._policies(cluster, tkc)).merge
        own = lists.own(tkc)
        wanted = effective(self.service_list(), own, merge)
        return Sets(
            digest=frozen.digest,
            in_force=in_force,
            desired=wanted.trust if wanted.ok else await self._last_good(own, merge),
            source=_source(own, merge),
            reason=frozen.reason,
            change=frozen.change,
            since=found.metadata.creation_timestamp if found else None,
            problem="" if wanted.ok else trust_status.summary(wanted.findings),
            note=trust_status.KEPT if lists.is_kept(wanted) else "",
            command=f"trustplane update {tkc.metadata.name} --namespace {tkc.metadata.namespace}",
        )

    async def _last_good(self, own: Reading | None, merge: str) -> TrustSet | None:
        kept = await self.find_secret(last_good.LAST_GOOD_SECRET, self._namespace)
        service = secret.parse_set_secret(kept) if kept else None
        reading = effective(Reading(service), own, merge) if service is not None else None
        return reading.trust if reading and reading.ok else None

    async def find_secret(self, name: str, namespace: str, *, generation: int = 0) -> Secret | None:
        """Return a Secret, as last seen where it is one of ours; see `foreign_secrets` for others."""
        key = Key(namespace, name)
        found = self.secrets.get(key)
        return found if found is not None else await self._foreign.find(key, generation)


def _source(own: Reading | None, merge: str) -> str:
    if own is None:
        return clustertrust.SERVICE
    return clustertrust.MERGED if merge == APPEND else clustertrust.CLUSTER


def truncate_to_seconds(now: datetime) -> datetime:
    """Return a time as a status shows it."""
    return now.replace(microsecond=0)
