"""A round of proofs includes work that becomes due during it, and never confuses results of different sets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from trustplane.clusterapi.node_state import NodeFacts
from trustplane.controllers.proof import proof_round
from trustplane.controllers.proof.proof_round import DueWork, ProofRound, RoundOperations, RoundSignals
from trustplane.kube.errors import UnavailableError
from trustplane.proof.agenda import JobQueue
from trustplane.proof.prover import ProbeJob, ProbeTarget, Proof
from trustplane.proof.schedule import DueProof
from trustplane.proof.verdict import Trusted

BASE = datetime(2026, 1, 2, tzinfo=UTC)
HOST = "registry.test"
TARGETS = {HOST: ProbeTarget(HOST)}


def node(name: str, written: int = 0) -> NodeFacts:
    changed = BASE + timedelta(seconds=written)
    return NodeFacts(machine=name, created=BASE, node=name, digest=f"set-{written}", changed=changed)


class Stage:
    """A cluster whose kubelets answer on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *nodes: NodeFacts, is_automatic: bool = False) -> None:
        monkeypatch.setattr(proof_round.prover, "run_probes", self._ask)
        self.seen: Any = SimpleNamespace(is_automatic=is_automatic)
        self.nodes = {facts.node: facts for facts in nodes}
        self.looks: dict[str, asyncio.Event] = {}  # inspections in progress, by node
        self.look_error: Exception | None = None
        self.asked: list[str] = []
        self.recorded: list[tuple[str, str]] = []  # node, and the set that its result belongs to
        self.changed = asyncio.Event()
        self.news = RoundSignals()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._unlooked: set[str] = set()

    def write(self, facts: NodeFacts, *, must_look: bool = False) -> None:
        """Change a node like a rollout, and signal the change."""
        self.nodes[facts.node] = facts
        if must_look:
            self._unlooked.add(facts.node)
        self.news.signal_change()

    def answer(self, name: str) -> None:
        self._answers.put_nowait(name)

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(30):
            while not what():
                self.changed.clear()
                await self.changed.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run a round, which must end on its own at the end of the block."""
        acts = RoundOperations(find_due=self._due, record=self._record, inspect=self._look)
        proof_round = ProofRound(self._now_due(), TARGETS, frozenset(), acts, self.news)
        client: Any = None
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(proof_round.run(client))
            yield

    def _now_due(self) -> DueWork:
        unproven = [facts for facts in self.nodes.values() if (facts.node, facts.digest) not in self.recorded]
        questions = [DueProof(facts, host, BASE) for facts in unproven for host in (HOST, "other.test")]
        return DueWork(self.seen, questions, [self.nodes[name] for name in sorted(self._unlooked)])

    async def _due(self) -> DueWork:
        return self._now_due()

    async def _record(self, _seen: Any, facts: NodeFacts, proofs: Sequence[Proof]) -> NodeFacts:
        assert [proof.host for proof in proofs] == [HOST]
        self.recorded.append((facts.node, facts.digest))
        self.changed.set()
        return facts

    async def _look(self, _seen: Any, facts: NodeFacts) -> None:
        done = self.looks[facts.node] = asyncio.Event()
        self.changed.set()
        await done.wait()
        self._unlooked.discard(facts.node)
        if self.look_error:
            raise self.look_error

    async def _ask(self, _client: Any, agenda: JobQueue[ProbeJob], **_: Any) -> AsyncIterator[Proof]:
        awaited = 0
        while True:
            for name, _target in agenda.take():
                self.asked.append(name)
                awaited += 1
            self.changed.set()
            if agenda.is_closed and not awaited:
                return
            answers, jobs = (asyncio.ensure_future(source) for source in (self._answers.get(), agenda.wait()))
            await asyncio.wait([answers, jobs], return_when=asyncio.FIRST_COMPLETED)
            jobs.cancel()
            if not answers.done():
                answers.cancel()
                continue
            awaited -= 1
            yield Proof(answers.result(), HOST, Trusted(), BASE, BASE)


async def test_a_node_written_during_a_round_is_probed_without_waiting_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, node("a"))
    async with stage.running():
        await stage.until(lambda: stage.asked == ["a"])
        stage.write(node("b"))
        await stage.until(lambda: stage.asked == ["a", "b"])
        stage.answer("b")
        await stage.until(lambda: stage.recorded == [("b", "set-0")])
        stage.answer("a")
    assert stage.recorded == [("b", "set-0"), ("a", "set-0")]


async def test_registries_unknown_to_the_round_are_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, node("a"))
    async with stage.running():
        stage.answer("a")
    assert stage.asked == ["a"]


async def test_a_result_from_before_a_change_is_recorded_before_the_next_probe_of_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, node("a"), node("b"))
    async with stage.running():
        await stage.until(lambda: len(stage.asked) == 2)
        stage.write(node("a", written=5))
        stage.write(node("c"))
        await stage.until(lambda: stage.asked[2:] == ["c"])
        stage.answer("a")
        await stage.until(lambda: stage.asked[3:] == ["a"])
        assert stage.recorded == [("a", "set-0")]
        for name in "abc":
            stage.answer(name)
    assert sorted(stage.recorded[1:]) == [("a", "set-5"), ("b", "set-0"), ("c", "set-0")]


async def test_a_node_written_during_a_round_is_inspected_during_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, node("a"))
    async with stage.running():
        await stage.until(lambda: stage.asked == ["a"])
        stage.write(node("b"), must_look=True)
        await stage.until(lambda: stage.asked == ["a", "b"] and "b" in stage.looks)
        stage.answer("a")
        stage.answer("b")
        await stage.until(lambda: len(stage.recorded) == 2)
        stage.looks["b"].set()
    assert list(stage.looks) == ["b"]


async def test_with_automatic_repair_the_proof_covers_the_repaired_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, node("a"), is_automatic=True)
    async with stage.running():
        await stage.until(lambda: stage.asked == ["a"])
        stage.write(node("b"), must_look=True)
        await stage.until(lambda: "b" in stage.looks)
        assert stage.asked == ["a"]
        stage.nodes["b"] = node("b", written=7)
        stage.looks["b"].set()
        await stage.until(lambda: stage.asked == ["a", "b"])
        stage.answer("a")
        stage.answer("b")
    assert ("b", "set-7") in stage.recorded


async def test_a_failed_inspection_is_raised_after_everything_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, node("a"))
    stage.look_error = UnavailableError("The API server is away")

    async def story() -> None:
        async with stage.running():
            await stage.until(lambda: stage.asked == ["a"])
            stage.write(node("b"), must_look=True)
            await stage.until(lambda: "b" in stage.looks)
            stage.looks["b"].set()
            stage.answer("a")
            stage.answer("b")

    with pytest.raises(ExceptionGroup) as raised:
        await story()
    assert raised.group_contains(UnavailableError)
    assert len(stage.recorded) == 2
