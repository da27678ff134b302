"""Answers on their way to Machines: batched, each in time, one failure for itself."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from trustplane.api.clustertrust import ProofResult, RecordedProof
from trustplane.api.keys import Key
from trustplane.kube.errors import UnavailableError
from trustplane.proof import record
from trustplane.proof.prover import Proof
from trustplane.proof.record import PendingWrites, ProofOutbox
from trustplane.proof.verdict import Trusted

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = Key("team", "m")


def proof(node: str, host: str) -> Proof:
    return Proof(node, host, Trusted(), NOW, NOW)


class Records:
    """What was recorded: node and hosts of each write."""

    def __init__(self, *failing: str) -> None:
        self.writes: list[tuple[str, set[str]]] = []
        self.changed = asyncio.Event()
        self._failing = failing

    async def record(self, node: str, proofs: list[Proof]) -> None:
        if node in self._failing:
            raise UnavailableError(f"PATCH {node} had no answer")
        self.writes.append((node, {one.host for one in proofs}))
        self.changed.set()


@asynccontextmanager
async def running(records: Records, nodes: Iterable[str]) -> AsyncIterator[ProofOutbox]:
    outbox = ProofOutbox(records.record, nodes)
    async with asyncio.TaskGroup() as group:
        group.create_task(outbox.run())
        yield outbox
        outbox.close()


async def test_answers_of_a_node_are_one_write_as_soon_as_the_last_has_come() -> None:
    records = Records()
    async with asyncio.timeout(3), running(records, ["a", "a", "b"]) as outbox:
        outbox.put(proof("a", "one"))
        outbox.put(proof("a", "two"))
        await records.changed.wait()
        assert records.writes == [("a", {"one", "two"})]


async def test_an_answer_does_not_wait_for_one_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BATCH_SECONDS", 0.05)
    records = Records()
    async with asyncio.timeout(3), running(records, ["a", "a"]) as outbox:
        outbox.put(proof("a", "good"))
        await records.changed.wait()
        assert records.writes == [("a", {"good"})]
        outbox.put(proof("a", "dead"))
    assert records.writes == [("a", {"good"}), ("a", {"dead"})]


async def test_what_has_come_is_written_when_no_more_comes() -> None:
    records = Records()
    async with asyncio.timeout(3), running(records, ["a", "a", "b", "b"]) as outbox:
        outbox.put(proof("a", "one"))
        outbox.put(proof("b", "one"))
    assert records.writes == [("a", {"one"}), ("b", {"one"})]


async def test_a_node_that_cannot_be_recorded_keeps_no_other_from_it() -> None:
    records = Records("a")
    outbox = ProofOutbox(records.record, ["a", "b"])
    for node in "ab":
        outbox.put(proof(node, "one"))
    outbox.close()
    with pytest.raises(UnavailableError, match="PATCH a"):
        await outbox.run()
    assert records.writes == [("b", {"one"})]


def recorded(*seconds: int) -> RecordedProof:
    times = [NOW + timedelta(seconds=one) for one in seconds]
    return RecordedProof(at=min(times), results=[ProofResult(registry=str(n), at=at) for n, at in enumerate(times)])


def test_what_was_written_counts_until_it_is_seen() -> None:
    written: PendingWrites[RecordedProof] = PendingWrites()
    # The oldest result, and with it the time of the whole, is the same before and after.
    before, after = recorded(0, 1), recorded(0, 9)
    written.note(KEY, after, NOW)
    assert written.latest(KEY, before, NOW) is after
    assert written.latest(KEY, None, NOW) is after
    newer = recorded(0, 9)
    assert written.latest(KEY, newer, NOW) is newer
    assert written.latest(KEY, before, NOW) is before


def test_what_is_not_seen_for_a_minute_was_changed_by_somebody_else() -> None:
    written: PendingWrites[RecordedProof] = PendingWrites()
    written.note(KEY, recorded(9), NOW)
    assert written.latest(KEY, None, NOW + timedelta(seconds=61)) is None
