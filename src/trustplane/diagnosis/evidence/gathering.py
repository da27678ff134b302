"""Gather all evidence about a failed pull: the collectors run in parallel, each within its own time limit."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from trustplane.api.clusterapi import Machine
from trustplane.api.keys import Key
from trustplane.certificates.parsing import parse_pem
from trustplane.diagnosis.decision import endpoints
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.evidence import disk, fleet, hosts, node_ssh, pods
from trustplane.diagnosis.evidence.limit import USUAL, TimeLimits, collect
from trustplane.diagnosis.facts import (
    Case,
    CollectorReport,
    Missing,
    NodeRecord,
    ObservedFrom,
    Part,
    PullSecret,
    TrustList,
)
from trustplane.diagnosis.layer import Role
from trustplane.errors import TransientError
from trustplane.fleet.workload import open_workload
from trustplane.kube.client import Client
from trustplane.kube.tasks import together
from trustplane.registry.inspection import NOTHING, Follow

_MOST_KEPT: Final = 2 << 30  # bytes; enough for all pods of a cluster
_SECRETS: Final = (Missing(Part.SECRETS),)
_OWN_SETS: Final = (Missing(Part.OWN_SETS),)
_ROUTES: Final = (Missing(Part.ROUTES),)
_INSPECTION: Final = (Missing(Part.DISK), *_ROUTES)
# The management cluster names the node's Machine: without the record, nobody inspects the node.
_NODE: Final = (Missing(Part.RECORD), *_INSPECTION)


@dataclass(frozen=True)
class ClusterAccess:
    """Access to the API server of the pods' cluster, and to its management cluster if it has one."""

    workload: Client
    management: Client | None = None
    cluster: Key | None = None
    use_ssh: bool = True
    follow: Follow = NOTHING  # the hosts and issuers that may be contacted on other sites
    limits: TimeLimits = USUAL


@dataclass
class _Evidence:
    """The evidence gathered so far; what arrived before a timeout counts."""

    reports: list[CollectorReport] = field(default_factory=list)
    secrets: tuple[PullSecret, ...] | None = None
    sets: fleet.ClusterSets = field(default_factory=fleet.ClusterSets)
    service: TrustList | None = None
    others: tuple[TrustList, ...] = ()
    node: NodeRecord | None = None
    inspection: disk.NodeInspection | None = None
    observation: hosts.RegistryObservation = field(default_factory=hosts.RegistryObservation)


@asynccontextmanager
async def open_access(
    kubeconfig: Path | None,
    cluster: Key | None,
    *,
    use_ssh: bool,
    follow: Follow = NOTHING,
    limits: TimeLimits = USUAL,
) -> AsyncIterator[ClusterAccess]:
    """Connect to the cluster of a kubeconfig; or, if `cluster` is given, through its management cluster to that one."""
    async with Client.open(kubeconfig, timeout=limits.api) as client:
        if cluster is None:
            yield ClusterAccess(client, use_ssh=use_ssh, follow=follow, limits=limits)
            return
        async with open_workload(client, cluster, most_kept=_MOST_KEPT) as opened:
            yield ClusterAccess(opened, client, cluster, use_ssh, follow, limits)


async def gather_pod_cases(access: ClusterAccess, key: Key) -> list[Case]:
    """Gather the evidence about each image that a pod cannot pull; none if it can pull all.

    Raises:
        TransientError: The API server does not answer.
    """
    try:
        async with asyncio.timeout(access.limits.api):
            pod = await pods.read_pod(access.workload, key)
    except TimeoutError as error:
        raise TransientError(
            f"The API server {access.workload.server} does not answer", why=f"no answer in {access.limits.api:g} s"
        ) from error
    return list(await together(*(_image_case(access, pod, image) for image in pod.images)))


async def _image_case(access: ClusterAccess, pod: pods.Pod, failed: pods.ImageMessages) -> Case:
    evidence, registry = _Evidence(reports=pods.pod_reports(pod)), registry_of(failed.image)
    targets = endpoints(failed.messages, failed.image)
    await together(
        _add_secrets(evidence, access, pod, failed.image),
        _add_trust(evidence, access),
        _add_node(evidence, access, pod.node, registry, targets),
        _add_hosts(evidence, targets, failed.image, registry, access.follow, access.limits),
    )
    return replace(
        _case(evidence, registry),
        image=failed.image,
        messages=failed.messages,
        failed_at=failed.at,
        subject=str(pod.key),
        cluster=str(access.cluster) if access.cluster else "",
    )


