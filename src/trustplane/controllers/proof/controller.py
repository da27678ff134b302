"""Controller of proofs: run due proofs and inspections of nodes, and record the results on their Machines.

It is separate from the reporting controllers, and has one reconcile per cluster: an unresponsive cluster delays neither
reports nor other clusters.
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
from trustplane.kube.reconciler import Reconciler
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
from trustplane.trust.node_files import render_files

_LIMIT: Final = 300.0  # seconds per run, and thus for copies of pull secrets
_CONNECTIONS: Final = 10  # concurrent SSH connections to one cluster
_LEFTOVER_SECONDS: Final = 60.0
_MESSAGE: Final = 600  # maximum characters per recorded text of an inspection

_log = structlog.get_logger(__name__)


class ProofReconciler(Reconciler):
    """Prove the nodes' trust after each change, regularly, and on demand.

    Args:
        client: To the management cluster.
        view: The view of clusters.
        recorder: Recorder of Events.
        namespace: Trustplane's own namespace, with the pull secrets.
    """

    name = "proof"
    workers = 32  # unresponsive clusters only wait

    def __init__(self, client: Client, view: FleetView, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._recorder = recorder
        self._keys = SshKeys(client)
        # Prevents repeated probes and inspections while the informers lag.
        self._proofs: PendingWrites[RecordedProof] = PendingWrites()
        self._inspections: PendingWrites[Inspection] = PendingWrites()
        self._swept: set[str] = set()  # UIDs of Clusters without remains of previous processes
        self._signals: dict[Key, RoundSignals] = {}  # by cluster with a round in progress

    def controller(self) -> Controller:
        """Return the controller, whose rounds are also signalled changes of Machines."""
        self._view.machines.subscribe(self._notice)
        return super().controller()

    def _watches(self) -> list[Watch[Any]]:
        view = self._view
        return [Watch(view.clusters), Watch(view.trusts), view.watch_machines(), view.watch_registries()]

    def _notice(self, change: Change[Machine]) -> None:
        """Signal a change of a Machine to the round of its cluster."""
        machine = change.new or change.old
        for key in cluster_keys(machine) if machine else ():
            if signals := self._signals.get(key):
                signals.signal_change()

    async def reconcile(self, key: Key) -> Result:
        """Run a cluster's due proofs and inspections, and return when the next ones are due."""
        snapshot = await self._view.observe(key)
        if snapshot is None or not is_condition_true(snapshot.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            return Result()
        has_remains = await self._run_due(key, snapshot)
        latest = await self._view.observe(key)
        if latest is None:
            return Result()
        now = datetime.now(UTC)
        pause = time_until_first(self._due(latest, now), now)
        seconds = [] if pause is None else [max(1.0, pause.total_seconds())]
        return Result(requeue_after=min([*seconds, *([_LEFTOVER_SECONDS] if has_remains else [])], default=0.0))

    async def _run_due(self, key: Key, snapshot: ClusterState) -> bool:
        """Run all due work; return whether pods of other runs remain, to be swept later."""
        due = self._due_now(snapshot)
        sweeps = snapshot.cluster.metadata.uid not in self._swept
        inspected = asyncio.Event()

        async def inspect_nodes() -> None:
            try:
                await self._inspect(key, snapshot, due.inspections)
            finally:
                inspected.set()

        async def prove() -> bool:
            if snapshot.is_automatic:  # a proof must cover the result of a repair
                await inspected.wait()
            if not due.proofs and not sweeps:
                return False
            return await self._prove(key, due)

        has_remains, _ = await settled(prove(), inspect_nodes())  # a failure of one must not end the other
        return bool(has_remains)

    def _due_now(self, snapshot: ClusterState) -> DueWork:
        now = datetime.now(UTC)
        nodes = self._nodes(snapshot, now)
        due = [question for question in schedule_proofs(nodes, snapshot.demand, now) if question.due <= now]
        inspections = [(self._inspection_due_at(facts, snapshot, now), facts) for facts in nodes]
        return DueWork(snapshot, due, _first_due(inspections, now))

    def _nodes(self, snapshot: ClusterState, now: datetime) -> list[NodeFacts]:
        return [self._latest(facts, _machine_key(snapshot, facts), now) for facts in snapshot.nodes]

    def _latest(self, facts: NodeFacts, key: Key, now: datetime) -> NodeFacts:
        proof = self._proofs.latest(key, facts.proof, now)
        inspection = self._inspections.latest(key, facts.inspection, now)
        is_latest = proof is facts.proof and inspection is facts.inspection
        return facts if is_latest else replace(facts, proof=proof, inspection=inspection)

    def _due(self, snapshot: ClusterState, now: datetime) -> list[datetime | None]:
        """Return when the first proof and each inspection are due."""
        demand, nodes = snapshot.demand, self._nodes(snapshot, now)
        first = [question.due for question in schedule_proofs(nodes, demand, now)[:1]]
        return [*first, *(self._inspection_due_at(facts, snapshot, now) for facts in nodes)]

    def _inspection_due_at(self, facts: NodeFacts, snapshot: ClusterState, now: datetime) -> datetime | None:
        return self._keys.inspection_time(key_of(snapshot.cluster), inspection_due_at(facts, snapshot.demand, now))

    async def _prove(self, key: Key, due: DueWork) -> bool:
        snapshot, uid = due.snapshot, due.snapshot.cluster.metadata.uid
        source = PullSecretSource(self._client, self._namespace, key.namespace)
        sweeps = uid not in self._swept
        self._swept.discard(uid)  # until a sweep shows that nothing remains, even if the run fails
        async with open_workload_and_report(self._client, key) as opened:
            if sweeps:
                await _sweep(opened)
            if due.proofs:
                hosts = {question.host for question in due.proofs}
                registries = [registry for registry in snapshot.registries if registry.spec.host in hosts]
                await prover.ensure_probe_namespace(opened)
                async with copied_pull_secrets(source, opened, registries) as secrets, asyncio.timeout(_LIMIT):
                    targets = {registry.spec.host: _target(registry, secrets) for registry in registries}
                    await self._run_round(key, opened, due, targets)
            has_remains = await _sweep(opened)
        if not has_remains:
            self._swept.add(uid)
        return has_remains

    async def _run_round(self, key: Key, opened: Client, due: DueWork, targets: Mapping[str, ProbeTarget]) -> None:
        """Run one round; work that does not begin in time is left to the next round."""
        slots = asyncio.Semaphore(_CONNECTIONS)

        async def due_now() -> DueWork | None:
            latest = await self._view.observe(key)
            return self._due_now(latest) if latest else None

        async def inspect_node(snapshot: ClusterState, facts: NodeFacts) -> None:
            async with slots:
                if secret := await self._keys.find(key):
                    await self._inspect_one(key, snapshot, facts, secret)

        silent_hosts = silent_registries(self._nodes(due.snapshot, datetime.now(UTC)), due.snapshot.demand)
        signals = self._signals[key] = RoundSignals()
        try:
            acts = RoundOperations(find_due=due_now, record=self._record_proof, inspect=inspect_node)
            await ProofRound(due, targets, silent_hosts, acts, signals).run(opened)
        finally:
            del self._signals[key]

    async def _record_proof(self, snapshot: ClusterState, facts: NodeFacts, proofs: Sequence[Proof]) -> NodeFacts:
        """Merge results into a node's record; return the updated facts."""
        demand = snapshot.demand
        results = [
            record_verdict(proof.host, proof.verdict, probe_record_time(proof.began, facts, demand)) for proof in proofs
        ]
        record = merge_results(facts, results, digest=facts.digest, hosts=snapshot.hosts)
        if await self._annotate(snapshot, facts, {TRUST_PROOF: record}):
            self._proofs.note(_machine_key(snapshot, facts), record, datetime.now(UTC))
        return replace(facts, proof=record)

    async def _inspect(self, key: Key, snapshot: ClusterState, nodes: Sequence[NodeFacts]) -> None:
        secret = await self._keys.find(key) if nodes else ""
        if not secret:
            return
        slots, clock = asyncio.Semaphore(_CONNECTIONS), asyncio.get_running_loop().time
        end = clock() + ROUND_SECONDS

        async def inspect_in_time(facts: NodeFacts) -> None:
            async with slots:
                if clock() <= end:
                    await self._inspect_one(key, snapshot, facts, secret)

        await settled(*(inspect_in_time(facts) for facts in nodes))

    async def _inspect_one(self, key: Key, snapshot: ClusterState, facts: NodeFacts, secret: str) -> None:
        machine = snapshot.machines[facts.machine]
        result = await inspect_node(self._client, machine, secret, facts, self._desired(key, snapshot))
        await self._record_inspection(snapshot, facts, result)

    def _desired(self, key: Key, snapshot: ClusterState) -> DesiredTrust:
        async def confirm() -> None:
            latest = await self._view.observe(key)
            if latest is None or latest.sets.digest != snapshot.sets.digest:
                raise TransientError("The trust set of the node changed during the repair")

        content = render_files(snapshot.sets.in_force) if snapshot.sets.in_force is not None else None
        return DesiredTrust(content, snapshot.hosts, confirm if snapshot.is_automatic else None)

    async def _record_inspection(self, snapshot: ClusterState, facts: NodeFacts, result: InspectionResult) -> None:
        now, inspection = datetime.now(UTC), result.inspection
        inspection.at = probe_record_time(inspection.at or now, facts, snapshot.demand)
        for name in ("message", "hidden", "refusal", "error"):  # contain untrusted text of the node
            setattr(inspection, name, clean(getattr(inspection, name), _MESSAGE))
        values: dict[str, Any] = {clustertrust.TRUST_INSPECTION: inspection}
        if result.applied:
            values[TRUST_APPLIED] = replace_struct(result.applied, booted=facts.boot_digest)
        if not await self._annotate(snapshot, facts, values):
            return
        self._inspections.note(_machine_key(snapshot, facts), inspection, now)
        await self._report(snapshot, facts, result)

    async def _report(self, snapshot: ClusterState, facts: NodeFacts, result: InspectionResult) -> None:
        inspection, before = result.inspection, facts.inspection
        if result.applied:
            await self._recorder.event(snapshot.cluster, "TrustRepaired", f"{facts.node}: Trustplane repaired drift")
        drift = inspection.message or inspection.refusal
        if drift and (before is None or drift != (before.message or before.refusal)):
            await self._recorder.event(snapshot.cluster, "TrustDiffers", f"{facts.node}: {drift}", warning=True)
        hidden = inspection.hidden
        if hidden and (before is None or hidden != before.hidden):
            await self._recorder.event(snapshot.cluster, "TrustHides", f"{facts.node}: {hidden}", warning=True)
        if inspection.error:
            _log.info("cannot inspect node", machine=facts.machine, error=inspection.error)

    async def _annotate(self, snapshot: ClusterState, facts: NodeFacts, values: dict[str, Any]) -> bool:
        annotations = {name: recorded.encode_record(value) for name, value in values.items()}
        namespace = snapshot.cluster.metadata.namespace
        try:
            await self._client.patch(MACHINES, facts.machine, namespace, {"metadata": {"annotations": annotations}})
        except NotFoundError:
            return False
        return True


async def _sweep(opened: Client) -> bool:
    """Delete remains of past runs in a workload cluster; return whether pods or copies of other runs exist."""
    now = datetime.now(UTC)
    await prover.sweep_probes(opened, now)
    pods = await opened.list(PODS, probe.PROBE_NAMESPACE, labels=probe.PROBE_SELECTOR)
    return await sweep_copies(opened, now) or bool(pods)


def _machine_key(snapshot: ClusterState, facts: NodeFacts) -> Key:
    """Return the key of a node's Machine; the Machine may be deleted by now."""
    return Key(snapshot.cluster.metadata.namespace, facts.machine)


def _first_due(times: Iterable[tuple[datetime | None, NodeFacts]], now: datetime) -> list[NodeFacts]:
    """Return the nodes with a due inspection, longest due first."""
    due = [(time, facts) for time, facts in times if time is not None and time <= now]
    return [facts for _, facts in sorted(due, key=lambda timed: timed[0])]


def _target(registry: Registry, secrets: Mapping[str, str]) -> ProbeTarget:
    host = registry.spec.host
    return ProbeTarget(host, registry.spec.probe_image or None, secrets.get(host))
