"""What the management cluster knows: the trust that a cluster should have and has taken, its nodes, other sets."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustplane.api.annotations import COMPONENT_LABEL, TRUST_COMPONENT, TRUST_DIGEST
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import (
    TRUSTED,
    VERIFIED,
    AppliedTrust,
    ClusterTrust,
    Inspection,
    RecordedProof,
)
from trustplane.api.configuration import NAME, SYSTEM_NAMESPACE
from trustplane.clusterapi import secret
from trustplane.controllers import last_good
from trustplane.controllers.clustertrust_inspection import described
from trustplane.controllers.reading import list_of
from trustplane.controllers.resources import (
    CLUSTER_TRUSTS,
    CLUSTERS,
    CONFIGURATIONS,
    MACHINES,
    SECRETS,
    TANZU_CLUSTERS,
)
from trustplane.diagnosis.evidence import Listed, NodeRecord, TrustList
from trustplane.kube.client import Client
from trustplane.kube.resource import Key, key_of
from trustplane.nodes.plan import Drift
from trustplane.trust import lists, recorded
from trustplane.trust.effective import effective
from trustplane.trust.entries import EMPTY, TrustSet
from trustplane.trust.policy import policy
from trustplane.trust.propagation import Frozen

SERVICE: Final = "the service's list"
_STALE: Final = described(Drift(is_stale=True))


@dataclass(frozen=True)
class ClusterSets:
    """The trust of one cluster; None where it is not known."""

    desired: TrustList | None = None
    in_force: TrustList | None = None
    digest: str = ""
    since: datetime | None = None


def listed(trust: TrustSet, owner: str) -> TrustList:
    """Return a set as evidence."""
    entries = (Listed(one.name, tuple(each.der for each in one.certificates), one.hosts) for one in trust.entries)
    return TrustList(owner, tuple(entries))


async def service(client: Client) -> TrustList:
    """Read the service's list."""
    configuration = await client.find(CONFIGURATIONS, NAME)
    kept = await last_good.find(client, namespace=SYSTEM_NAMESPACE)
    return listed(lists.service(configuration, kept).trust, SERVICE)


async def sets_of(client: Client, cluster: Key) -> ClusterSets:
    """Read what a cluster should trust, and what it has taken."""
    tkc = await client.find(TANZU_CLUSTERS, cluster.name, cluster.namespace)
    capi = await client.find(CLUSTERS, cluster.name, cluster.namespace)
    configuration = await client.find(CONFIGURATIONS, NAME)
    found = ClusterSets()
    if tkc is not None:
        kept = await last_good.find(client, namespace=SYSTEM_NAMESPACE)
        merge = policy(tkc.metadata.annotations, lists.service_policies(configuration, kept)).merge
        wanted = effective(lists.service(configuration, kept), lists.own(tkc), merge)
        found = replace(found, desired=listed(wanted.trust, f"the list of cluster {cluster}"))
    frozen = Frozen.read(capi.metadata.annotations) if capi else None
    return await _in_force(client, cluster, frozen, found) if frozen else found


async def _in_force(client: Client, cluster: Key, frozen: Frozen, found: ClusterSets) -> ClusterSets:
    owner = f"the set of cluster {cluster}"
    if frozen.digest == EMPTY.digest:
        return replace(found, in_force=TrustList(owner), digest=frozen.digest)
    kept = await client.find(SECRETS, secret.name_of(cluster.name, frozen.digest), cluster.namespace)
    trust = secret.read_set(kept, frozen.digest) if kept else None
    if kept is None or trust is None:
        return replace(found, digest=frozen.digest)
    since = kept.metadata.creation_timestamp
    return replace(found, in_force=listed(trust, owner), digest=frozen.digest, since=since)


async def other_sets(client: Client, cluster: Key | None = None) -> list[tuple[tuple[Key, ...], TrustList]]:
    """Read the sets of all clusters but one; equal sets once, with the clusters that have them."""
    found = await client.list(SECRETS, labels=f"{COMPONENT_LABEL}={TRUST_COMPONENT}")
    in_force = {key_of(one): one.metadata.annotations.get(TRUST_DIGEST, "") for one in await client.list(CLUSTERS)}
    read: dict[tuple[str, frozenset[tuple[str, str]]], TrustSet | None] = {}  # most clusters have the service's set
    by_digest: dict[str, tuple[list[Key], TrustSet]] = {}
    for one in found:
        name, _, short = one.metadata.name.rpartition("-trust-")
        key = Key(one.metadata.namespace, name)
        digest = in_force.get(key) or short
        if key == cluster or not digest.startswith(short):
            continue  # one that a cluster had before
        content = digest, frozenset(one.data.items())
        if content not in read:
            read[content] = secret.read_set(one, digest)
        if (trust := read[content]) is not None:
            by_digest.setdefault(trust.digest, ([], trust))[0].append(key)
    return [(tuple(keys), listed(trust, f"the set of cluster {keys[0]}")) for keys, trust in by_digest.values()]


async def machine_of(client: Client, cluster: Key, node: str) -> Machine | None:
    """Find the Machine of a node."""
    machines = await list_of(client, MACHINES, cluster)
    return next((one for one in machines if one.status.node_ref.name == node), None)


async def cluster_trust(client: Client, cluster: Key) -> ClusterTrust | None:
    """Read what is reported of a cluster's trust."""
    found = await client.find(CLUSTER_TRUSTS, cluster.name, cluster.namespace)
    return found  # noqa: RET504 - in a return the type checker would take the object itself for optional


def record(node: str, machine: Machine | None, trust: ClusterTrust | None, digest: str, registry: str) -> NodeRecord:
    """Return what is known of a node: the durable facts on its Machine, and what is reported of it."""
    annotations = machine.metadata.annotations if machine else {}
    applied = recorded.applied(annotations) or AppliedTrust()
    proof = recorded.proof(annotations) or RecordedProof()
    looked = recorded.inspection(annotations) or Inspection()
    reported = next((one for one in trust.status.nodes if node == one.name), None) if trust else None
    drift = looked.message if looked.digest == digest else ""
    is_stale = _STALE in drift
    written = applied.digest or (reported.digest if reported else "")
    return NodeRecord(
        name=node,
        state=reported.state if reported else "",
        message=reported.message if reported else "",
        is_current=written == digest if written and digest else None,
        drift="" if is_stale else drift,
        is_stale=is_stale,
        trusts=_trusts(proof, looked, digest, registry),
    )


def _trusts(proof: RecordedProof, looked: Inspection, digest: str, registry: str) -> datetime | None:
    """Return when a node proved that it trusts a registry; None where it did not, or was not seen to verify."""
    accepted = {result.registry for result in proof.results if result.verdict == TRUSTED}
    verified = {access.registry for access in looked.registries if access.verification == VERIFIED}
    fits = proof.digest == digest and looked.digest == digest
    return proof.at if fits and registry in accepted & verified else None