async def _add_secrets(evidence: _Evidence, access: ClusterAccess, pod: pods.Pod, image: str) -> None:
    if pod.object is None:
        reason = "the pod was not found, so the names of its pull secrets are unknown"
        evidence.reports.append(CollectorReport("pull secrets", reason, is_available=False, missing=_SECRETS))
        return
    work = pods.assess_pull_secrets(access.workload, pod.object, image)
    evidence.secrets = await collect(
        "pull secrets", work, evidence.reports, seconds=access.limits.api, missing=_SECRETS
    )
    if evidence.secrets is not None:
        text = "; ".join(f"{secret.name} (of {secret.named_by}) {secret.state}" for secret in evidence.secrets)
        evidence.reports.append(CollectorReport("pull secrets", text or "the pod and its ServiceAccount name none"))


async def _add_trust(evidence: _Evidence, access: ClusterAccess) -> None:
    if access.management is None or access.cluster is None:
        reason = "the cluster was named by its kubeconfig; name it with --cluster to include its trust sets"
        evidence.reports.append(CollectorReport("trust sets", reason, is_available=False))
        return
    await together(
        _add_own_sets(evidence, access.management, access.cluster, access.limits.api),
        _add_other_sets(evidence, access.management, access.cluster, access.limits.api),
    )


async def _add_own_sets(evidence: _Evidence, client: Client, cluster: Key, seconds: float) -> None:
    work, source = fleet.read_cluster_sets(client, cluster), "trust of the cluster"
    sets = await collect(source, work, evidence.reports, seconds=seconds, missing=_OWN_SETS)
    if sets is not None:
        evidence.sets = sets
        text = f"desired: {_count(sets.desired)}; in force: {_count(sets.in_force)}"
        missing = _OWN_SETS if sets.digest and sets.in_force is None else ()  # its Secret is gone, or was changed
        evidence.reports.append(CollectorReport(source, text, missing=missing))


async def _add_other_sets(evidence: _Evidence, client: Client, cluster: Key, seconds: float) -> None:
    service, sets = fleet.read_service_list(client), fleet.read_other_sets(client, cluster)
    lists, clusters = (Missing(Part.SERVICE),), (Missing(Part.OTHERS),)
    evidence.service, others = await together(
        collect("the service's list", service, evidence.reports, seconds=seconds, missing=lists),
        collect("other clusters", sets, evidence.reports, seconds=seconds, missing=clusters),
    )
    evidence.others = tuple(trust for _, trust in others or ())
    if others is not None:
        text = f"{len(others)} different sets; the service's list: {_count(evidence.service)}"
        evidence.reports.append(CollectorReport("other clusters", text))


def _count(trust: TrustList | None) -> str:
    return f"{len(trust.entries)} entries" if trust else "unknown"


async def _add_node(
    evidence: _Evidence, access: ClusterAccess, node: str, registry: str, targets: list[tuple[Role, str]]
) -> None:
    work = _read_node(evidence, access, node, registry, targets)
    await collect(f"node {node}", work, evidence.reports, seconds=access.limits.part, missing=_INSPECTION)


async def _read_node(
    evidence: _Evidence, access: ClusterAccess, node: str, registry: str, targets: list[tuple[Role, str]]
) -> None:
    if access.management is None or access.cluster is None or not node:
        return
    work = _read_record(access.management, access.cluster, node, registry)
    result = await collect(f"node {node}", work, evidence.reports, seconds=access.limits.api, missing=_NODE)
    if result is None:
        return
    machine, record = result
    evidence.node = record
    state = record.state or ("Proven" if record.proven_at else "no problem reported")
    evidence.reports.append(CollectorReport(f"node {node}", f"{state}{': ' if record.message else ''}{record.message}"))
    source = f"node {node} over SSH"
    if machine is None or not access.use_ssh:
        # The record stands in for the files that the user leaves out; only the node names its mirrors and proxies.
        reason, missing = (
            ("the node has no Machine", _INSPECTION) if machine is None else ("skipped (--no-ssh)", _ROUTES)
        )
        evidence.reports.append(CollectorReport(source, reason, is_available=False, missing=missing))
        return
    inspect = node_ssh.inspect_machine(access.management, access.cluster, machine, registry, targets, access.limits)
    seconds = access.limits.node
    evidence.inspection = await collect(source, inspect, evidence.reports, seconds=seconds, missing=_INSPECTION)
    if evidence.inspection:
        roles = {address: role for role, address in targets}
        evidence.reports.append(CollectorReport(source, node_ssh.inspection_summary(evidence.inspection)))
        evidence.reports += [
            _unanswered(node, roles.get(host, Role.MIRROR), host) for host in evidence.inspection.unanswered
        ]


