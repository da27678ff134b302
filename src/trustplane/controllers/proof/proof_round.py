"""One round of proofs in one cluster, including probes and inspections that become due during the round.

A rollout writes nodes moments apart, and each proof takes seconds: if a node had to wait for the previous node's round,
the rollout would take twice as long.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trustplane.clusterapi.node_state import NodeFacts
from trustplane.errors import TrustplaneError
from trustplane.fleet.view import ClusterState
from trustplane.kube.client import Client
from trustplane.kube.tasks import together
from trustplane.proof import prover
from trustplane.proof.agenda import JobQueue
from trustplane.proof.prover import ProbeJob, ProbeTarget, Proof
from trustplane.proof.record import ProofOutbox
from trustplane.proof.schedule import DueProof

ROUND_SECONDS: Final = 60.0  # seconds in which probes begin; later ones belong to the next round
_REST: Final = 0.05  # seconds between two checks of due work,
_SHARE: Final = 9  # plus this multiple of a check's duration, which limits CPU use with many nodes


@dataclass(frozen=True)
class DueWork:
    """The due work of a cluster at one time.

    Attributes:
        seen: The cluster.
        questions: Due proofs, earliest first.
        looks: Nodes with a due inspection.
    """

    snapshot: ClusterState
    proofs: Sequence[DueProof]
    inspections: Sequence[NodeFacts]


@dataclass(frozen=True)
class RoundOperations:
    """The operations of a round, provided by the controller.

    Attributes:
        due: Return the work due now; None if the cluster is gone.
        record: Merge results into a node's record; return the updated facts.
        look: Inspect a node, and record the result.
    """

    find_due: Callable[[], Awaitable[DueWork | None]]
    record: Callable[[ClusterState, NodeFacts, Sequence[Proof]], Awaitable[NodeFacts]]
    inspect: Callable[[ClusterState, NodeFacts], Awaitable[None]]


class RoundSignals:
    """Signals to a round: changes that may make work due, and progress of awaited work."""

    def __init__(self) -> None:
        self._is_change = True
        self._event = asyncio.Event()

    def signal_change(self) -> None:
        """Signal a change that may make work due."""
        self._is_change = True
        self._event.set()

    def signal_progress(self) -> None:
        """Signal that awaited work is done."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next signal."""
        await self._event.wait()
        self._event.clear()

    def take_change(self) -> bool:
        """Return whether a change was signalled since the last call."""
        is_change, self._is_change = self._is_change, False
        return is_change


class ProofRound:
    """Run due probes and inspections until nothing is due or in progress.

    Args:
        begin: The work due at the start; the caller runs its inspections.
        targets: The probe target per registry host. Other registries are left to the next round.
        silent: Hosts of silent registries.
        acts: The operations.
        news: The cluster's signals.
    """

    def __init__(
        self,
        begin: DueWork,
        targets: Mapping[str, ProbeTarget],
        silent: frozenset[str],
        acts: RoundOperations,
        news: RoundSignals,
    ) -> None:
        self._snapshot = begin.snapshot
        self._targets = targets
        self._silent = silent
        self._acts = acts
        self._news = news
        self._nodes: dict[str, NodeFacts] = {}  # facts at the time of the probe, by name of the Node
        self._probed: set[tuple[str, str, datetime]] = set()  # Machine, registry, and the time of the change to prove
        self._postponed: set[str] = set()  # Nodes to probe again once their pending results are recorded
        self._inspected = {_change_of(facts) for facts in begin.inspections}
        self._inspecting: set[str] = set()  # Machines with an inspection in progress
        self._agenda: JobQueue[ProbeJob] = JobQueue()
        self._outbox = ProofOutbox(self._record, ())
        self._is_over = False
        self._failure: TrustplaneError | None = None
        self._add_probes(begin.proofs)

    async def run(self, client: Client) -> None:
        """Run the probes, and record their results as they arrive.

        Args:
            client: To the workload cluster.

        Raises:
            TrustplaneError: A probe, inspection or record failed.
        """
        await together(self._listen(client), self._outbox.run(), self._follow())
        if self._failure:
            raise self._failure

    async def _listen(self, client: Client) -> None:
        try:
            async with aclosing(
                prover.run_probes(client, self._agenda, silent=self._silent, window=ROUND_SECONDS)
            ) as run:
                async for proof in run:
                    self._outbox.put(proof)
        finally:
            self._is_over = True
            self._outbox.close()
            self._news.signal_progress()

    async def _record(self, node: str, proofs: Sequence[Proof]) -> None:
        try:
            self._nodes[node] = await self._acts.record(self._snapshot, self._nodes[node], proofs)
        finally:
            if node in self._postponed:
                self._postponed.discard(node)
                self._news.signal_change()
            self._news.signal_progress()

    async def _follow(self) -> None:
        """Add work that becomes due, until none is left; then let the round end."""
        clock = asyncio.get_running_loop().time
        end = clock() + ROUND_SECONDS
        async with asyncio.TaskGroup() as inspections:
            while not self._is_over and clock() < end:
                if self._news.take_change():
                    await self._add_due(inspections)
                if self._outbox.is_idle and not self._inspecting:
                    break
                await self._news.wait()
        self._agenda.close()

    async def _add_due(self, inspections: asyncio.TaskGroup) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        due = await self._acts.find_due()
        if due is not None:
            self._snapshot = due.snapshot
            self._inspect(due, inspections)  # first, because a proof waits for the repair of drift
            self._add_probes(due.proofs)
        await asyncio.sleep(_REST + _SHARE * (clock() - began))

    def _add_probes(self, questions: Sequence[DueProof]) -> None:
        for question in questions:
            facts, host = question.facts, question.host
            probe = (facts.machine, host, facts.changed_at)
            if probe in self._probed or host not in self._targets or self._must_wait(facts):
                continue
            self._probed.add(probe)
            self._nodes[facts.node] = facts
            self._outbox.expect(facts.node)
            self._agenda.add((facts.node, self._targets[host]))

    def _must_wait(self, facts: NodeFacts) -> bool:
        """Return whether a node's result might belong to another state than its current one.

        Results from before a change are recorded first. If drift is repaired, the repair comes first.
        """
        if self._snapshot.is_automatic and facts.machine in self._inspecting:
            return True
        before = self._nodes.get(facts.node)
        if before is None or before.changed_at == facts.changed_at or not self._outbox.is_waiting_for(facts.node):
            return False
        self._postponed.add(facts.node)
        return True

    def _inspect(self, due: DueWork, inspections: asyncio.TaskGroup) -> None:
        for facts in due.inspections:
            change = _change_of(facts)
            if change not in self._inspected:
                self._inspected.add(change)
                self._inspecting.add(facts.machine)
                inspections.create_task(self._inspect_node(due.snapshot, facts))

    async def _inspect_node(self, snapshot: ClusterState, facts: NodeFacts) -> None:
        try:
            await self._acts.inspect(snapshot, facts)
        except TrustplaneError as error:  # does not affect proofs
            self._failure = self._failure or error
        finally:
            self._inspecting.discard(facts.machine)
            self._news.signal_change()  # a proof may wait for the inspection


def _change_of(facts: NodeFacts) -> tuple[str, datetime]:
    return facts.machine, facts.changed_at
