"""Read the management cluster: a cluster's desired set and set in force, its nodes, and other clusters' sets."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustplane.api.annotations import COMPONENT_LABEL, TRUST_COMPONENT, TRUST_DIGEST
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUSTED, VERIFIED, AppliedTrust, ClusterTrust, Inspection, RecordedProof
from trustplane.api.configuration import NAME, SYSTEM_NAMESPACE
from trustplane.api.keys import Key, key_of
from trustplane.clusterapi import secret
from trustplane.diagnosis.facts import ListEntry, NodeRecord, TrustList
from trustplane.fleet import last_good
from trustplane.fleet.inspection import describe_drift
from trustplane.fleet.reading import list_cluster_objects
from trustplane.kube.client import Client
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, CONFIGURATIONS, MACHINES, SECRETS, TANZU_CLUSTERS
from trustplane.nodes.plan import Drift
from trustplane.trust import list_sources, recorded
from trustplane.trust.entries import EMPTY_SET, TrustSet
from trustplane.trust.merge import merge_lists
from trustplane.trust.policy import read_policy
from trustplane.trust.propagation import PropagationRecord

SERVICE: Final = "the service's list"
_STALE: Final = describe_drift(Drift(is_stale=True))


@dataclass(frozen=True)
class ClusterSets:
    """The sets of one cluster, None if unknown; digest of the set in force, and when the cluster took it."""

    desired: TrustList | None = None
    in_force: TrustList | None = None
    digest: str = ""
    since: datetime | None = None


def trust_list(trust: TrustSet, owner: str) -> TrustList:
    """Convert a trust set to evidence."""
    entries = (
        ListEntry(entry.name, tuple(certificate.der for certificate in entry.certificates), entry.scope)
        for entry in trust.entries
    )
    return TrustList(owner, tuple(entries))


async def read_service_list(client: Client) -> TrustList:
    """Read the service's list."""
    configuration = await client.find(CONFIGURATIONS, NAME)
    kept = await last_good.find_last_good(client, namespace=SYSTEM_NAMESPACE)
    return trust_list(list_sources.parse_service_list(configuration, kept).trust, SERVICE)


async def read_cluster_sets(client: Client, cluster: Key) -> ClusterSets:
    """Read a cluster's desired set and set in force."""
    tkc = await client.find(TANZU_CLUSTERS, cluster.name, cluster.namespace)
    capi = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    configuration = await client.find(CONFIGURATIONS, NAME)
    sets = ClusterSets()
    if tkc is not None:
        kept = await last_good.find_last_good(client, namespace=SYSTEM_NAMESPACE)
        merge = read_policy(
            tkc.metadata.annotations, list_sources.service_policy_annotations(configuration, kept)
        ).merge
        desired = merge_lists(
            list_sources.parse_service_list(configuration, kept), list_sources.parse_own_list(tkc), merge
        )
        sets = replace(sets, desired=trust_list(desired.trust, f"the list of cluster {cluster}"))
    frozen = PropagationRecord.from_annotations(capi.metadata.annotations) if capi else None
    return await _with_set_in_force(client, cluster, frozen, sets) if frozen else sets


async def _with_set_in_force(client: Client, cluster: Key, frozen: PropagationRecord, sets: ClusterSets) -> ClusterSets:
    owner = f"the set of cluster {cluster}"
    if frozen.digest == EMPTY_SET.digest:
        return replace(sets, in_force=TrustList(owner), digest=frozen.digest)
    kept = await client.find(SECRETS, secret.set_secret_name(cluster.name, frozen.digest), cluster.namespace)
    trust = secret.parse_set_of_digest(kept, frozen.digest) if kept else None
    if kept is None or trust is None:
        return replace(sets, digest=frozen.digest)
    since = kept.metadata.creation_timestamp
    return replace(sets, in_force=trust_list(trust, owner), digest=frozen.digest, since=since)


async def read_other_sets(client: Client, cluster: Key | None = None) -> list[tuple[tuple[Key, ...], TrustList]]:
    """Read the sets in force of all clusters except one; equal sets once, with the clusters that have them."""
    secrets = await client.list(SECRETS, labels=f"{COMPONENT_LABEL}={TRUST_COMPONENT}")
    in_force = {key_of(capi): capi.metadata.annotations.get(TRUST_DIGEST, "") for capi in await client.list(CLUSTERS)}
    parsed: dict[tuple[str, frozenset[tuple[str, str]]], TrustSet | None] = {}  # most clusters have the service's set
    by_digest: dict[str, tuple[list[Key], TrustSet]] = {}
    for kept in secrets:
        name, _, short = kept.metadata.name.rpartition("-trust-")
        key = Key(kept.metadata.namespace, name)
        digest = in_force.get(key) or short
        if key == cluster or not digest.startswith(short):
            continue  # a former set of the cluster
        content = digest, frozenset(kept.data.items())
        if content not in parsed:
            parsed[content] = secret.parse_set_of_digest(kept, digest)
        if (trust := parsed[content]) is not None:
            by_digest.setdefault(trust.digest, ([], trust))[0].append(key)
    return [(tuple(keys), trust_list(trust, f"the set of cluster {keys[0]}")) for keys, trust in by_digest.values()]


async def find_machine(client: Client, cluster: Key, node: str) -> Machine | None:
    """Return the Machine of a node."""
    machines = await list_cluster_objects(client, MACHINES, cluster)
    return next((machine for machine in machines if machine.status.node_ref.name == node), None)


async def find_cluster_trust(client: Client, cluster: Key) -> ClusterTrust | None:
    """Return the ClusterTrust of a cluster."""
    trust = await client.find(CLUSTER_TRUSTS, cluster.name, cluster.namespace)
    return trust  # noqa: RET504 - returned directly, mypy infers the resource's type as optional


def node_record(
    node: str, machine: Machine | None, trust: ClusterTrust | None, digest: str, registry: str
) -> NodeRecord:
    """Return the record of a node: the durable facts on its Machine, and its state in the ClusterTrust."""
    annotations = machine.metadata.annotations if machine else {}
    applied = recorded.read_applied_trust(annotations) or AppliedTrust()
    proof = recorded.read_proof(annotations) or RecordedProof()
    inspection = recorded.read_inspection(annotations) or Inspection()
    reported = next((status for status in trust.status.nodes if node == status.name), None) if trust else None
    drift = inspection.message if inspection.digest == digest else ""
    is_stale = _STALE in drift
    written = applied.digest or (reported.digest if reported else "")
    return NodeRecord(
        name=node,
        state=reported.state if reported else "",
        message=reported.message if reported else "",
        is_current=written == digest if written and digest else None,
        drift="" if is_stale else drift,
        is_stale=is_stale,
        proven_at=_proven_at(proof, inspection, digest, registry),
    )


def _proven_at(proof: RecordedProof, inspection: Inspection, digest: str, registry: str) -> datetime | None:
    """Return when a node proved that it trusts a registry; None without a proof, or if it may not verify."""
    accepted = {result.registry for result in proof.results if result.verdict == TRUSTED}
    verified = {access.registry for access in inspection.registries if access.verification == VERIFIED}
    is_current = proof.digest == digest and inspection.digest == digest
    return proof.at if is_current and registry in accepted & verified else None