def _unanswered(node: str, role: Role, host: str) -> CollectorReport:
    missing = (Missing(Part.CHAIN, host, role, ObservedFrom.NODE),)
    return CollectorReport(f"{host} from node {node}", "no certificate received", is_available=False, missing=missing)


async def _read_record(client: Client, cluster: Key, node: str, registry: str) -> tuple[Machine | None, NodeRecord]:
    machine, trust, sets = await together(
        fleet.find_machine(client, cluster, node),
        fleet.find_cluster_trust(client, cluster),
        fleet.read_cluster_sets(client, cluster),
    )
    return machine, fleet.node_record(node, machine, trust, sets.digest, registry)


async def _add_hosts(
    evidence: _Evidence,
    targets: list[tuple[Role, str]],
    image: str,
    registry: str,
    follow: Follow,
    limits: TimeLimits,
) -> None:
    work = hosts.observe_hosts(evidence.observation, targets, image, registry=registry, follow=follow, limits=limits)
    failures: list[CollectorReport] = []
    await collect("hosts", work, failures, seconds=limits.part)
    missing = (*_undialled(evidence.observation, targets), Missing(Part.ANSWERS))
    evidence.reports += [replace(failure, missing=missing) for failure in failures]


def _undialled(observation: hosts.RegistryObservation, targets: list[tuple[Role, str]]) -> Iterator[Missing]:
    dialled = {host.address for host in observation.hosts}
    yield from (Missing(Part.CHAIN, address, role) for role, address in targets if address not in dialled)


def _case(evidence: _Evidence, registry: str) -> Case:
    observation, inspection = evidence.observation, evidence.inspection
    return Case(
        now=datetime.now(UTC),
        registry=registry,
        secrets=evidence.secrets,
        challenge=observation.challenge or (inspection.challenge if inspection else ""),
        anonymous=observation.anonymous,
        desired=evidence.sets.desired,
        in_force=evidence.sets.in_force,
        since=evidence.sets.since,
        service=evidence.service,
        others=evidence.others,
        issuers=tuple(observation.issuers),
        public_cas=public_cas(),
        node=evidence.node,
        disk=inspection.disk if inspection else None,
        hosts=(*observation.hosts, *(inspection.hosts if inspection else ())),
        reports=(*evidence.reports, *observation.reports),
    )


@lru_cache(maxsize=1)
def public_cas() -> tuple[bytes, ...]:
    """Return the public CAs that this machine trusts, DER: nodes trust nearly the same ones."""
    paths = ssl.get_default_verify_paths()
    for path in map(Path, filter(None, (paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"))):
        if path.is_file():
            return tuple(certificate.der for certificate in parse_pem(path.read_bytes()).certificates)
    return ()


@dataclass(frozen=True)
class Group:
    """Clusters with the same set, and the case of a registry for them."""

    clusters: tuple[Key, ...]
    case: Case


async def gather_registry_cases(
    management: Client | None, registry: str, follow: Follow = NOTHING, limits: TimeLimits = USUAL
) -> list[Group]:
    """Gather the evidence about a registry for each different set of the fleet, the service's list first."""
    evidence = _Evidence()
    cluster_sets: list[tuple[tuple[Key, ...], TrustList]] = []

    async def add_sets() -> None:
        if management is None:
            return
        service = fleet.read_service_list(management)
        evidence.service = await collect("the service's list", service, evidence.reports, seconds=limits.api)
        sets = await collect("clusters", fleet.read_other_sets(management), evidence.reports, seconds=limits.api)
        cluster_sets.extend(sets or ())
        if sets is not None:
            evidence.reports.append(CollectorReport("clusters", f"{len(sets)} different sets"))

    await together(add_sets(), _add_hosts(evidence, [(Role.REGISTRY, registry)], "", registry, follow, limits))
    evidence.others = tuple(trust for _, trust in cluster_sets)
    case, service_list = _case(evidence, registry), evidence.service
    groups = [Group((), replace(case, in_force=service_list, desired=service_list))] if service_list else []
    groups += [
        Group(keys, replace(case, in_force=own, desired=own, cluster=str(keys[0]))) for keys, own in cluster_sets
    ]
    return groups or [Group((), case)]
