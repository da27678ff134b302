"""One machine's update, step by step: what is asked for, whether it is its turn, and the work on its node."""

import asyncio
import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import structlog

from trustplane.api.annotations import CLUSTER_NAME_LABEL, TRUST_CANARY, TRUST_CHANGE, TRUST_DIGEST
from trustplane.api.clustertrust import IN_PLACE, TRUST_APPLIED, AppliedTrust
from trustplane.api.configuration import TrustedCA
from trustplane.api.meta import Json
from trustplane.clusterapi import inplace_files, inplace_update, ssh_secret
from trustplane.errors import TransientError, UserError
from trustplane.kube.client import Client
from trustplane.kube.errors import ConflictError, NotFoundError
from trustplane.kube.kinds import SECRETS
from trustplane.machines.resources import CLUSTERS, MACHINES, REGISTRIES
from trustplane.nodes import hostkey, plan, ssh, trust
from trustplane.trust import entries, gate
from trustplane.trust.entries import TrustSet
from trustplane.trust.gate import Canary, Member, Move, Permission, Scene
from trustplane.trust.places import hosts_by_name, place

_ELECTIONS = 5  # attempts, where the Cluster changes meanwhile
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Update:
    """What is to be on one node.

    Attributes:
        asked: What is asked for.
        files: Content by path.
        set: The same as a trust set.
        is_done: Nothing is to be done: the node has it, or the cluster has taken another set meanwhile. In the second
            case that one is asked for as soon as this one is answered.
    """

    asked: inplace_update.MachineUpdate
    files: dict[str, str]
    set: TrustSet
    is_done: bool = False

    @property
    def namespace(self) -> str:
        """Of the Machine."""
        return self.asked.namespace

    @property
    def name(self) -> str:
        """Of the Machine."""
        return self.asked.name

    @property
    def digest(self) -> str:
        """Of the set."""
        return self.set.digest


async def prepare(client: Client, asked: inplace_update.MachineUpdate) -> Update:
    """Read the content of the Secrets that an update names, and what the machine has already.

    Raises:
        NotFoundError: The Machine or its Cluster is gone.
        TransientError: A Secret is not there.
        UserError: A Secret cannot be used.
    """
    cluster = await client.get(CLUSTERS, asked.cluster, asked.namespace)
    machine = await client.get(MACHINES, asked.name, asked.namespace)
    data = {name: await _secret(client, name, asked.namespace) for name in asked.secrets}
    files = inplace_files.contents(asked.files, data)
    wanted = _trust_set(tuple(files.items()))
    member = _member(machine)
    is_superseded = _is_superseded(cluster, wanted)
    return Update(asked, files, wanted, is_done=is_superseded or member.applied.digest == wanted.digest)


def _is_superseded(cluster: Json, wanted: TrustSet) -> bool:
    return digest_in_force(cluster) not in ("", wanted.digest)


async def _confirm(client: Client, update: Update) -> None:
    """Check that the cluster still asks for that set: this work may have waited for the node for long.

    Raises:
        TransientError: It has taken another one.
    """
    if _is_superseded(await _cluster(client, update), update.set):
        raise TransientError(
            f"Cluster {update.asked.cluster} has taken another trust set meanwhile",
            next_step="Cluster API asks for that one by itself",
        )


async def _secret(client: Client, name: str, namespace: str) -> dict[str, str]:
    """Read the data of a Secret; of one that is absent, none."""
    found = await client.find(SECRETS, name, namespace)
    return (found or {}).get("data") or {}


@lru_cache(maxsize=64)
def _trust_set(files: tuple[tuple[str, str], ...]) -> TrustSet:
    """Return the set that files are made of; the same files are asked about for every machine, every second."""
    pems = {found: pem for path, pem in files if (found := place(path))}
    by_name = {one.name: pem for one, pem in pems.items()}
    listed = [TrustedCA(name=name, data=base64.b64encode(pem.encode()).decode()) for name, pem in by_name.items()]
    reading = entries.read(listed)
    if not reading.ok:
        raise UserError("A trust file holds no certificates that can be used", why=str(reading.findings[0]))
    return reading.trust.scoped(hosts_by_name(pems))


def digest_in_force(cluster: Json) -> str:
    """Return the digest of the set that a Cluster has taken; empty where Trustplane does not manage it."""
    annotations = cluster["metadata"].get("annotations") or {}
    return str(annotations.get(TRUST_DIGEST, ""))


async def permission(client: Client, update: Update) -> Permission:
    """Tell whether it is this machine's turn."""
    return gate.permit(update.name, await _scene(client, update, await _cluster(client, update)))


async def _cluster(client: Client, update: Update) -> Json:
    return await client.get(CLUSTERS, update.asked.cluster, update.namespace)


