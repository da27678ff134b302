"""Writes of trust sets on nodes: each a task of its own, so many at a time, with a pause after one that failed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from trustplane.api.annotations import TRUST_DIGEST
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import IN_PLACE, TRUST_APPLIED, TRUST_HINDRANCE, AppliedTrust, Hindrance
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
from trustplane.reporting.cluster_trust import Sets
from trustplane.rollout.execution.fairness import share_writes
from trustplane.text import clean
from trustplane.trust import recorded
from trustplane.trust.entries import EMPTY, TrustSet, difference
from trustplane.trust.places import files

MAX_FLEET_WRITES: Final = 100  # nodes of all clusters that are written at the same time
_MESSAGE: Final = 600
_LONGEST_REST: Final = 60.0  # seconds
_DOUBLINGS: Final = 10
_RETENTION: Final = 600.0  # seconds after a rest: its Machine may be gone

_log = structlog.get_logger(__name__)


@dataclass
class _Backoff:
    """How often writing on a node has failed in a row, and until when it is left alone."""

    failures: int
    until: float


class NodeWriter:
    """Writes the set in force on nodes.

    Args:
        client: To the management cluster.
        wake: Has a cluster looked at again, after so many seconds.
    """

    def __init__(self, client: Client, wake: Callable[[Key, float], None]) -> None:
        self._client = client
        self._wake = wake
        self._tasks: dict[Key, tuple[Key, asyncio.Task[None]]] = {}  # cluster and task, by Machine
        self._backoffs: dict[Key, _Backoff] = {}
        self._demand: dict[Key, int] = {}
        self._written: PendingWrites[AppliedTrust] = PendingWrites()  # by namespace and uid of the Machine

    async def close(self) -> None:
        """End all writes: each can be cut at any point, and is begun anew by whoever leads next."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def machines_writing(self, cluster: Key) -> frozenset[str]:
        """Return the names of Machines that are being written."""
        return frozenset(one.name for one, (owner, _) in self._tasks.items() if owner == cluster)

    def machines_backing_off(self, cluster: Key) -> frozenset[str]:
        """Return the names of Machines that are left alone after a failure."""
        now = asyncio.get_running_loop().time()
        self._backoffs = {one: rest for one, rest in self._backoffs.items() if now - rest.until < _RETENTION}
        return frozenset(
            one.name for one, rest in self._backoffs.items() if one.namespace == cluster.namespace and rest.until > now
        )

    def backoff_seconds(self, cluster: Key) -> float:
        """Return the seconds until the first of the Machines that are left alone is to be tried again; 0: none is."""
        names, now = self.machines_backing_off(cluster), asyncio.get_running_loop().time()
        return min((self._backoffs[Key(cluster.namespace, one)].until - now for one in names), default=0.0)

    def allowance(self, cluster: Key, wish: int) -> int:
        """Return how many writes a cluster may begin now, by the limit of the fleet."""
        before = self._demand.pop(cluster, 0)
        if wish:
            self._demand[cluster] = wish
        if wish < before:
            self._wake_granted(but=cluster)
        return self._granted().get(str(cluster), 0)

    def _granted(self) -> Mapping[str, int]:
        in_flight = Counter(str(owner) for owner, _ in self._tasks.values())
        return share_writes({str(one): count for one, count in self._demand.items()}, MAX_FLEET_WRITES, in_flight)

    def _wake_granted(self, *, but: Key) -> None:
        """Wake those who may begin something now: each place that becomes free has one that waits for it at most."""
        granted = self._granted()
        for one in [one for one in self._demand if one != but and granted[str(one)]]:
            self._wake(one, 0.0)

    def forget(self, cluster: Key) -> None:
        """Keep no place for a cluster that is gone, or of which it is not known what to write."""
        if self._demand.pop(cluster, 0):
            self._wake_granted(but=cluster)

    def start(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: Sets) -> None:
        """Begin to write the set in force on the node of a machine, unless that goes on already."""
        key = key_of(machine)
        if key in self._tasks or sets.in_force is None or self._is_behind(machine, sets.digest):
            return
        task = asyncio.create_task(self._write(cluster, machine, facts, sets))
        self._tasks[key] = (cluster, task)
        self._demand[cluster] = max(0, self._demand.get(cluster, 0) - 1)

    def _is_behind(self, machine: Machine, digest: str) -> bool:
        """Tell whether that set was written a moment ago, and its record has not come back yet, which wakes us."""
        now, seen = datetime.now(UTC), recorded.applied(machine.metadata.annotations)
        latest = self._written.latest(_identity(machine), seen, now)
        return latest is not None and latest is not seen and latest.digest == digest

    async def _write(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: Sets) -> None:
        key = key_of(machine)
        rest = 0.0
        try:
            await self._carry_out(cluster, machine, facts, sets)
            self._backoffs.pop(key, None)
        except NotFoundError:
            self._backoffs.pop(key, None)  # the Machine is gone
        except Exception as error:  # noqa: BLE001  whatever goes wrong with one node is reported, and tried again
            rest = self._rest(key)
            await self._report(machine, sets, error)
        finally:
            self._tasks.pop(key, None)
            self._wake(cluster, rest)
            self._wake_granted(but=cluster)

    def _rest(self, key: Key) -> float:
        failures = self._backoffs[key].failures + 1 if key in self._backoffs else 1
        seconds = min(_LONGEST_REST, 2.0 ** min(failures - 1, _DOUBLINGS))  # more would overflow after a day
        self._backoffs[key] = _Backoff(failures, asyncio.get_running_loop().time() + seconds)
        return seconds

    async def _carry_out(self, cluster: Key, machine: Machine, facts: NodeFacts, sets: Sets) -> None:
        if sets.in_force is None:
            return
        key, only_removes = await together(
            find_private_key(self._client, cluster), self._only_removes(cluster, facts, sets.in_force)
        )

        async def confirm() -> None:
            await self._confirm(cluster, sets.digest)

        async with ssh.connect(ssh_address(machine), key) as node:
            await host_key.check_host_key(self._client, machine, node.host_key)
            result = await trust.apply(node, files(sets.in_force), confirm=confirm)
        applied = AppliedTrust(
            digest=sets.digest,
            at=write_record_time(datetime.now(UTC), facts),
            method=IN_PLACE,
            restarted=result.restarted,
            only_removes=only_removes,
            booted=facts.boot_digest,
        )
        await self._annotate(machine, {TRUST_APPLIED: recorded.text(applied), TRUST_HINDRANCE: None})
        self._written.note(_identity(machine), applied, datetime.now(UTC))
        _log.info("trust written", machine=machine.metadata.name, digest=sets.digest, restarted=result.restarted)

    async def _only_removes(self, cluster: Key, facts: NodeFacts, wanted: TrustSet) -> bool:
        """Tell whether a set has nothing but what the node had before; not known is no.

        Not by what is written now: an attempt that was cut before its record may have written all of it.
        """
        if facts.is_partial or not facts.digest:
            return False
        if facts.has_set(wanted.digest):
            return facts.only_removes
        before = EMPTY
        if not is_same_digest(facts.digest, EMPTY.digest):
            found = await self._client.find(SECRETS, set_secret_name(cluster.name, facts.digest), cluster.namespace)
            trust = parse_set_of_digest(found, facts.digest) if found else None
            if trust is None:
                return False
            before = trust
        change = difference(before, wanted)
        return not (change.added or change.changed)

    async def _confirm(self, cluster: Key, digest: str) -> None:
        """Check that the cluster still asks for that set: this work may have waited for the node for long.

        Raises:
            TransientError: It has taken another one.
        """
        found = await self._client.get(CLUSTERS, cluster.name, cluster.namespace)
        if found.metadata.annotations.get(TRUST_DIGEST, digest) != digest:
            raise TransientError(f"Cluster {cluster.name} has taken another trust set meanwhile")

    async def _report(self, machine: Machine, sets: Sets, error: Exception) -> None:
        """Record why a node could not be written; where that fails, too, the next attempt has it."""
        if not isinstance(error, TrustplaneError):
            _log.exception("writing failed", machine=machine.metadata.name, exc_info=error)
        words = str(error) if isinstance(error, TrustplaneError) else f"unexpected {type(error).__name__}"
        hindrance = Hindrance(
            digest=sets.digest,
            at=datetime.now(UTC).replace(microsecond=0),
            message=clean(words, _MESSAGE),
            is_unreachable=isinstance(error, TransientError) and not isinstance(error, UserError),
        )
        _log.info("node could not be written", machine=machine.metadata.name, error=hindrance.message)
        before = recorded.hindrance(machine.metadata.annotations)
        if before and (before.message, before.digest) == (hindrance.message, hindrance.digest):
            return
        try:
            await self._annotate(machine, {TRUST_HINDRANCE: recorded.text(hindrance)})
        except TrustplaneError as failed:
            _log.info("not recorded", machine=machine.metadata.name, error=str(failed))

    async def _annotate(self, machine: Machine, annotations: dict[str, Any]) -> None:
        body: Json = {"metadata": {"annotations": annotations, "uid": machine.metadata.uid}}
        await self._client.patch(MACHINES, machine.metadata.name, machine.metadata.namespace, body)


def _identity(machine: Machine) -> Key:
    """Return what tells a Machine from an earlier one of its name."""
    return Key(machine.metadata.namespace, machine.metadata.uid)
