"""What nodes say, on its way to their Machines: in few writes, each soon, and asked once though it is seen late."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from trustplane.api.clustertrust import AppliedTrust, Inspection, RecordedProof
from trustplane.api.keys import Key
from trustplane.errors import TrustplaneError
from trustplane.proof.prover import Proof
from trustplane.proof.schedule import includes_proof

BATCH_SECONDS: Final = 5.0  # for which an answer waits for others of its node
_UNSEEN: Final = timedelta(minutes=1)  # after which what is on the Machine counts, whatever we have written

RecordT = TypeVar("R", AppliedTrust, RecordedProof, Inspection)


class ProofOutbox:
    """Answers that are to be recorded: those of a node together, when its last has come or the first waits long enough.

    Args:
        record: Records answers of one node. One that fails keeps no other node's from being recorded.
        nodes: The node of each answer that is to come; `expect` adds others.
    """

    def __init__(self, record: Callable[[str, list[Proof]], Awaitable[None]], nodes: Iterable[str]) -> None:
        self._record = record
        self._expected = Counter(nodes)
        self._waiting: dict[str, list[Proof]] = {}
        self._until: dict[str, float] = {}  # the latest time of its record, by node
        self._recording = ""  # the node whose answers are on their way to its Machine
        self._news = asyncio.Event()
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether every answer that is to come has come, and is recorded."""
        return not (self._waiting or self._recording or any(count > 0 for count in self._expected.values()))

    def is_waiting_for(self, node: str) -> bool:
        """Return whether an answer of a node is still to come, or to be recorded."""
        return self._expected[node] > 0 or node in self._waiting or node == self._recording

    def expect(self, node: str) -> None:
        """Wait for another answer of a node."""
        self._expected[node] += 1

    def put(self, proof: Proof) -> None:
        """Take an answer."""
        self._waiting.setdefault(proof.node, []).append(proof)
        self._until.setdefault(proof.node, asyncio.get_running_loop().time() + BATCH_SECONDS)
        self._expected[proof.node] -= 1
        self._news.set()

    def close(self) -> None:
        """Say that no more answers come."""
        self._is_closed = True
        self._news.set()

    async def run(self) -> None:
        """Record until it is closed and empty.

        Raises:
            TrustplaneError: One could not be recorded; the others were.
        """
        failure: TrustplaneError | None = None
        while self._waiting or not self._is_closed:
            await self._wait()
            for node in self._ripe():
                del self._until[node]
                self._recording = node
                try:
                    await self._record(node, self._waiting.pop(node))
                except TrustplaneError as error:
                    failure = failure or error
                finally:
                    self._recording = ""
        if failure:
            raise failure

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(self._until.values(), default=None)):
                await self._news.wait()
        self._news.clear()

    def _ripe(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [
            node for node, until in self._until.items() if self._is_closed or self._expected[node] <= 0 or until <= now
        ]


class PendingWrites(Generic[RecordT]):
    """What was written on Machines and has not come back through the watch yet."""

    def __init__(self) -> None:
        self._latest: dict[Key, tuple[RecordT, datetime]] = {}

    def note(self, machine: Key, value: RecordT, now: datetime) -> None:
        """Remember what was written."""
        self._latest[machine] = (value, now)

    def latest(self, machine: Key, seen: RecordT | None, now: datetime) -> RecordT | None:
        """Return what is on a Machine: what we have written, until it is seen there or for a minute."""
        value, at = self._latest.get(machine, (None, now))
        if value is None or now - at > _UNSEEN or _has(seen, value):
            self._latest.pop(machine, None)
            return seen
        return value


_Record = AppliedTrust | RecordedProof | Inspection


def _has(seen: _Record | None, written: _Record) -> bool:
    if isinstance(written, RecordedProof):
        return includes_proof(seen if isinstance(seen, RecordedProof) else None, written)
    return seen is not None and seen.at is not None and (written.at is None or seen.at >= written.at)