async def _scene(client: Client, update: Update, cluster: Json) -> Scene:
    metadata = cluster["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    machines = await client.list(MACHINES, update.namespace, labels=f"{CLUSTER_NAME_LABEL}={update.asked.cluster}")
    try:
        registries = await client.list(REGISTRIES)
    except NotFoundError:  # a management cluster without the kind
        registries = []
    members = []
    for one in machines:
        if not one["metadata"].get("deletionTimestamp"):
            members.append(_member(one))
            await asyncio.sleep(0)  # what a tenant has written on a Machine takes a while to read: others go between
    return Scene(
        digest=update.digest,
        members=tuple(members),
        canary=Canary.read(annotations.get(TRUST_CANARY, "")),
        registries=tuple(sorted(one.spec.host for one in registries if one.selects(labels))),
        change=annotations.get(TRUST_CHANGE, "") or entries.difference(entries.EMPTY, update.set).text,
    )


def _member(machine: Json) -> Member:
    metadata = machine["metadata"]
    conditions = (machine.get("status") or {}).get("conditions") or []
    ready = next((one.get("status") for one in conditions if one.get("type") == "NodeReady"), "True")
    return Member.read(metadata["name"], metadata.get("annotations") or {}, is_running=ready == "True")


async def carry_out(client: Client, update: Update) -> None:
    """Bring the node to what is asked for, and record it.

    Raises:
        TransientError: The node cannot be reached now, another machine was elected meanwhile, or the cluster has taken
            another set.
        NodeError: The node shows another host key than before, or cannot be changed.
    """
    machine = await client.get(MACHINES, update.name, update.namespace)
    address = inplace_update.address(machine)
    async with ssh.connect(address, await _private_key(client, update)) as node:
        if (pin := hostkey.pin(machine, node.host_key)) is not None:
            await _pin(client, update, pin)
        previous = await _previous(client, update)
        if (await permission(client, update)).move is not Move.GO:
            todo = plan.make(update.files, await trust.read(node), previous)
            # A hosts.toml that is written alone names fewer CAs than before.
            await _become_canary(client, update, adds=any(place(one.path) for one in todo.writes))
        result = await trust.apply(node, update.files, previous, confirm=lambda: _confirm(client, update))
    await _record(client, update, result)
    _log.info("trust written", machine=update.name, digest=update.digest, restarted=result.restarted)


async def _private_key(client: Client, update: Update) -> str:
    name = ssh_secret.name_of(update.asked.cluster)
    data = await _secret(client, name, update.namespace)
    if ssh_secret.PRIVATE_KEY not in data:
        raise UserError(
            f"Secret {name} with the SSH key of the cluster's nodes is not there",
            why=f"Trustplane logs in to nodes with its key {ssh_secret.PRIVATE_KEY}",
            next_step="Restore it, or replace the machines: annotation trustplane.dev/update-strategy: Replace",
        )
    return ssh_secret.private_key(data, name)


async def _pin(client: Client, update: Update, patch: Json) -> None:
    try:
        await client.patch(MACHINES, update.name, update.namespace, patch)
    except ConflictError as error:
        raise TransientError(
            f"Machine {update.name} changed while its host key was being pinned", next_step="It is tried again"
        ) from error


async def _previous(client: Client, update: Update) -> dict[str, str] | None:
    """Read which files are ours on a node without a record of its own; None where nobody knows."""
    value = (await _secret(client, update.asked.bootstrap_secret, update.namespace)).get("value")
    return inplace_files.bootstrap_files(base64.b64decode(value)) if value else None


async def _become_canary(client: Client, update: Update, *, adds: bool) -> None:
    """Have this machine recorded as the canary, before anything is written.

    Raises:
        TransientError: Another machine was elected meanwhile.
    """
    for _ in range(_ELECTIONS):
        cluster = await _cluster(client, update)
        now = gate.permit(update.name, await _scene(client, update, cluster))
        if now.move is Move.GO:
            return
        if now.move is not Move.ELECT:
            raise TransientError(now.reason)
        if await _elect(client, update, cluster, Canary(update.digest, update.name, adds=adds)):
            return
    raise TransientError(f"Cluster {update.asked.cluster} keeps changing", next_step="It is tried again by itself")


async def _elect(client: Client, update: Update, cluster: Json, canary: Canary) -> bool:
    metadata = {
        "resourceVersion": cluster["metadata"]["resourceVersion"],
        "annotations": {TRUST_CANARY: canary.text()},
    }
    try:
        await client.patch(CLUSTERS, update.asked.cluster, update.namespace, {"metadata": metadata})
    except ConflictError:
        return False
    return True


async def _record(client: Client, update: Update, result: trust.Result) -> None:
    applied = AppliedTrust(
        digest=update.digest, at=datetime.now(UTC), method=IN_PLACE, restarted=result.restarted
    )  # fmt: skip
    body: Json = {"metadata": {"annotations": {TRUST_APPLIED: msgspec.json.encode(applied).decode()}}}
    await client.patch(MACHINES, update.name, update.namespace, body)
