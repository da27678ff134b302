"""Gather the input of a decision about a cluster's trust from the objects involved."""

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
from trustplane.trust import list_sources
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustSet
from trustplane.trust.policy import read_policy
from trustplane.trust.propagation import PropagationInput, PropagationRecord, UndoPin


@dataclass(frozen=True, kw_only=True)
class TrustObservation:
    """A snapshot of all objects that concern a cluster's trust."""

    configuration: TkgServiceConfiguration
    cluster: Cluster | None  # Cluster API's object with the same name, regardless of its owner
    situation: PropagationInput
    update_strategy: str
    is_list_stored: bool  # the service's list is stored as the last good one, so its deletion does not affect clusters


async def observe_trust(
    reader: Reader, tkc: TanzuKubernetesCluster, *, kubernetes_version: str, namespace: str, now: datetime
) -> TrustObservation:
    """Gather everything that a decision about a cluster's trust depends on.

    Args:
        reader: The source of objects: informers or the API server.
        tkc: The cluster as its owner specified it.
        kubernetes_version: Kubernetes version of its release.
        namespace: Trustplane's namespace, with the last good list of the service.
        now: The current time; requests dated later wait.

    Raises:
        TransientError: The service's configuration is absent, and about to be created again.
    """
    configuration = await reader.find(CONFIGURATIONS, NAME)
    if configuration is None:
        raise TransientError(
            f"TkgServiceConfiguration {NAME} is absent",
            why="it was deleted",
            next_step="Trustplane is creating it again",
        )
    cluster = await reader.find(CLUSTERS, tkc.metadata.name, tkc.metadata.namespace)
    frozen = PropagationRecord.from_annotations(cluster.metadata.annotations) if cluster else None
    kept = await last_good.find_last_good(reader, namespace=namespace)
    service, service_policies = (
        list_sources.parse_service_list(configuration, kept),
        list_sources.service_policy_annotations(configuration, kept),
    )
    policies = read_policy(tkc.metadata.annotations, service_policies)
    pin = UndoPin.parse(tkc.metadata.annotations.get(TRUST_PIN, ""), policies.due_request(now))
    situation = PropagationInput(
        record=frozen,
        in_force=await _in_force(reader, tkc, frozen),
        service=service,
        last_good=kept.trust if kept else None,
        own=list_sources.parse_own_list(tkc),
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
        update_strategy=read_policy(*nearest_first, service_policies).update_strategy,
        is_list_stored=list_sources.last_good_list_to_record(configuration, kept) is None,
    )


async def _in_force(reader: Reader, tkc: TanzuKubernetesCluster, frozen: PropagationRecord | None) -> TrustSet | None:
    if frozen is None:
        return None
    return await _set(reader, tkc, frozen.digest)


async def _pinned(reader: Reader, tkc: TanzuKubernetesCluster, pin: UndoPin) -> TrustSet | None:
    return EMPTY_SET if pin.digest == EMPTY_SET.digest else await _set(reader, tkc, pin.digest)


async def _set(reader: Reader, tkc: TanzuKubernetesCluster, digest: str) -> TrustSet | None:
    stored = await reader.find(SECRETS, secret.set_secret_name(tkc.metadata.name, digest), tkc.metadata.namespace)
    return secret.parse_set_of_digest(stored, digest) if stored else None


def _first_customized_at(configuration: TkgServiceConfiguration, service: ParsedList, now: datetime) -> datetime | None:
    # A customised object without this status was customised just now, or before its deletion.
    customised = is_customised(configuration.spec) or list_sources.uses_last_good_list(service)
    return configuration.status.first_customized_at or (now if customised else None)
