"""All evidence about a failed pull, gathered at once, each part within its own time."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from trustplane.api.clusterapi import Machine
from trustplane.certificates.parsing import parse_pem
from trustplane.collectors import disk, fleet, hosts, node_ssh, pods
from trustplane.collectors.limit import look
from trustplane.controllers.clustertrust_workload import reading
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.evidence import Case, Host, Look, NodeRecord, PullSecret, TrustList
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.verdict import endpoints
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.resource import Key
from trustplane.kube.tasks import together
from trustplane.registry.inspection import NOTHING, Follow

API_SECONDS: Final = 5.0
_MOST_KEPT: Final = 2 << 30  # of all pods of a cluster, which this process holds once
PART_SECONDS: Final = 9.0  # the node, and the hosts: each is several looks


@dataclass(frozen=True)
class Place:
    """Where the pods are: the API server of their cluster, and the management cluster where they have one."""

    workload: Client
    management: Client | None = None
    cluster: Key | None = None
    use_ssh: bool = True
    follow: Follow = NOTHING  # hosts and issuers that are asked, too


@dataclass
class _Gathered:
    """What the parts find, each in its own time."""

    looks: list[Look] = field(default_factory=list)
    secrets: tuple[PullSecret, ...] | None = None
    sets: fleet.ClusterSets = field(default_factory=fleet.ClusterSets)
    service: TrustList | None = None
    others: tuple[TrustList, ...] = ()
    node: NodeRecord | None = None
    on_node: disk.OnNode | None = None
    seen: hosts.Seen = field(default_factory=hosts.Seen)


@asynccontextmanager
async def place(
    kubeconfig: Path | None, cluster: Key | None, *, use_ssh: bool, follow: Follow = NOTHING
) -> AsyncIterator[Place]:
    """Open the cluster that a kubeconfig names, or, with a Cluster, that one by way of its management cluster."""
    async with Client.open(kubeconfig, timeout=API_SECONDS) as client:
        if cluster is None:
            yield Place(client, use_ssh=use_ssh, follow=follow)
            return
        async with reading(client, cluster, most_kept=_MOST_KEPT) as opened:
            yield Place(opened, client, cluster, use_ssh, follow)


async def cases_of_pod(at: Place, key: Key) -> list[Case]:
    """Gather what is known of each image that a pod cannot pull; none where it can pull all.

    Raises:
        TransientError: The API server does not answer.
    """
    try:
        async with asyncio.timeout(API_SECONDS):
            pod = await pods.read_pod(at.workload, key)
    except TimeoutError as error:
        raise TransientError(
            f"The API server {at.workload.server} does not answer", why=f"no answer in {API_SECONDS:g} s"
        ) from error
    return list(await together(*(_case(at, pod, said) for said in pod.said)))


async def _case(at: Place, pod: pods.Pod, said: pods.Said) -> Case:
    found, registry = _Gathered(looks=pods.looks_of(pod)), registry_of(said.image)
    wanted = endpoints(said.messages, said.image)
    await together(
        _secrets(found, at, pod, said.image),
        _trust(found, at),
        look(f"node {pod.node}", _node(found, at, pod.node, registry, wanted), found.looks, seconds=PART_SECONDS),
        _hosts(found, wanted, said.image, registry, at.follow),
    )
    return replace(
        _as_case(found, registry),
        image=said.image,
        messages=said.messages,
        failed_at=said.at,
        subject=str(pod.key),
        cluster=str(at.cluster) if at.cluster else "",
    )


async def _secrets(found: _Gathered, at: Place, pod: pods.Pod, image: str) -> None:
    if pod.object is None:
        found.looks.append(Look("pull secrets", "the pod is gone, and with it their names", seen=False))
        return
    work = pods.pull_secrets(at.workload, pod.object, image)
    found.secrets = await look("pull secrets", work, found.looks, seconds=API_SECONDS)
    if found.secrets is not None:
        words = "; ".join(f"{one.name} (of {one.named_by}) {one.state}" for one in found.secrets)
        found.looks.append(Look("pull secrets", words or "the pod and its ServiceAccount name none"))


async def _trust(found: _Gathered, at: Place) -> None:
    if at.management is None or at.cluster is None:
        words = "the cluster was named by its kubeconfig: what it should trust is known with --cluster"
        found.looks.append(Look("trust sets", words, seen=False))
        return
    await together(_own_sets(found, at.management, at.cluster), _others(found, at.management, at.cluster))


async def _own_sets(found: _Gathered, client: Client, cluster: Key) -> None:
    sets = await look("trust of the cluster", fleet.sets_of(client, cluster), found.looks, seconds=API_SECONDS)
    if sets is not None:
        found.sets = sets
        wanted, taken = (_count(one) for one in (sets.desired, sets.in_force))
        found.looks.append(Look("trust of the cluster", f"asked for: {wanted}; in force: {taken}"))


async def _others(found: _Gathered, client: Client, cluster: Key | None) -> None:
    found.service, others = await together(
        look("the service's list", fleet.service(client), found.looks, seconds=API_SECONDS),
        look("other clusters", fleet.other_sets(client, cluster), found.looks, seconds=API_SECONDS),
    )
    found.others = tuple(one for _, one in others or ())
    if others is not None:
        found.looks.append(
            Look("other clusters", f"{len(others)} different sets; the service's: {_count(found.service)}")
        )


def _count(listed: TrustList | None) -> str:
    return f"{len(listed.entries)} entries" if listed else "not known"


async def _node(found: _Gathered, at: Place, node: str, registry: str, wanted: list[tuple[Role, str]]) -> None:
    if at.management is None or at.cluster is None or not node:
        return
    work = _record(at.management, at.cluster, node, registry)
    known = await look(f"node {node}", work, found.looks, seconds=API_SECONDS)
    if known is None:
        return
    machine, found.node = known
    state = found.node.state or ("Proven" if found.node.trusts else "nothing wrong is reported of it")
    found.looks.append(Look(f"node {node}", f"{state}{': ' if found.node.message else ''}{found.node.message}"))
    if machine is None or not at.use_ssh:
        words = "no Machine of it is known" if machine is None else "not asked for (--no-ssh)"
        found.looks.append(Look(f"node {node} over SSH", words, seen=False))
        return
    ssh_work = node_ssh.look_at(at.management, at.cluster, machine, registry, wanted)
    found.on_node = await look(f"node {node} over SSH", ssh_work, found.looks, seconds=node_ssh.NODE_SECONDS)
    if found.on_node:
        found.looks.append(Look(f"node {node} over SSH", node_ssh.described(found.on_node)))
        words = f"no answer in {disk.SECOND_SECONDS:g} s"
        found.looks += [Look(f"{one} from node {node}", words, seen=False) for one in found.on_node.unseen]


async def _record(client: Client, cluster: Key, node: str, registry: str) -> tuple[Machine | None, NodeRecord]:
    machine, trust, sets = await together(
        fleet.machine_of(client, cluster, node), fleet.cluster_trust(client, cluster), fleet.sets_of(client, cluster)
    )
    return machine, fleet.record(node, machine, trust, sets.digest, registry)


async def _hosts(found: _Gathered, wanted: list[tuple[Role, str]], image: str, registry: str, follow: Follow) -> None:
    work = hosts.look_at(found.seen, wanted, image, registry=registry, follow=follow)
    await look("hosts", work, found.looks, seconds=PART_SECONDS)


def _as_case(found: _Gathered, registry: str) -> Case:
    on_node = found.on_node
    return Case(
        now=datetime.now(UTC),
        registry=registry,
        secrets=found.secrets,
        challenge=found.seen.challenge or (on_node.challenge if on_node else ""),
        anonymous=found.seen.anonymous,
        desired=found.sets.desired,
        in_force=found.sets.in_force,
        since=found.sets.since,
        service=found.service,
        others=found.others,
        issuers=tuple(found.seen.issuers),
        bundle=bundle(),
        node=found.node,
        disk=on_node.disk if on_node else None,
        hosts=_and_of_node(found.seen.hosts, on_node),
        looks=(*found.looks, *found.seen.looks),
    )


def _and_of_node(seen: list[Host], on_node: disk.OnNode | None) -> tuple[Host, ...]:
    return (*seen, *(on_node.hosts if on_node else ()))


@lru_cache(maxsize=1)
def bundle() -> tuple[bytes, ...]:
    """Return the CAs that this machine trusts, DER: nodes trust about the same ones anyway."""
    named = ssl.get_default_verify_paths()
    for path in map(Path, filter(None, (named.cafile, named.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"))):
        if path.is_file():
            return tuple(one.der for one in parse_pem(path.read_bytes()).certificates)
    return ()


@dataclass(frozen=True)
class Group:
    """Clusters that have the same set, and the case of a registry for them."""

    clusters: tuple[Key, ...]
    case: Case


async def cases_of_registry(management: Client | None, registry: str, follow: Follow = NOTHING) -> list[Group]:
    """Gather what is known of a registry, for each different set of the fleet, the service's list first."""
    found = _Gathered()
    known: list[tuple[tuple[Key, ...], TrustList]] = []

    async def sets() -> None:
        if management is None:
            return
        found.service = await look("the service's list", fleet.service(management), found.looks, seconds=API_SECONDS)
        others = await look("clusters", fleet.other_sets(management), found.looks, seconds=API_SECONDS)
        known.extend(others or ())
        if others is not None:
            found.looks.append(Look("clusters", f"{len(others)} different sets"))

    await together(sets(), _hosts(found, [(Role.REGISTRY, registry)], "", registry, follow))
    found.others = tuple(one for _, one in known)
    case = _as_case(found, registry)
    groups = [Group((), replace(case, in_force=found.service, desired=found.service))] if found.service else []
    groups += [Group(keys, replace(case, in_force=one, desired=one, cluster=str(keys[0]))) for keys, one in known]
    return groups or [Group((), case)]
