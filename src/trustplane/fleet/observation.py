"""What a decision about a cluster's trust depends on, gathered from the objects that say it."""

from dataclasses import dataclass
from datetime import datetime

from trustplane.api.annotations import TRUST_PIN
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.configuration import NAME, TkgServiceConfiguration, is_customised
from trustplane.clusterapi import secret
from trustplane.clusterapi.cluster import update_digests
from trustplane.errors import TransientError
from trustplane.fleet import last_good
from trustplane.fleet.reading import Reader
from trustplane.kube.kinds import CLUSTERS, CONFIGURATIONS, SECRETS
from trustplane.trust import lists
from trustplane.trust.entries import EMPTY, Reading, TrustSet
from trustplane.trust.policy import policy
from trustplane.trust.propagation import Frozen, Pin, Situation


@dataclass(frozen=True, kw_only=True)
class TrustObservation:
    """One look at everything that concerns a cluster."""

    configuration: TkgServiceConfiguration
    cluster: Cluster | None  # Cluster API's object of the same name, whoever it belongs to
    situation: Situation
    update_strategy: str
    is_list_stored: (
        bool  # the service's list, as the last good one: only then a deletion cannot lose what clusters take
    )


async def observe_trust(
    reader: Reader, tkc: TanzuKubernetesCluster, *, kubernetes_version: str, namespace: str, now: datetime
) -> TrustObservation:
    """Look at a cluster.

    Args:
        reader: Where to look: at what informers last saw, or at the API server.
        tkc: The cluster as its owner asks for it.
        kubernetes_version: The version that its release stands for.
        namespace: Trustplane's own, which has the last good service list.
        now: The time; requests dated after it wait.

    Raises:
        TransientError: The service's configuration is not there: it is about to be made again.
    """
    configuration = await reader.find(CONFIGURATIONS, NAME)
    if configuration is None:
        raise TransientError(
            f"TkgServiceConfiguration {NAME} is absent", why="somebody deleted it", next_step="It is being made again"
        )
    cluster = await reader.find(CLUSTERS, tkc.metadata.name, tkc.metadata.namespace)
    frozen = Frozen.read(cluster.metadata.annotations) if cluster else None
    kept = await last_good.find_last_good(reader, namespace=namespace)
    service, service_policies = lists.service(configuration, kept), lists.service_policies(configuration, kept)
    policies = policy(tkc.metadata.annotations, service_policies)
    pin = Pin.read(tkc.metadata.annotations.get(TRUST_PIN, ""), policies.requested_at)
    situation = Situation(
        frozen=frozen,
        in_force=await _in_force(reader, tkc, frozen),
        service=service,
        last_good=kept.trust if kept else None,
        own=lists.own(tkc),
        policy=policies,
        first_customized_at=_first_customized_at(configuration, service, now),
        update_digests=update_digests(tkc, kubernetes_version=kubernetes_version),
        now=now,
        pin=pin,
        pinned=await _pinned(reader, tkc, pin) if pin else None,
    )
    nearest_first = (tkc.metadata.annotations, cluster.metadata.annotations if cluster else {})
    return TrustObservation(
        configuration=configuration,
        cluster=cluster,
        situation=situation,
        update_strategy=policy(*nearest_first, service_policies).update_strategy,
        is_list_stored=lists.recorded(configuration, kept) is None,
    )


async def _in_force(reader: Reader, tkc: TanzuKubernetesCluster, frozen: Frozen | None) -> TrustSet | None:
    if frozen is None:
        return None
    return await _set(reader, tkc, frozen.digest)


async def _pinned(reader: Reader, tkc: TanzuKubernetesCluster, pin: Pin) -> TrustSet | None:
    return EMPTY if pin.digest == EMPTY.digest else await _set(reader, tkc, pin.digest)


async def _set(reader: Reader, tkc: TanzuKubernetesCluster, digest: str) -> TrustSet | None:
    found = await reader.find(SECRETS, secret.set_secret_name(tkc.metadata.name, digest), tkc.metadata.namespace)
    return secret.parse_set_of_digest(found, digest) if found else None


def _first_customized_at(configuration: TkgServiceConfiguration, service: Reading, now: datetime) -> datetime | None:
    # A customised object whose status does not say so yet was customised just now, or before it was deleted.
    customised = is_customised(configuration.spec) or lists.is_kept(service)
    return configuration.status.first_customized_at or (now if customised else None)
