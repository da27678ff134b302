"""A look at a node's files and runtime over SSH: what differs from what was written, and its repair where asked for.

It also tells how the runtime reaches registries, without which no answer of a kubelet proves anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import IN_PLACE, UNREADABLE, AppliedTrust, Inspection, RegistryAccess
from trustplane.api.keys import Key
from trustplane.clusterapi import ssh_secret
from trustplane.clusterapi.machine_facts import ssh_address
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.errors import NodeError, TrustplaneError, UserError
from trustplane.fleet import host_key
from trustplane.kube.client import Client
from trustplane.kube.kinds import SECRETS
from trustplane.nodes import hosts, plan, registries, registry_report, ssh, trust
from trustplane.nodes.hosts import Shadow
from trustplane.nodes.plan import Drift
from trustplane.proof.schedule import write_record_time
from trustplane.text import clean

# Asked before a repair; it raises where that is no longer wanted, see `trust.apply`.
ConfirmRepair = Callable[[], Awaitable[None]]
_MESSAGE = 600  # characters of what is kept in an annotation
_REASONS = 20  # registries whose hindrance is kept in words; of more, only that there is one
_KEY_AGAIN = timedelta(minutes=5)  # until a cluster without an SSH key is asked for one again


@dataclass(frozen=True)
class InspectionResult:
    """What came of a look: to be recorded on the Machine."""

    inspection: Inspection
    applied: AppliedTrust | None = None  # what was written by a repair


@dataclass(frozen=True)
class DesiredTrust:
    """What a node is to have, and trust.

    Attributes:
        files: Content by path; None where that is not known.
        registries: Hosts of the registries that it is to trust.
        repair: Asked before what differs is undone, see `trust.apply`; None: it is only reported.
    """

    files: Mapping[str, str] | None
    registries: Collection[str]
    repair: ConfirmRepair | None = None


async def find_private_key(client: Client, cluster: Key) -> str:
    """Return the SSH key of a cluster's nodes; empty where its nodes are not ours to look at."""
    name = ssh_secret.ssh_secret_name(cluster.name)
    found = await client.find(SECRETS, name, cluster.namespace)
    return ssh_secret.parse_private_key(found.data, name) if found else ""


UNUSABLE_KEY = "unusable"  # no key: whoever logs in with it says so of each node


class SshKeys:
    """The SSH keys of clusters' nodes.

    Args:
        client: To the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._absent_until: dict[Key, datetime] = {}

    async def find(self, cluster: Key) -> str:
        """Return the key of a cluster's nodes as `private_key` does, and remember for a while where there is none."""
        try:
            key = await find_private_key(self._client, cluster)
        except UserError:
            return UNUSABLE_KEY
        if key:
            self._absent_until.pop(cluster, None)
        else:
            self._absent_until[cluster] = datetime.now(UTC) + _KEY_AGAIN
        return key

    def inspection_time(self, cluster: Key, time: datetime | None) -> datetime | None:
        """Return when a node of a cluster can be looked at that is to be at that time."""
        absent_until = self._absent_until.get(cluster)
        return max(time, absent_until) if time and absent_until else time


async def inspect_node(
    client: Client, machine: Machine, key: str, facts: NodeFacts, wanted: DesiredTrust
) -> InspectionResult:
    """Look at a node; errors are part of the result.

    Args:
        client: To the management cluster.
        machine: Its Machine.
        key: Private key for SSH.
        facts: What is known of it.
        wanted: What it is to have.
    """
    try:
        async with ssh.connect(ssh_address(machine), key) as node:
            try:
                await host_key.check_host_key(client, machine, node.host_key)
            except NodeError as error:
                return InspectionResult(_result(facts.digest, refusal=str(error)))
            seen = await _look(node, wanted.files, facts, wanted.repair) if wanted.files is not None else None
            seen = seen or _not_compared(facts)
            seen.inspection.registries_at = datetime.now(UTC)
            seen.inspection.registries = await _reach(node, wanted.registries)
            return seen
    except TrustplaneError as error:
        return InspectionResult(_failed(facts, str(error)))


def _not_compared(facts: NodeFacts) -> InspectionResult:
    inspection = _result(facts.digest)
    inspection.is_partial = True
    return InspectionResult(inspection)


def _failed(facts: NodeFacts, error: str) -> Inspection:
    """Return a look that failed; how the node reached registries when it was last seen stays known, with its time."""
    inspection, before = _result(facts.digest, error=error), facts.valid_inspection
    if before is not None:
        inspection.registries, inspection.registries_at = before.registries, before.registries_at
    return inspection


async def _reach(node: ssh.NodeConnection, wanted: Collection[str]) -> list[RegistryAccess]:
    """Tell how a node reaches registries; words about them are kept of the first ones only."""
    try:
        report = await registry_report.read_registry_report(node, wanted)
    except TrustplaneError as error:
        reason = clean(str(error), _MESSAGE // 2)
        return [RegistryAccess(registry=host, verification=UNREADABLE, reason=reason) for host in sorted(wanted)]
    reached = []
    for host in sorted(wanted):
        reached.append(registries.assess_access(report, host))
        await asyncio.sleep(0)  # what a node has for one registry may be large: others go between
    for access in [access for access in reached if access.reason][_REASONS:]:
        access.reason = access.next_step = ""
    return reached


async def _look(
    node: ssh.NodeConnection, files: Mapping[str, str], facts: NodeFacts, repair: ConfirmRepair | None
) -> InspectionResult:
    digest = facts.digest
    state = await trust.read(node)
    found = plan.find_drift(files, state)
    useless, hidden = describe_shadows(hosts.find_shadows(state, files))
    if found.is_current or repair is None:
        message = "; ".join(part for part in (describe_drift(found), useless) if part)
        inspection = _result(digest, message=message, hidden=hidden)
        inspection.is_drifted = not found.is_current
        return InspectionResult(inspection)
    done = await trust.apply(node, files, confirm=repair)
    at = write_record_time(datetime.now(UTC), facts)
    applied = AppliedTrust(digest=digest, at=at, method=IN_PLACE, restarted=done.restarted)
    return InspectionResult(_result(digest, message=useless, hidden=hidden), applied)


def _result(digest: str, *, message: str = "", hidden: str = "", refusal: str = "", error: str = "") -> Inspection:
    return Inspection(
        digest=digest,
        at=datetime.now(UTC),
        message=message[:_MESSAGE],
        hidden=hidden[:_MESSAGE],
        refusal=refusal[:_MESSAGE],
        error=error[:_MESSAGE],
    )


def describe_drift(found: Drift) -> str:
    """Return what differs in words; empty where nothing does."""
    parts = (
        ("edited by somebody", found.edited),
        ("removed by somebody", found.removed),
        ("replaced by something that is no file", found.replaced),
        ("never written", found.missing),
        ("left from an earlier set", found.outdated),
    )
    texts = [f"{what}: {', '.join(paths)}" for what, paths in parts if paths]
    if found.is_stale:
        texts.append("the files are right, but the containerd that runs has not loaded them")
    return "; ".join(texts)


def describe_shadows(found: Sequence[Shadow]) -> tuple[str, str]:
    """Return in words what of ours has no effect, and what of others has none because of ours; empty for nothing."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    for one in found:
        texts[one.is_managed].append(f"{one.path} because of {one.shadowed_by}")
    return (
        f"without effect, though it is ours: {', '.join(texts[True])}" if texts[True] else "",
        f"without effect, and not ours: {', '.join(texts[False])}" if texts[False] else "",
    )
