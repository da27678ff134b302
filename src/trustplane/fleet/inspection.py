"""Inspect a node over SSH: report drift of its files and its runtime, and repair it on request.

An inspection also records how the runtime reaches registries. Without that, a kubelet's answer proves nothing.
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

# Called before a repair; raises if the repair is no longer wanted, see `trust.apply`.
ConfirmRepair = Callable[[], Awaitable[None]]
_MAX_MESSAGE = 600  # characters of a message in an annotation
_MAX_REASONS = 20  # registries with a recorded reason; others have only their verification
_KEY_RETRY = timedelta(minutes=5)  # between lookups of an absent SSH key


@dataclass(frozen=True)
class InspectionResult:
    """The result of an inspection, to be recorded on the Machine."""

    inspection: Inspection
    applied: AppliedTrust | None = None  # the write of a repair


@dataclass(frozen=True)
class DesiredTrust:
    """The desired trust of a node.

    Attributes:
        files: Content of the trust files by path; None if unknown.
        registries: Hosts of the registries that the node must trust.
        repair: Called before drift is repaired, see `trust.apply`; None: drift is only reported.
    """

    files: Mapping[str, str] | None
    registries: Collection[str]
    repair: ConfirmRepair | None = None


async def find_private_key(client: Client, cluster: Key) -> str:
    """Return the SSH key of a cluster's nodes; empty if the user has not given Trustplane access to them."""
    name = ssh_secret.ssh_secret_name(cluster.name)
    secret = await client.find(SECRETS, name, cluster.namespace)
    return ssh_secret.parse_private_key(secret.data, name) if secret else ""


UNUSABLE_KEY = "unusable"  # stands for an invalid key: the login with it fails and reports the reason for each node


class SshKeys:
    """Looks up the SSH keys of clusters' nodes, and caches their absence.

    Args:
        client: Client of the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._absent_until: dict[Key, datetime] = {}

    async def find(self, cluster: Key) -> str:
        """Return the private key of a cluster's nodes, or UNUSABLE_KEY; an absent key delays inspections."""
        try:
            key = await find_private_key(self._client, cluster)
        except UserError:
            return UNUSABLE_KEY
        if key:
            self._absent_until.pop(cluster, None)
        else:
            self._absent_until[cluster] = datetime.now(UTC) + _KEY_RETRY
        return key

    def inspection_time(self, cluster: Key, time: datetime | None) -> datetime | None:
        """Return when an inspection due at that time can take place; later while the cluster's key is absent."""
        absent_until = self._absent_until.get(cluster)
        return max(time, absent_until) if time and absent_until else time


async def inspect_node(
    client: Client, machine: Machine, key: str, facts: NodeFacts, desired: DesiredTrust
) -> InspectionResult:
    """Inspect a node; errors are part of the result.

    Args:
        client: Client of the management cluster.
        machine: The node's Machine.
        key: Private key for SSH.
        facts: The node's facts.
        desired: The node's desired trust.
    """
    try:
        async with ssh.connect(ssh_address(machine), key) as node:
            try:
                await host_key.check_host_key(client, machine, node.host_key)
            except NodeError as error:
                return InspectionResult(_result(facts.digest, refusal=str(error)))
            files = desired.files
            result = _not_compared(facts) if files is None else await _compare(node, files, facts, desired.repair)
            result.inspection.registries_at = datetime.now(UTC)
            result.inspection.registries = await _registry_access(node, desired.registries)
            return result
    except TrustplaneError as error:
        return InspectionResult(_failed(facts, str(error)))


def _not_compared(facts: NodeFacts) -> InspectionResult:
    inspection = _result(facts.digest)
    inspection.is_partial = True
    return InspectionResult(inspection)


def _failed(facts: NodeFacts, error: str) -> Inspection:
    """Return a failed inspection; it keeps the registry access of the last successful one, with its time."""
    inspection, before = _result(facts.digest, error=error), facts.valid_inspection
    if before is not None:
        inspection.registries, inspection.registries_at = before.registries, before.registries_at
    return inspection


async def _registry_access(node: ssh.NodeConnection, names: Collection[str]) -> list[RegistryAccess]:
    """Return how a node reaches registries; only the first ones keep a reason."""
    try:
        report = await registry_report.read_registry_report(node, names)
    except TrustplaneError as error:
        reason = clean(str(error), _MAX_MESSAGE // 2)
        return [RegistryAccess(registry=host, verification=UNREADABLE, reason=reason) for host in sorted(names)]
    result = []
    for host in sorted(names):
        result.append(registries.assess_access(report, host))
        await asyncio.sleep(0)  # one registry's configuration may be large: yield to other tasks
    for access in [access for access in result if access.reason][_MAX_REASONS:]:
        access.reason = access.next_step = ""
    return result


async def _compare(
    node: ssh.NodeConnection, files: Mapping[str, str], facts: NodeFacts, repair: ConfirmRepair | None
) -> InspectionResult:
    digest = facts.digest
    state = await trust.read(node)
    drift = plan.find_drift(files, state)
    ineffective, hidden = describe_shadows(hosts.find_shadows(state, files))
    if drift.is_current or repair is None:
        message = "; ".join(part for part in (describe_drift(drift), ineffective) if part)
        inspection = _result(digest, message=message, hidden=hidden)
        inspection.is_drifted = not drift.is_current
        return InspectionResult(inspection)
    result = await trust.apply(node, files, confirm=repair)
    at = write_record_time(datetime.now(UTC), facts)
    applied = AppliedTrust(digest=digest, at=at, method=IN_PLACE, restarted=result.restarted)
    return InspectionResult(_result(digest, message=ineffective, hidden=hidden), applied)


def _result(digest: str, *, message: str = "", hidden: str = "", refusal: str = "", error: str = "") -> Inspection:
    return Inspection(
        digest=digest,
        at=datetime.now(UTC),
        message=message[:_MAX_MESSAGE],
        hidden=hidden[:_MAX_MESSAGE],
        refusal=refusal[:_MAX_MESSAGE],
        error=error[:_MAX_MESSAGE],
    )


def describe_drift(drift: Drift) -> str:
    """Return a description of the drift; empty without drift."""
    parts = (
        ("edited outside Trustplane", drift.edited),
        ("removed outside Trustplane", drift.removed),
        ("replaced by something other than a file", drift.replaced),
        ("never written", drift.missing),
        ("left over from an earlier set", drift.outdated),
    )
    texts = [f"{problem}: {', '.join(paths)}" for problem, paths in parts if paths]
    if drift.is_stale:
        texts.append("the files are correct, but the running containerd has not loaded them")
    return "; ".join(texts)


def describe_shadows(shadows: Sequence[Shadow]) -> tuple[str, str]:
    """Return descriptions of our ineffective files, and of other files that ours make ineffective; empty if none."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    for shadow in shadows:
        texts[shadow.is_managed].append(f"{shadow.path} because of {shadow.shadowed_by}")
    return (
        f"files of Trustplane without effect: {', '.join(texts[True])}" if texts[True] else "",
        f"other files without effect: {', '.join(texts[False])}" if texts[False] else "",
    )
