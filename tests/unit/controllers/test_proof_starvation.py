"""One large cluster with silent registries: every node still proves the good registry in time.

The reconciler, prover, schedule and queue are real, in virtual time; the answers are simulated.
"""

import asyncio
import contextlib
import itertools
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trustplane.api.clustertrust import TRUST_PROOF, TRUSTED, RecordedProof
from trustplane.api.keys import Key
from trustplane.clusterapi.node_state import NodeFacts
from trustplane.controllers.proof import controller
from trustplane.kube.queue import Queue
from trustplane.proof import probe, prover
from trustplane.proof.schedule import PROOF_INTERVAL, ProofDemand
from trustplane.proof.verdict import ProofVerdict, Trusted, Unclear
from trustplane.trust.entries import EMPTY_SET

BASE = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key("team", "big")
GOOD = "good.corp"
GOOD_SECONDS = 2.0


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop with virtual time, which advances when all tasks wait."""

    def __init__(self) -> None:
        self._selector_of_time = _Selector()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._selector_of_time.now


@dataclass
class World:
    """A cluster with its recorded proofs."""

    loop: Loop
    names: list[str]
    dead: dict[str, float]  # seconds until its probes time out, by registry
    changed: datetime = BASE - timedelta(seconds=5)
    most_kept: None = None  # as of the management cluster's own server
    proofs: dict[str, RecordedProof] = field(default_factory=dict)
    good_at: dict[str, list[float]] = field(default_factory=dict)  # times of recorded proofs of the good registry
    asked: Counter[str] = field(default_factory=Counter)
    writes: int = 0

    @property
    def demand(self) -> ProofDemand:
        return ProofDemand(in_force=EMPTY_SET.digest, hosts=frozenset({GOOD, *self.dead}))

    def now(self) -> datetime:
        return BASE + timedelta(seconds=self.loop.time())

    async def find(self, *_: Any) -> None:
        """Return no Secret: these nodes cannot be inspected."""

    async def observe(self, _key: Key) -> Any:
        nodes = [
            NodeFacts(
                machine=name,
                created=BASE - timedelta(days=1),
                node=name,
                digest=EMPTY_SET.digest,
                changed=self.changed,
                proof=self.proofs.get(name),
            )
            for name in self.names
        ]
        return SimpleNamespace(
            cluster=named("big"),
            tkc=None,
            registries=[SimpleNamespace(spec=SimpleNamespace(host=host, probe_image="")) for host in self.demand.hosts],
            is_automatic=False,
            hosts=self.demand.hosts,
            machines={name: named(name) for name in self.names},
            nodes=nodes,
            demand=self.demand,
        )

    async def patch(self, _resource: Any, name: str, _namespace: str, body: Any) -> None:
        self.writes += 1
        text = body["metadata"]["annotations"][TRUST_PROOF]
        proof = self.proofs[name] = msgspec.json.decode(text, type=RecordedProof)
        [good] = [result for result in proof.results if result.registry == GOOD] or [None]
        assert proof.at == min(result.at for result in proof.results if result.at)
        if good and good.verdict == TRUSTED and good.at:
            times, at = self.good_at.setdefault(name, []), (good.at - BASE).total_seconds()
            if at not in times:
                times.append(at)

    async def list(self, *_: Any, **__: Any) -> Any:
        return []

    def __post_init__(self) -> None:
        self.kubelet = self.answer

    async def answer(self, _run: Any, pod: Any) -> ProofVerdict:
        host = pod["spec"]["containers"][0]["image"].partition("/")[0]
        self.asked[host] += 1
        await asyncio.sleep(self.dead.get(host, GOOD_SECONDS))
        return Unclear("dial tcp: i/o timeout") if host in self.dead else Trusted()

    async def live(self, hours: float) -> None:
        """Reconcile for this time; after half of it, a new manager takes over."""
        client: Any = self
        queue, end = Queue[Key](), hours * 3600
        for until in (end / 2, end):
            reconciler = controller.ProofReconciler(client, client, client, namespace="system")
            queue.add(KEY)
            while self.loop.time() < until:
                key = await queue.get()
                result = await reconciler.reconcile(key)
                if result.requeue_after > 0:
                    queue.add_after(key, result.requeue_after)
                queue.done(key)


def named(name: str) -> Any:
    return SimpleNamespace(metadata=SimpleNamespace(name=name, namespace="team", uid="u"))


@contextlib.contextmanager
def world(nodes: int, dead: dict[str, float]) -> Iterable[World]:  # type: ignore[misc]
    loop = Loop()
    big = World(loop, [f"n{number:04d}" for number in range(nodes)], dead)

    class Clock(datetime):
        @classmethod
        def now(cls, _tz: Any = None) -> Any:
            return big.now()

    @contextlib.asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[Any]:
        yield big

    @contextlib.asynccontextmanager
    async def no_secrets(*_: Any) -> AsyncIterator[dict[str, str]]:
        yield {}

    @contextlib.asynccontextmanager
    async def following(_run: Any) -> AsyncIterator[None]:
        yield

    async def nothing(*_: Any) -> int:
        return 0

    async def ask(run: Any, pod: Any) -> ProofVerdict:
        return await big.kubelet(run, pod)

    with pytest.MonkeyPatch.context() as patch:
        for module in (controller, prover, probe):
            patch.setattr(module, "datetime", Clock)
        patch.setattr(controller, "is_condition_true", lambda *_: True)
        patch.setattr(controller, "key_of", lambda obj: Key("team", obj.metadata.name))
        patch.setattr(controller, "open_workload_and_report", opened)
        patch.setattr(controller, "copied_pull_secrets", no_secrets)
        patch.setattr(controller, "_sweep", nothing)
        patch.setattr(prover, "ensure_probe_namespace", nothing)
        patch.setattr(prover._Run, "_ask", ask)
        patch.setattr(prover._Run, "following", following)
        try:
            yield big
        finally:
            loop.close()


def longest_wait(times: list[float], end: float) -> float:
    """Return the longest time without a proof between start and end."""
    points = [0.0, *sorted(times), end]
    return max(later - earlier for earlier, later in itertools.pairwise(points))


def test_every_node_of_a_large_cluster_proves_the_good_registry_despite_a_dead_one() -> None:
    with world(600, {"dead.corp": 45.0}) as big:
        big.loop.run_until_complete(big.live(2.2))
        late = {name: longest_wait(big.good_at.get(name, []), 2.2 * 3600) for name in big.names}
        # Soon at first, then once per interval, delayed by at most a run and the slots of the dead registry.
        assert max(min(big.good_at[name]) for name in big.names) < 300
        assert max(late.values()) < PROOF_INTERVAL.total_seconds() + 300
        # The good registry is probed only when due, and every write has new content.
        assert big.asked[GOOD] <= 4 * 600
        assert big.writes <= sum(big.asked.values())
        assert all(len(proof.results) == 2 for proof in big.proofs.values())


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 60),
    st.lists(st.sampled_from([0.1, 2.0, 45.0, 60.0]), max_size=12),
)
def test_dead_registries_never_delay_the_proof_of_the_good_one_beyond_the_interval(
    nodes: int, dead: list[float]
) -> None:
    with world(nodes, {f"dead{number}.corp": seconds for number, seconds in enumerate(dead)}) as big:
        big.loop.run_until_complete(big.live(1.5))
        late = {name: longest_wait(big.good_at.get(name, []), 1.5 * 3600) for name in big.names}
        assert max(late.values()) < PROOF_INTERVAL.total_seconds() + 300
        assert big.writes <= sum(big.asked.values())


def test_a_dead_registry_is_probed_by_a_few_nodes_per_minute_after_the_first_probe_of_all() -> None:
    with world(200, {"dead.corp": 0.1}) as big:
        big.loop.run_until_complete(big.live(0.9))
        assert 200 + 8 * 40 < big.asked["dead.corp"] < 200 + 9 * 60
        assert big.asked[GOOD] == 200


def test_after_recovery_every_node_proves_the_registry_within_minutes() -> None:
    with world(200, {"dead.corp": 0.1}) as big:

        async def story() -> None:
            await big.live(1)
            big.dead["dead.corp"] = GOOD_SECONDS
            big.kubelet = heal
            await big.live(1.1)

        async def heal(_run: Any, _pod: Any) -> ProofVerdict:
            await asyncio.sleep(GOOD_SECONDS)
            return Trusted()

        big.loop.run_until_complete(story())
        assert all(result.verdict == TRUSTED for proof in big.proofs.values() for result in proof.results)


def test_a_change_is_proven_soon_despite_dead_registries() -> None:
    with world(300, {f"dead{number}.corp": 60.0 for number in range(6)}) as big:

        async def story() -> None:
            await big.live(1)
            big.changed = big.now()
            big.good_at.clear()
            await big.live(1.25)

        big.loop.run_until_complete(story())
        assert set(big.good_at) == set(big.names)
