"""Observe clusters for the controllers of trust: their sets, their nodes and the registries they must trust."""

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
from trustplane.fleet import cluster_lists, last_good
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
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.rollout.planning import facts
from trustplane.trust import list_sources, recorded
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import APPEND, AUTOMATIC, read_policy
from trustplane.trust.propagation import PropagationRecord
from trustplane.trust.recorded import parse_time


@dataclass(frozen=True)
class ClusterState:
    """The observed state of a cluster."""

    cluster: Cluster
    tkc: TanzuKubernetesCluster | None
    sets: TrustSets
    machines: dict[str, Machine]  # by name, without machines being deleted
    nodes: list[NodeFacts]
    registries: list[Registry]  # selecting the cluster, one for each host
    trust: ClusterTrust | None
    is_automatic: bool  # drift on nodes is repaired
    boot_set: BootSet | None  # of new machines
    has_ssh_key: bool  # an SSH key for its nodes exists
    strategy: str  # how machines receive a changed set
    health_checks: list[MachineHealthCheck]  # of the cluster
    has_machine_deletions: bool  # one of its machines is being deleted
    replacement_requested_at: Mapping[
        str, datetime
    ]  # time of the last requested replacement by group, see `rollout.planning.facts.rollout_after_by_group`

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts of the registries that its nodes must trust."""
        return frozenset(registry.spec.host for registry in self.registries)

    @property
    def demand(self) -> ProofDemand:
        """The proofs required of its nodes."""
        holders = [self.cluster, *([self.trust] if self.trust else [])]
        times = [parse_time(holder.metadata.annotations.get(PROVE_REQUESTED_AT, "")) for holder in holders]
        requested = max((time for time in times if time), default=None)
        is_readable = self.sets.in_force is not None
        return ProofDemand(in_force=self.sets.digest, hosts=self.hosts, is_readable=is_readable, requested_at=requested)


class FleetView:
    """Observes clusters through informers, and users' Secrets through the API server.

    Args:
        client: Client of the management cluster.
        manager: Provides the informers.
        namespace: Trustplane's namespace, with the last good list of the service.
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
        self._boots: dict[
            Key, tuple[Secret, str, BootSet]
        ] = {}  # by cluster: Secret, digest of the set in force, result
        self._machines_of = ClusterIndex(self.machines)
        self._control_planes_of = ClusterIndex(self.control_planes)
        self._pools_of = ClusterIndex(self.pools)
        self._secrets_of = ClusterIndex(self.secrets)
        self._health_checks_of = ClusterIndex(self.health_checks, health_check_cluster_keys)
        self._service: tuple[str, tuple[ParsedList, Mapping[str, str]]] = ("", (ParsedList(), {}))

    async def observe(self, key: Key) -> ClusterState | None:
        """Return the state of a cluster; None if it does not exist or Trustplane does not manage its trust."""
        cluster = self.clusters.get(key)
        if cluster is None or cluster.metadata.deletion_timestamp:
            return None
        tkc = self._owner(cluster)
        if not self.is_managed(cluster):
            return None
        existing = self._machines_of.objects(key)
        machines = {machine.metadata.name: machine for machine in existing if not machine.metadata.deletion_timestamp}
        ssh = await self.find_secret(ssh_secret.ssh_secret_name(key.name), key.namespace)
        sets = await (
            self._sets(cluster, tkc) if tkc else cluster_lists.cluster_sets(cluster, self._last(key), self.find_secret)
        )
        return ClusterState(
            cluster=cluster,
            tkc=tkc,
            sets=sets,
            machines=machines,
            nodes=await self._facts.get(machines.values()),
            registries=self.registries_of(cluster),
            trust=self.trusts.get(key),
            is_automatic=read_policy(*self._policies(cluster, tkc)).propagation == AUTOMATIC,
            boot_set=self._boot(key, cluster, sets),
            has_ssh_key=ssh is not None,
            strategy=self._strategy(cluster, tkc),
            health_checks=self._health_checks_of.objects(key),
            has_machine_deletions=len(existing) > len(machines),
            replacement_requested_at=facts.rollout_after_by_group(
                next(iter(self._control_planes_of.objects(key)), None), self._pools_of.objects(key)
            ),
        )

    def _boot(self, cluster: Key, capi: Cluster, sets: TrustSets) -> BootSet | None:
        """Return the boot set of a cluster, parsed again only if its Secret or the set in force changed."""
        key = Key(cluster.namespace, secret.boot_secret_name(cluster.name))
        stored = self.secrets.get(key)
        if stored is None:
            self._boots.pop(key, None)
            return None
        known = self._boots.get(key)
        reference = sets.digest if sets.in_force is not None else ""
        if known is None or known[0] is not stored or known[1] != reference:
            boot = secret.verify_boot_set(
                secret.parse_boot_secret(stored), sets.in_force, capi.spec.infrastructure_ref.kind
            )
            known = self._boots[key] = (stored, reference, boot)
        return known[2]

    def is_managed(self, cluster: Cluster) -> bool:
        """Return whether Trustplane manages the trust of a Cluster."""
        return cluster_lists.has_list(cluster) or self._owner(cluster) is not None or self._needs_boot_set(cluster)

    def _needs_boot_set(self, cluster: Cluster) -> bool:
        """Return whether the control plane of a Cluster boots only with a boot set, even without a trust list."""
        control_planes = self._control_planes_of.objects(key_of(cluster))
        return any(needs_boot_set(plane.spec.kubeadm_config_spec, cluster.metadata.name) for plane in control_planes)

    def _last(self, key: Key) -> str:
        """Return the digest of the set last reported in force, or of the boot set; empty if neither is known."""
        trust, boot = self.trusts.get(key), self.secrets.get(Key(key.namespace, secret.boot_secret_name(key.name)))
        reported = trust.status.in_force.digest if trust and trust.status.in_force else ""
        digest = reported or (secret.parse_boot_secret(boot).digest if boot else "")
        return digest if recorded.is_digest(digest) else ""

    def cluster_of(self, obj: Object) -> Cluster | None:
        """Return the Cluster of an object, if Trustplane manages its trust."""
        cluster = next((self.clusters.get(key) for key in cluster_keys(obj)), None)
        return cluster if cluster is not None and self.is_managed(cluster) else None

    def watch_registries(self) -> Watch[Registry]:
        """Return the watch that wakes every cluster when the registries that it must trust may have changed."""
        return Watch(self.registries, self.all_keys, has_spec_changed)

    def watch_machines(self) -> Watch[Machine]:
        """Return the watch that wakes a cluster when one of its Machines changed."""
        return Watch(self.machines, cluster_keys, has_more_than_trust_changed)

    def watch_health_checks(self) -> Watch[MachineHealthCheck]:
        """Return the watch that wakes a cluster when the machines that its health checks select may have changed."""
        return Watch(self.health_checks, health_check_cluster_keys, has_more_than_status_changed)

    def machines_of(self, key: Key) -> list[Machine]:
        """Return the Machines of a cluster."""
        return self._machines_of.objects(key)

    def secrets_of(self, key: Key) -> list[Secret]:
        """Return our Secrets of a cluster, as last received by the informer."""
        return self._secrets_of.objects(key)

    def all_keys(self, _: object = None) -> list[Key]:
        """Return the keys of all clusters."""
        return [key_of(cluster) for cluster in self.clusters.items()]

    def registries_of(self, cluster: Cluster) -> list[Registry]:
        """Return the registries that a cluster must trust, one for each host, sorted by host."""
        registries = [registry for registry in self.registries.items() if registry.selects(cluster.metadata.labels)]
        last_first = sorted(registries, key=lambda registry: registry.metadata.name, reverse=True)
        by_host = {registry.spec.host: registry for registry in last_first}
        return [by_host[host] for host in sorted(by_host)]

    def configuration(self) -> TkgServiceConfiguration | None:
        """Return the service's configuration, as last received by the informer."""
        return self.configurations.get(Key("", NAME))

    def service_list(self) -> ParsedList:
        """Return the service's list, parsed again only if it changed."""
        return self._service_settings()[0]

    def _service_settings(self) -> tuple[ParsedList, Mapping[str, str]]:
        """Return the service's list and policies."""
        configuration, kept = self.configuration(), self.secrets.get(Key(self._namespace, last_good.LAST_GOOD_SECRET))
        version = "/".join(obj.metadata.resource_version if obj else "" for obj in (configuration, kept))
        if self._service[0] != version:
            good = last_good.parse_last_good(kept)
            service, policies = (
                list_sources.parse_service_list(configuration, good),
                list_sources.service_policy_annotations(configuration, good),
            )
            self._service = (version, (service, policies))
        return self._service[1]

    def _owner(self, cluster: Cluster) -> TanzuKubernetesCluster | None:
        owners = cluster.metadata.owner_references
        is_ours = any(owner.kind == KIND and owner.api_version.startswith(f"{GROUP}/") for owner in owners)
        return self.tkcs.get(key_of(cluster)) if is_ours else None

    def _policies(self, cluster: Cluster, tkc: TanzuKubernetesCluster | None) -> list[Mapping[str, str]]:
        return [(tkc or cluster).metadata.annotations, self._service_settings()[1]]

    def _strategy(self, cluster: Cluster, tkc: TanzuKubernetesCluster | None) -> str:
        nearest = [tkc.metadata.annotations] if tkc else []
        return read_policy(*nearest, cluster.metadata.annotations, self._service_settings()[1]).update_strategy

    async def _sets(self, cluster: Cluster, tkc: TanzuKubernetesCluster) -> TrustSets:
        frozen = PropagationRecord.from_annotations(cluster.metadata.annotations) or PropagationRecord(
            digest=EMPTY_SET.digest
        )
        name = secret.set_secret_name(cluster.metadata.name, frozen.digest)
        is_empty = frozen.digest == EMPTY_SET.digest
        stored = None if is_empty else await self.find_secret(name, cluster.metadata.namespace)
        in_force = EMPTY_SET if is_empty else secret.parse_set_of_digest(stored, frozen.digest) if stored else None
        merge = read_policy(*self._policies(cluster, tkc)).merge
        own = list_sources.parse_own_list(tkc)
        desired = merge_lists(self.service_list(), own, merge)
        return TrustSets(
            digest=frozen.digest,
            in_force=in_force,
            desired=desired.trust if desired.is_valid else await self._last_good(own, merge),
            source=_source(own, merge),
            reason=frozen.reason,
            change=frozen.change,
            since=stored.metadata.creation_timestamp if stored else None,
            problem="" if desired.is_valid else trust_status.join_findings(desired.findings),
            note=trust_status.LAST_GOOD_STAYS if list_sources.uses_last_good_list(desired) else "",
            command=f"trustplane update {tkc.metadata.name} --namespace {tkc.metadata.namespace}",
        )

    async def _last_good(self, own: ParsedList | None, merge: str) -> TrustSet | None:
        kept = await self.find_secret(last_good.LAST_GOOD_SECRET, self._namespace)
        service = secret.parse_set_secret(kept) if kept else None
        reading = merge_lists(ParsedList(service), own, merge) if service is not None else None
        return reading.trust if reading and reading.is_valid else None

    async def find_secret(self, name: str, namespace: str, *, generation: int = 0) -> Secret | None:
        """Return one of our Secrets from the informer, or a user's Secret through `foreign_secrets`."""
        key = Key(namespace, name)
        ours = self.secrets.get(key)
        return ours if ours is not None else await self._foreign.find(key, generation)


def _source(own: ParsedList | None, merge: str) -> str:
    if own is None:
        return clustertrust.SERVICE
    return clustertrust.MERGED if merge == APPEND else clustertrust.CLUSTER


def truncate_to_seconds(now: datetime) -> datetime:
    """Return a time without microseconds, the precision of a status."""
    return now.replace(microsecond=0)
