"""Recording proofs on Machines: few writes, each within seconds, and no repeated probe while the informer lags."""

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

BATCH_SECONDS: Final = 5.0  # a result waits this long for other results of its node
_MAX_LAG: Final = timedelta(minutes=1)  # then the Machine's content counts, even if it differs from our last write

RecordT = TypeVar("RecordT", AppliedTrust, RecordedProof, Inspection)


class ProofOutbox:
    """Queue of results to record. A node's results are recorded together: after the last one, or once the first is due.

    Args:
        record: Records results of one node; a failure does not affect other nodes.
        nodes: The node of each expected result; `expect` adds further ones.
    """

    def __init__(self, record: Callable[[str, list[Proof]], Awaitable[None]], nodes: Iterable[str]) -> None:
        self._record = record
        self._expected = Counter(nodes)
        self._waiting: dict[str, list[Proof]] = {}
        self._until: dict[str, float] = {}  # deadlines for recording, by node
        self._recording = ""  # the node whose results are being recorded
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether every expected result has arrived and is recorded."""
        return not (self._waiting or self._recording or any(count > 0 for count in self._expected.values()))

    def is_waiting_for(self, node: str) -> bool:
        """Return whether a node has results that have not arrived or are not recorded yet."""
        return self._expected[node] > 0 or node in self._waiting or node == self._recording

    def expect(self, node: str) -> None:
        """Expect another result of a node."""
        self._expected[node] += 1

    def put(self, proof: Proof) -> None:
        """Add a result."""
        self._waiting.setdefault(proof.node, []).append(proof)
        self._until.setdefault(proof.node, asyncio.get_running_loop().time() + BATCH_SECONDS)
        self._expected[proof.node] -= 1
        self._changed.set()

    def close(self) -> None:
        """Accept no further results."""
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Record results until the outbox is closed and empty.

        Raises:
            TrustplaneError: Recording failed for at least one node; the other nodes are recorded.
        """
        failure: TrustplaneError | None = None
        while self._waiting or not self._is_closed:
            await self._wait()
            for node in self._due_nodes():
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
                await self._changed.wait()
        self._changed.clear()

    def _due_nodes(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [
            node for node, until in self._until.items() if self._is_closed or self._expected[node] <= 0 or until <= now
        ]


class PendingWrites(Generic[RecordT]):
    """The latest writes to Machines that the watch has not delivered yet."""

    def __init__(self) -> None:
        self._latest: dict[Key, tuple[RecordT, datetime]] = {}

    def note(self, machine: Key, value: RecordT, now: datetime) -> None:
        """Remember a write."""
        self._latest[machine] = (value, now)

    def latest(self, machine: Key, observed: RecordT | None, now: datetime) -> RecordT | None:
        """Return a Machine's current value: our last write until the watch delivers it, for at most a minute."""
        value, at = self._latest.get(machine, (None, now))
        if value is None or now - at > _MAX_LAG or _has(observed, value):
            self._latest.pop(machine, None)
            return observed
        return value


_Record = AppliedTrust | RecordedProof | Inspection


def _has(observed: _Record | None, written: _Record) -> bool:
    if isinstance(written, RecordedProof):
        return includes_proof(observed if isinstance(observed, RecordedProof) else None, written)
    return observed is not None and observed.at is not None and (written.at is None or observed.at >= written.at)
