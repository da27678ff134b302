"""Proofs: the nodes whose trust is to be proven, or looked at, now; what comes of it is recorded on their Machines.

Another controller than the one that reports, so that a cluster that does not answer delays no report; and one reconcile
for each cluster, so that it delays no other cluster.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from msgspec.structs import replace as replace_struct

from trustplane.api import clusterapi, clustertrust
from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_PROOF, Inspection, RecordedProof
from trustplane.api.keys import Key, key_of
from trustplane.api.registry import Registry
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.clusterapi.readiness import is_condition_true
from trustplane.controllers.proof.proof_round import ROUND_SECONDS, DueWork, ProofRound, RoundOperations, RoundSignals
from trustplane.controllers.proof.pull_secrets import PullSecretSource, copied_pull_secrets
from trustplane.controllers.proof.pull_secrets import sweep_pull_secrets as sweep_copies
from trustplane.errors import TransientError
from trustplane.fleet.inspection import DesiredTrust, InspectionResult, SshKeys, inspect_node
from trustplane.fleet.reading import cluster_keys
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.fleet.workload import open_workload_and_report
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.informer import Change
from trustplane.kube.kinds import MACHINES, PODS
from trustplane.kube.tasks import settled
from trustplane.proof import probe, prover
from trustplane.proof.prover import ProbeTarget, Proof
from trustplane.proof.record import PendingWrites
from trustplane.proof.result import record_verdict
from trustplane.proof.schedule import (
    inspection_due_at,
    merge_results,
    probe_record_time,
    schedule_proofs,
    silent_registries,
    time_until_first,
)
from trustplane.text import clean
from trustplane.trust import recorded
from trustplane.trust.places import files

_WORKERS: Final = 32  # clusters at a time: those that do not answer only wait
_LIMIT: Final = 300.0  # seconds for a run; pull secrets are there for that long at most
_CONNECTIONS: Final = 10  # SSH connections to one cluster at a time
_LEFTOVER_SECONDS: Final = 60.0
_MESSAGE: Final = 600  # characters of what is kept of a look

_log = structlog.get_logger(__name__)


class ProofReconciler:
    """Has nodes prove their trust after each change, regularly, and on demand.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
        namespace: Trustplane's own, which has the pull secrets.
    """

    def __init__(self, client: Client, view: FleetView, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._recorder = recorder
        self._keys = SshKeys(client)
        # So that nothing is asked twice.
        self._proofs: PendingWrites[RecordedProof] = PendingWrites()
        self._inspections: PendingWrites[Inspection] = PendingWrites()
        self._swept: set[str] = set()  # Clusters, by uid, in which nothing of an earlier process is left
        self._news: dict[Key, RoundSignals] = {}  # by cluster that is being asked

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.trusts),
            view.watch_machines(),
            view.watch_registries(),
        ]
        view.machines.subscribe(self._notice)
        return Controller("proof", self.reconcile, watches, workers=_WORKERS)

    def _notice(self, change: Change[Machine]) -> None:
        """Have the round of a cluster take on what a change of a Machine makes due."""
        machine = change.new or change.old
        for key in cluster_keys(machine) if machine else ():
            if news := self._news.get(key):
                news.signal_change()

    async def reconcile(self, key: Key) -> Result:
        """Ask those nodes of a cluster that are due, and come back when the next ones are."""
        seen = await self._view.observe(key)
        if seen is None or not is_condition_true(seen.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            return Result()
        left = await self._ask(key, seen)
        again = await self._view.observe(key)
        if again is None:
            return Result()
        now = datetime.now(UTC)
        pause = time_until_first(self._due(again, now), now)
        seconds = [] if pause is None else [max(1.0, pause.total_seconds())]
        return Result(requeue_after=min([*seconds, *([_LEFTOVER_SECONDS] if left else [])], default=0.0))

    async def _ask(self, key: Key, seen: ClusterState) -> bool:
        """Ask all that are due; return whether pods of another run are there that are to be swept later."""
        due = self._due_now(seen)
        sweeps = seen.cluster.metadata.uid not in self._swept
        looked = asyncio.Event()

        async def look() -> None:
            try:
                await self._inspect(key, seen, due.inspections)
            finally:
                looked.set()

        async def prove() -> bool:
            if seen.is_automatic:  # the proof is of what a repair has written
                await looked.wait()
            if not due.proofs and not sweeps:
                return False
            return await self._prove(key, due)

        left, _ = await settled(prove(), look())  # a failure of one says nothing about the other
        return bool(left)

    def _due_now(self, seen: ClusterState) -> DueWork:
        now = datetime.now(UTC)
        nodes = self._nodes(seen, now)
        asked = [question for question in schedule_proofs(nodes, seen.demand, now) if question.due <= now]
        return DueWork(seen, asked, _first_due([(self._look_due_at(one, seen, now), one) for one in nodes], now))

    def _nodes(self, seen: ClusterState, now: datetime) -> list[NodeFacts]:
        return [self._latest(one, _machine_key(seen, one), now) for one in seen.nodes]

    def _latest(self, facts: NodeFacts, key: Key, now: datetime) -> NodeFacts:
        proof = self._proofs.latest(key, facts.proof, now)
        look = self._inspections.latest(key, facts.inspection, now)
        is_seen = proof is facts.proof and look is facts.inspection
        return facts if is_seen else replace(facts, proof=proof, inspection=look)

    def _due(self, seen: ClusterState, now: datetime) -> list[datetime | None]:
        """Return when something is to be done next: the first question, and each look."""
        demand, nodes = seen.demand, self._nodes(seen, now)
        asked = [one.due for one in schedule_proofs(nodes, demand, now)[:1]]
        return [*asked, *(self._look_due_at(one, seen, now) for one in nodes)]

    def _look_due_at(self, facts: NodeFacts, seen: ClusterState, now: datetime) -> datetime | None:
        return self._keys.inspection_time(key_of(seen.cluster), inspection_due_at(facts, seen.demand, now))

    async def _prove(self, key: Key, due: DueWork) -> bool:
        seen, uid = due.snapshot, due.snapshot.cluster.metadata.uid
        source = PullSecretSource(self._client, self._namespace, key.namespace)
        sweeps = uid not in self._swept
        self._swept.discard(uid)  # until it is seen that nothing is left, however the run ends
        async with open_workload_and_report(self._client, key) as opened:
            if sweeps:
                await _sweep(opened)
            if due.proofs:
                hosts = {one.host for one in due.proofs}
                asked = [one for one in seen.registries if one.spec.host in hosts]
                await prover.ensure_probe_namespace(opened)
                async with copied_pull_secrets(source, opened, asked) as pulls, asyncio.timeout(_LIMIT):
                    await self._run(key, opened, due, {one.spec.host: _target(one, pulls) for one in asked})
            left = await _sweep(opened)
        if not left:
            self._swept.add(uid)
        return left

    async def _run(self, key: Key, opened: Client, due: DueWork, targets: Mapping[str, ProbeTarget]) -> None:
        """Ask, and take on what comes due; what does not begin in the time of a round is left to the next."""
        places = asyncio.Semaphore(_CONNECTIONS)

        async def again() -> DueWork | None:
            seen = await self._view.observe(key)
            return self._due_now(seen) if seen else None

        async def look(seen: ClusterState, facts: NodeFacts) -> None:
            async with places:
                if secret := await self._keys.find(key):
                    await self._inspect_one(key, seen, facts, secret)

        mute = silent_registries(self._nodes(due.snapshot, datetime.now(UTC)), due.snapshot.demand)
        news = self._news[key] = RoundSignals()
        try:
            acts = RoundOperations(find_due=again, record=self._record_proof, inspect=look)
            await ProofRound(due, targets, mute, acts, news).run(opened)
        finally:
            del self._news[key]

    async def _record_proof(self, seen: ClusterState, facts: NodeFacts, said: Sequence[Proof]) -> NodeFacts:
        """Record answers beside those that are known; return what is known then."""
        demand = seen.demand
        results = [record_verdict(one.host, one.verdict, probe_record_time(one.began, facts, demand)) for one in said]
        proof = merge_results(facts, results, digest=facts.digest, hosts=seen.hosts)
        if await self._annotate(seen, facts, {TRUST_PROOF: proof}):
            self._proofs.note(_machine_key(seen, facts), proof, datetime.now(UTC))
        return replace(facts, proof=proof)

    async def _inspect(self, key: Key, seen: ClusterState, nodes: Sequence[NodeFacts]) -> None:
        secret = await self._keys.find(key) if nodes else ""
        if not secret:
            return
        places, clock = asyncio.Semaphore(_CONNECTIONS), asyncio.get_running_loop().time
        end = clock() + ROUND_SECONDS

        async def look(facts: NodeFacts) -> None:
            async with places:
                if clock() <= end:
                    await self._inspect_one(key, seen, facts, secret)

        await settled(*(look(one) for one in nodes))

    async def _inspect_one(self, key: Key, seen: ClusterState, facts: NodeFacts, secret: str) -> None:
        machine = seen.machines[facts.machine]
        found = await inspect_node(self._client, machine, secret, facts, self._wanted(key, seen))
        await self._record_inspection(seen, facts, found)

    def _wanted(self, key: Key, seen: ClusterState) -> DesiredTrust:
        async def confirm() -> None:
            again = await self._view.observe(key)
            if again is None or again.sets.digest != seen.sets.digest:
                raise TransientError("The trust that the node is to have has changed meanwhile")

        content = files(seen.sets.in_force) if seen.sets.in_force is not None else None
        return DesiredTrust(content, seen.hosts, confirm if seen.is_automatic else None)

    async def _record_inspection(self, seen: ClusterState, facts: NodeFacts, found: InspectionResult) -> None:
        now, look = datetime.now(UTC), found.inspection
        look.at = probe_record_time(look.at or now, facts, seen.demand)
        for name in ("message", "hidden", "refusal", "error"):  # paths and words of the node
            setattr(look, name, clean(getattr(look, name), _MESSAGE))
        values: dict[str, Any] = {clustertrust.TRUST_INSPECTION: look}
        if found.applied:
            values[TRUST_APPLIED] = replace_struct(found.applied, booted=facts.boot_digest)
        if not await self._annotate(seen, facts, values):
            return
        self._inspections.note(_machine_key(seen, facts), look, now)
        await self._tell(seen, facts, found)

    async def _tell(self, seen: ClusterState, facts: NodeFacts, found: InspectionResult) -> None:
        look, before = found.inspection, facts.inspection
        if found.applied:
            await self._recorder.event(seen.cluster, "TrustRepaired", f"{facts.node}: what differed was put right")
        differs = look.message or look.refusal
        if differs and (before is None or differs != (before.message or before.refusal)):
            await self._recorder.event(seen.cluster, "TrustDiffers", f"{facts.node}: {differs}", warning=True)
        if look.hidden and (before is None or look.hidden != before.hidden):
            await self._recorder.event(seen.cluster, "TrustHides", f"{facts.node}: {look.hidden}", warning=True)
        if look.error:
            _log.info("node could not be looked at", machine=facts.machine, error=look.error)

    async def _annotate(self, seen: ClusterState, facts: NodeFacts, values: dict[str, Any]) -> bool:
        annotations = {name: recorded.text(value) for name, value in values.items()}
        namespace = seen.cluster.metadata.namespace
        try:
            await self._client.patch(MACHINES, facts.machine, namespace, {"metadata": {"annotations": annotations}})
        except NotFoundError:
            return False
        return True


async def _sweep(opened: Client) -> bool:
    """Remove what runs that are over have left in a workload cluster; return whether anything of others is there."""
    now = datetime.now(UTC)
    await prover.sweep_probes(opened, now)
    pods = await opened.list(PODS, probe.PROBE_NAMESPACE, labels=probe.PROBE_SELECTOR)
    return await sweep_copies(opened, now) or bool(pods)


def _machine_key(seen: ClusterState, facts: NodeFacts) -> Key:
    """Return the key of a node's Machine, which may be gone by now."""
    return Key(seen.cluster.metadata.namespace, facts.machine)


def _first_due(times: Iterable[tuple[datetime | None, NodeFacts]], now: datetime) -> list[NodeFacts]:
    """Return the nodes that are to be looked at now, those first that have been due for longest."""
    due = [(time, one) for time, one in times if time is not None and time <= now]
    return [one for _, one in sorted(due, key=lambda each: each[0])]


def _target(registry: Registry, pulls: Mapping[str, str]) -> ProbeTarget:
    host = registry.spec.host
    return ProbeTarget(host, registry.spec.probe_image or None, pulls.get(host))
