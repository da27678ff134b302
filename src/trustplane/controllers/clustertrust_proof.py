"""Proofs: the nodes whose trust is to be proven, or looked at, now; what comes of it is recorded on their Machines.

Another controller than the one that reports, so that a cluster that does not answer delays no report; and one reconcile
for each cluster, so that it delays no other cluster.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec
import structlog

from trustplane.api import clusterapi, clustertrust
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_PROOF, Inspection, ProofResult, RecordedProof
from trustplane.api.registry import Registry
from trustplane.clusterapi.readiness import holds
from trustplane.controllers.clustertrust_inspection import Inspected, inspect, private_key
from trustplane.controllers.clustertrust_pull import copied
from trustplane.controllers.clustertrust_view import Seen, View
from trustplane.controllers.clustertrust_workload import workload
from trustplane.controllers.reading import cluster_key
from trustplane.controllers.resources import MACHINES
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import PODS
from trustplane.kube.resource import Key, key_of
from trustplane.proof import probe, prover
from trustplane.proof.prover import Proof, Target
from trustplane.proof.verdict import NotTrusted, Trusted, Unreachable, Verdict
from trustplane.trust.schedule import inspection_due_at, merged, proof_due_at, wait
from trustplane.trust.standing import NodeFacts

_WORKERS: Final = 32  # clusters at a time: those that do not answer only wait
_LIMIT: Final = 600.0  # seconds for all proofs of one cluster
_CONNECTIONS: Final = 10  # SSH connections to one cluster at a time
_LEFTOVER_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)


class ProofReconciler:
    """Has nodes prove their trust after each change, regularly, and on demand.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
    """

    def __init__(self, client: Client, view: View, recorder: Recorder) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder
        # What was recorded and has not come back through the watch yet, by Machine: so that nothing is asked twice.
        self._proofs: dict[Key, RecordedProof] = {}
        self._inspections: dict[Key, Inspection] = {}
        self._swept: set[str] = set()  # Clusters, by uid, in which nothing of an earlier process is left

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.clusters),
            Watch(view.trusts),
            Watch(view.machines, cluster_key),
            Watch(view.configs, cluster_key),
            view.selecting(),
        ]
        return Controller("proof", self.reconcile, watches, workers=_WORKERS)

    async def reconcile(self, key: Key) -> Result:
        """Ask those nodes of a cluster that are due, and come back when the next ones are."""
        seen = await self._view.see(key)
        if seen is None or not holds(seen.cluster, clusterapi.CONTROL_PLANE_INITIALIZED):
            return Result()
        left = await self._ask(key, seen)
        again = await self._view.see(key)
        if again is None:
            return Result()
        now = datetime.now(UTC)
        times = [t for one in self._nodes(again) for t in self._due(one, again, now)]
        pause = wait(times, now)
        seconds = [] if pause is None else [max(1.0, pause.total_seconds())]
        return Result(requeue_after=min([*seconds, *([_LEFTOVER_SECONDS] if left else [])], default=0.0))

    async def _ask(self, key: Key, seen: Seen) -> bool:
        """Ask all that are due; return whether pods of another run are there that are to be swept later."""
        now, nodes = datetime.now(UTC), self._nodes(seen)
        proofs = [one for one in nodes if _is_due(proof_due_at(one, seen.demand, now), now)]
        looks = [one for one in nodes if seen.tkc and _is_due(inspection_due_at(one, seen.demand, now), now)]
        sweeps = bool(nodes) and seen.cluster.metadata.uid not in self._swept
        looking = asyncio.create_task(self._inspect(key, seen, looks))

        async def prove() -> bool:
            if seen.is_automatic:  # the proof is of what a repair has written
                await asyncio.wait([looking])
            return await self._prove(key, seen, proofs) if proofs or sweeps else False

        results = await asyncio.gather(prove(), looking, return_exceptions=True)
        for one in results:
            if isinstance(one, BaseException):
                raise one
        return bool(results[0])

    def _nodes(self, seen: Seen) -> list[NodeFacts]:
        return [self._latest(one, key_of(seen.machines[one.machine])) for one in seen.nodes]

    def _latest(self, facts: NodeFacts, key: Key) -> NodeFacts:
        proof, look = self._proofs.get(key), self._inspections.get(key)
        if proof and _is_newer(proof, facts.proof):
            facts = replace(facts, proof=proof)
        else:
            self._proofs.pop(key, None)
        if look and _is_newer(look, facts.inspection):
            facts = replace(facts, inspection=look)
        else:
            self._inspections.pop(key, None)
        return facts

    def _due(self, facts: NodeFacts, seen: Seen, now: datetime) -> list[datetime | None]:
        looks = [inspection_due_at(facts, seen.demand, now)] if seen.tkc else []
        return [proof_due_at(facts, seen.demand, now), *looks]

    async def _prove(self, key: Key, seen: Seen, nodes: Sequence[NodeFacts]) -> bool:
        async with workload(self._client, key) as opened:
            await prover.sweep(opened, datetime.now(UTC))
            if nodes:
                async with copied(self._client, opened, seen.registries) as pulls, asyncio.timeout(_LIMIT):
                    await self._run(opened, seen, nodes, [_target(one, pulls) for one in seen.registries])
            left = await opened.list(PODS, probe.NAMESPACE, labels=probe.SELECTOR)
        if not left:
            self._swept.add(seen.cluster.metadata.uid)
        return bool(left)

    async def _run(self, opened: Client, seen: Seen, nodes: Sequence[NodeFacts], targets: Sequence[Target]) -> None:
        by_node = {one.node: one for one in nodes}
        said: dict[str, list[Proof]] = {}
        run = cast("AsyncGenerator[Proof, None]", prover.prove(opened, by_node, targets))
        async with aclosing(run) as proofs:
            async for one in proofs:
                of_node = said.setdefault(one.node, [])
                of_node.append(one)
                if len(of_node) == len(targets):
                    await self._record_proof(seen, by_node[one.node], of_node)

    async def _record_proof(self, seen: Seen, facts: NodeFacts, said: Sequence[Proof]) -> None:
        at = min(one.began for one in said)
        results = [result(one.host, one.verdict) for one in said]
        proof = merged(facts, results, digest=facts.digest, at=at, hosts=seen.hosts)
        if await self._annotate(seen, facts, {TRUST_PROOF: proof}):
            self._proofs[key_of(seen.machines[facts.machine])] = proof

    async def _inspect(self, key: Key, seen: Seen, nodes: Sequence[NodeFacts]) -> None:
        secret = await private_key(self._client, key) if nodes else ""
        if not secret:
            return
        places = asyncio.Semaphore(_CONNECTIONS)

        async def look(facts: NodeFacts) -> None:
            async with places:
                machine = seen.machines[facts.machine]
                found = await inspect(self._client, machine, secret, facts.digest, repair=seen.is_automatic)
                await self._record_inspection(seen, facts, found)

        await asyncio.gather(*(look(one) for one in nodes))

    async def _record_inspection(self, seen: Seen, facts: NodeFacts, found: Inspected) -> None:
        values: dict[str, Any] = {clustertrust.TRUST_INSPECTION: found.inspection}
        if found.applied:
            values[TRUST_APPLIED] = found.applied
        if not await self._annotate(seen, facts, values):
            return
        self._inspections[key_of(seen.machines[facts.machine])] = found.inspection
        await self._tell(seen, facts, found)

    async def _tell(self, seen: Seen, facts: NodeFacts, found: Inspected) -> None:
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

    async def _annotate(self, seen: Seen, facts: NodeFacts, values: dict[str, Any]) -> bool:
        annotations = {name: msgspec.json.encode(value).decode() for name, value in values.items()}
        namespace = seen.cluster.metadata.namespace
        try:
            await self._client.patch(MACHINES, facts.machine, namespace, {"metadata": {"annotations": annotations}})
        except NotFoundError:
            return False
        return True


def _is_due(time: datetime | None, now: datetime) -> bool:
    return time is not None and time <= now


def _is_newer(one: RecordedProof | Inspection, other: RecordedProof | Inspection | None) -> bool:
    return other is None or other.at is None or (one.at is not None and one.at > other.at)


def _target(registry: Registry, pulls: Mapping[str, str]) -> Target:
    host = registry.spec.host
    return Target(host, registry.spec.probe_image or None, pulls.get(host))


def result(host: str, verdict: Verdict) -> ProofResult:
    """Return a verdict as it is recorded."""
    if isinstance(verdict, Trusted):
        return ProofResult(registry=host, verdict=clustertrust.TRUSTED, pulled=verdict.pulled)
    message = verdict.detail[: clustertrust.MAX_MESSAGE]
    if isinstance(verdict, NotTrusted):
        return ProofResult(registry=host, verdict=clustertrust.NOT_TRUSTED, reason=str(verdict.reason), message=message)
    name = clustertrust.UNREACHABLE if isinstance(verdict, Unreachable) else clustertrust.UNCLEAR
    return ProofResult(registry=host, verdict=name, message=message)
