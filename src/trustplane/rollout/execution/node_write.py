"""Write trust sets to nodes, each in a separate task, with a limit for the fleet and a backoff after failures."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from trustplane.api.annotations import TRUST_DIGEST
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import (
    IN_PLACE,
    TRUST_APPLIED,
    TRUST_UPDATE_ERROR,
    TRUST_WRITE_STARTED,
    AppliedTrust,
    UpdateError,
)
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Json
from trustplane.clusterapi.machine_facts import ssh_address
from trustplane.clusterapi.node_state import NodeFacts, is_same_digest
from trustplane.clusterapi.secret import parse_set_of_digest, set_secret_name
from trustplane.errors import TransientError, TrustplaneError, UserError
from trustplane.fleet import host_key
from trustplane.fleet.inspection import find_private_key
from trustplane.kube.client import Client
from trustplane.kube.errors import NotFoundError
from trustplane.kube.kinds import CLUSTERS, MACHINES, SECRETS
from trustplane.kube.tasks import together
from trustplane.nodes import ssh, trust
from trustplane.proof.record import PendingWrites
from trustplane.proof.schedule import write_record_time
from trustplane.reporting.cluster_trust import TrustSets
from trustplane.rollout.execution.fairness import share_writes
from trustplane.text import clean
from trustplane.trust import recorded
from trustplane.trust.entries import EMPTY_SET, TrustSet, compare_sets
from trustplane.trust.node_files import render_files

MAX_FLEET_WRITES: Final = 100  # concurrent writes in all clusters
_MAX_MESSAGE: Final = 600  # characters
_MAX_BACKOFF: Final = 60.0  # seconds
_MAX_DOUBLINGS: Final = 10
_RETENTION: Final = 600.0  # seconds after the end of a backoff: the Machine may be deleted by then
_CANCEL_SECONDS: Final = 5.0  # until a cancelled write is cancelled again

_log = structlog.get_logger(__name__)


@dataclass
class _Backoff:
    """A backoff: the number of consecutive failed writes to a node, and when the next may start."""

    failures: int
    until: float


class NodeWriter:
    """Writes the set in force to nodes.

    Args:
        client: Client of the management cluster.
        wake: Schedules the next reconcile of a cluster, after a delay in seconds.
    """

    def __init__(self, client: Client, wake: Callable[[Key, float], None]) -> None:
        self._client = client
        self._wake = wake
        self._tasks: dict[Key, tuple[Key, asyncio.Task[None]]] = {}  # cluster and task, by Machine
        self._backoffs: dict[Key, _Backoff] = {}
        self._demand: dict[Key, int] = {}
        self._written: PendingWrites[AppliedTrust] = (
            PendingWrites()
        )  # by namespace and uid of the Machine, see `_identity`

    async def close(self) -> None:
        """Cancel all writes: they may be interrupted at any point, and the next leader starts them again.

        A task may lose a cancellation, for example in `asyncio.wait_for` of Python 3.11: it is cancelled again.
        """
        while tasks := [task for _, task in self._tasks.values() if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)

    def machines_writing(self, cluster: Key) -> frozenset[str]:
        """Return the names of Machines whose nodes are being written."""
        return frozenset(machine.name for machine, (owner, _) in self._tasks.items() if owner == cluster)

    def machines_backing_off(self, cluster: Key) -> frozenset[str]:
        """Return the names of Machines in backoff after a failure."""
        now = asyncio.get_running_loop().time()
        self._backoffs = {machine: rest for machine, rest in self._backoffs.items() if now - rest.until < _RETENTION}
        return frozenset(
            machine.name
            for machine, rest in self._backoffs.items()
            if machine.namespace == cluster.namespace and rest.until > now
        )

    def backoff_seconds(self, cluster: Key) -> float:
        """Return the seconds until the first backoff of a Machine ends; 0 without a backoff."""
        names, now = self.machines_backing_off(cluster), asyncio.get_running_loop().time()
        return min((self._backoffs[Key(cluster.namespace, name)].until - now for name in names), default=0.0)

    def allowance(self, cluster: Key, wish: int) -> int:
        """Return how many of the requested writes a cluster may start now, within the limit of the fleet."""
        before = self._demand.pop(cluster, 0)
        if wish:
            self._demand[cluster] = wish
        if wish < before:
            self._wake_granted(excluded=cluster)
        return self._granted().get(str(cluster), 0)

    def _granted(self) -> Mapping[str, int]:
        in_flight = Counter(str(owner) for owner, _ in self._tasks.values())
        return share_writes(
            {str(cluster): count for cluster, count in self._demand.items()}, MAX_FLEET_WRITES, in_flight
        )

    def _wake_granted(self, *, excluded: Key) -> None:
        """Wake the clusters that may start a write now: no more of them than there are free slots."""
        granted = self._granted()
        for cluster in [cluster for cluster in self._demand if cluster != excluded and granted[str(cluster)]]:
            self._wake(cluster, 0.0)

    def forget(self, cluster: Key) -> None:
        """Release the slots of a cluster that was deleted, or whose set in force is unknown."""
        if self._demand.pop(cluster, 0):
            self._wake_granted(excluded=cluster)

    def start(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: TrustSets) -> None:
        """Start writing the set in force to the node of a machine, unless a write is in progress."""
        key = key_of(machine)
        if key in self._tasks or sets.in_force is None or self._is_written(machine, sets.digest):
            return
        task = asyncio.create_task(self._write(cluster, machine, facts, sets))
        self._tasks[key] = (cluster, task)
        self._demand[cluster] = max(0, self._demand.get(cluster, 0) - 1)

    def _is_written(self, machine: Machine, digest: str) -> bool:
        """Return whether that set was just written, but the informer has not received its record yet."""
        now, observed = datetime.now(UTC), recorded.read_applied_trust(machine.metadata.annotations)
        latest = self._written.latest(_identity(machine), observed, now)
        return latest is not None and latest is not observed and latest.digest == digest

    async def _write(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: TrustSets) -> None:
        key = key_of(machine)
        rest = 0.0
        try:
            await self._carry_out(cluster, machine, facts, sets)
            self._backoffs.pop(key, None)
        except NotFoundError:
            self._backoffs.pop(key, None)  # the Machine was deleted
        except Exception as error:  # noqa: BLE001  any failure of a node is reported and retried
            rest = self._back_off(key)
            await self._report(machine, sets, error)
        finally:
            self._tasks.pop(key, None)
            self._wake(cluster, rest)
            self._wake_granted(excluded=cluster)

    def _back_off(self, key: Key) -> float:
        failures = self._backoffs[key].failures + 1 if key in self._backoffs else 1
        seconds = min(_MAX_BACKOFF, 2.0 ** min(failures - 1, _MAX_DOUBLINGS))  # avoids an overflow after a day
        self._backoffs[key] = _Backoff(failures, asyncio.get_running_loop().time() + seconds)
        return seconds

    async def _carry_out(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: TrustSets) -> None:
        if sets.in_force is None:
            return
        key, only_removes = await together(
            find_private_key(self._client, cluster), self._only_removes(cluster, facts, sets.in_force)
        )

        async def confirm() -> None:
            await together(self._confirm(cluster, sets.digest), self._record_start(machine, sets.digest))

        async with ssh.connect(ssh_address(machine), key) as node:
            await host_key.check_host_key(self._client, machine, node.host_key)
            result = await trust.apply(node, render_files(sets.in_force), confirm=confirm)
        applied = AppliedTrust(
            digest=sets.digest,
            at=write_record_time(datetime.now(UTC), facts),
            method=IN_PLACE,
            restarted=result.restarted,
            only_removes=only_removes,
            booted=facts.boot_digest,
        )
        records = {
            TRUST_APPLIED: recorded.encode_record(applied),
            TRUST_WRITE_STARTED: None,
            TRUST_UPDATE_ERROR: None,
        }
        await self._annotate(machine, records)
        self._written.note(_identity(machine), applied, datetime.now(UTC))
        _log.info("trust written", machine=machine.metadata.name, digest=sets.digest, restarted=result.restarted)

    async def _only_removes(self, cluster: Key, facts: NodeFacts, desired: TrustSet) -> bool:
        """Return whether a set only removes entries from the node's recorded set; False if that set is unknown.

        The files themselves cannot decide: an attempt interrupted before its record may have written all of them.
        """
        if facts.is_partial or not facts.digest:
            return False
        if is_same_digest(facts.digest, desired.digest):
            return facts.only_removes
        before = EMPTY_SET
        if not is_same_digest(facts.digest, EMPTY_SET.digest):
            stored = await self._client.find(SECRETS, set_secret_name(cluster.name, facts.digest), cluster.namespace)
            trust = parse_set_of_digest(stored, facts.digest) if stored else None
            if trust is None:
                return False
            before = trust
        change = compare_sets(before, desired)
        return not (change.added or change.changed)

    async def _confirm(self, cluster: Key, digest: str) -> None:
        """Check that the set is still in force: connecting to the node may have taken long.

        Raises:
            TransientError: Another set is in force.
        """
        stored = await self._client.get(CLUSTERS, cluster.name, cluster.namespace)
        if stored.metadata.annotations.get(TRUST_DIGEST, digest) != digest:
            raise TransientError(f"Cluster {cluster.name} has taken another trust set during this write")

    async def _record_start(self, machine: Machine, digest: str) -> None:
        """Record that the node's set is unknown until this write is recorded, even if the manager is killed before.

        Otherwise the cluster could return to the recorded set, and the node would keep the unrecorded one.
        """
        await self._annotate(machine, {TRUST_WRITE_STARTED: digest})

    async def _report(self, machine: Machine, sets: TrustSets, error: Exception) -> None:
        """Record why a write to a node failed; if recording fails, the next attempt records it."""
        if not isinstance(error, TrustplaneError):
            _log.exception("write failed unexpectedly", machine=machine.metadata.name, exc_info=error)
        message = str(error) if isinstance(error, TrustplaneError) else f"unexpected {type(error).__name__}"
        update_error = UpdateError(
            digest=sets.digest,
            at=datetime.now(UTC).replace(microsecond=0),
            message=clean(message, _MAX_MESSAGE),
            is_unreachable=isinstance(error, TransientError) and not isinstance(error, UserError),
        )
        _log.info("write to node failed", machine=machine.metadata.name, error=update_error.message)
        before = recorded.read_update_error(machine.metadata.annotations)
        if before and (before.message, before.digest) == (update_error.message, update_error.digest):
            return
        try:
            await self._annotate(machine, {TRUST_UPDATE_ERROR: recorded.encode_record(update_error)})
        except TrustplaneError as failure:
            _log.info("update error not recorded", machine=machine.metadata.name, error=str(failure))

    async def _annotate(self, machine: Machine, annotations: dict[str, Any]) -> None:
        body: Json = {"metadata": {"annotations": annotations, "uid": machine.metadata.uid}}
        await self._client.patch(MACHINES, machine.metadata.name, machine.metadata.namespace, body)


def _identity(machine: Machine) -> Key:
    """Return a key that distinguishes a Machine from an earlier one with the same name."""
    return Key(machine.metadata.namespace, machine.metadata.uid)
