"""One round of proofs in one cluster, which takes on what comes due while it goes on.

Nodes of a rollout are written moments apart, and the proof of each takes seconds: a node that had to wait for the round
of the one before it would double the time of the whole.
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

ROUND_SECONDS: Final = 60.0  # seconds in which probes begin: what comes due after that is in the next round
_REST: Final = 0.05  # seconds between two looks at what has come due,
_SHARE: Final = 9  # and so many times as long as a look takes: many nodes must not keep the process busy


@dataclass(frozen=True)
class DueWork:
    """What is due in a cluster at one moment.

    Attributes:
        seen: The cluster.
        questions: Registries that nodes are to prove now, those first that were due first.
        looks: Nodes that are to be looked at now.
    """

    snapshot: ClusterState
    proofs: Sequence[DueProof]
    inspections: Sequence[NodeFacts]


@dataclass(frozen=True)
class RoundOperations:
    """What a round does, by the one who begins it.

    Attributes:
        due: Tell what is due now; None: the cluster is gone.
        record: Record answers of a node beside those that are known; return what is known then.
        look: Look at a node, and record what is there.
    """

    find_due: Callable[[], Awaitable[DueWork | None]]
    record: Callable[[ClusterState, NodeFacts, Sequence[Proof]], Awaitable[NodeFacts]]
    inspect: Callable[[ClusterState, NodeFacts], Awaitable[None]]


class RoundSignals:
    """Wakes a round: for what may have come due, or only since something that it awaited is done."""

    def __init__(self) -> None:
        self._is_change = True
        self._event = asyncio.Event()

    def signal_change(self) -> None:
        """Report a change that may make something due."""
        self._is_change = True
        self._event.set()

    def signal_progress(self) -> None:
        """Report that something is done."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next report."""
        await self._event.wait()
        self._event.clear()

    def take_change(self) -> bool:
        """Return whether a change was reported since the last call."""
        is_change, self._is_change = self._is_change, False
        return is_change


class ProofRound:
    """Asks what is due, until nothing is, nor is awaited.

    Args:
        begin: What is due at the beginning; its looks are somebody else's.
        targets: How each registry is asked, by host. Others are left to the next round.
        silent: Registries that have answered nobody lately.
        acts: What is done.
        news: Of the cluster.
    """

    def __init__(
        self,
        begin: DueWork,
        targets: Mapping[str, ProbeTarget],
        silent: frozenset[str],
        acts: RoundOperations,
        news: RoundSignals,
    ) -> None:
        self._seen = begin.snapshot
        self._targets = targets
        self._silent = silent
        self._acts = acts
        self._news = news
        self._nodes: dict[str, NodeFacts] = {}  # those that were asked, by Node, as they were then
        self._asked: set[tuple[str, str, datetime]] = set()  # Machine, registry, and the change that is proven
        self._postponed: set[str] = set()  # Nodes that must be asked again when their answers so far are recorded
        self._looked = {_change_of(facts) for facts in begin.inspections}
        self._looking: set[str] = set()  # Machines
        self._agenda: JobQueue[ProbeJob] = JobQueue()
        self._outbox = ProofOutbox(self._record, ())
        self._is_over = False
        self._failure: TrustplaneError | None = None
        self._ask(begin.proofs)

    async def run(self, client: Client) -> None:
        """Ask, and record what is said as it comes.

        Args:
            client: Of the workload cluster.

        Raises:
            TrustplaneError: Something could not be asked, looked at or recorded.
        """
        await together(self._listen(client), self._outbox.run(), self._take_on())
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

    async def _record(self, node: str, said: Sequence[Proof]) -> None:
        try:
            self._nodes[node] = await self._acts.record(self._seen, self._nodes[node], said)
        finally:
            if node in self._postponed:
                self._postponed.discard(node)
                self._news.signal_change()
            self._news.signal_progress()

    async def _take_on(self) -> None:
        """Take on what comes due, until nothing is left; then let the round end."""
        clock = asyncio.get_running_loop().time
        end = clock() + ROUND_SECONDS
        async with asyncio.TaskGroup() as looks:
            while not self._is_over and clock() < end:
                if self._news.take_change():
                    await self._take(looks)
                if self._outbox.is_idle and not self._looking:
                    break
                await self._news.wait()
        self._agenda.close()

    async def _take(self, looks: asyncio.TaskGroup) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        due = await self._acts.find_due()
        if due is not None:
            self._seen = due.snapshot
            self._look(due, looks)  # first: where what differs is repaired, the proof waits for it
            self._ask(due.proofs)
        await asyncio.sleep(_REST + _SHARE * (clock() - began))

    def _ask(self, questions: Sequence[DueProof]) -> None:
        for question in questions:
            facts, host = question.facts, question.host
            asked = (facts.machine, host, facts.changed_at)
            if asked in self._asked or host not in self._targets or self._must_wait(facts):
                continue
            self._asked.add(asked)
            self._nodes[facts.node] = facts
            self._outbox.expect(facts.node)
            self._agenda.add((facts.node, self._targets[host]))

    def _must_wait(self, facts: NodeFacts) -> bool:
        """Return whether an answer of a node could not be told from one about what it had, or has not yet.

        Answers from before a change are recorded first. Where what differs is repaired, the repair comes first.
        """
        if self._seen.is_automatic and facts.machine in self._looking:
            return True
        before = self._nodes.get(facts.node)
        if before is None or before.changed_at == facts.changed_at or not self._outbox.is_waiting_for(facts.node):
            return False
        self._postponed.add(facts.node)
        return True

    def _look(self, due: DueWork, looks: asyncio.TaskGroup) -> None:
        for facts in due.inspections:
            change = _change_of(facts)
            if change not in self._looked:
                self._looked.add(change)
                self._looking.add(facts.machine)
                looks.create_task(self._look_at(due.snapshot, facts))

    async def _look_at(self, seen: ClusterState, facts: NodeFacts) -> None:
        try:
            await self._acts.inspect(seen, facts)
        except TrustplaneError as error:  # which says nothing about proofs
            self._failure = self._failure or error
        finally:
            self._looking.discard(facts.machine)
            self._news.signal_change()  # the proof may have waited for it


def _change_of(facts: NodeFacts) -> tuple[str, datetime]:
    return facts.machine, facts.changed_at
