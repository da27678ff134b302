"""One big cluster, some of whose registries answer nobody: every node proves the good one in time all the same.

The reconciler, the prover, the schedule and the queue are the real ones, in virtual time; answers are made up.
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
from trustplane.trust.entries import EMPTY

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
    """A loop in which time passes while everybody waits."""

    def __init__(self) -> None:
        self._selector_of_time = _Selector()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._selector_of_time.now


@dataclass
class World:
    """A cluster, and what is recorded of it."""

    loop: Loop
    names: list[str]
    dead: dict[str, float]  # seconds after which a probe of it is given up, by registry
    changed: datetime = BASE - timedelta(seconds=5)
    most_kept: None = None  # as of the management cluster's own server
    proofs: dict[str, RecordedProof] = field(default_factory=dict)
    good_at: dict[str, list[float]] = field(default_factory=dict)  # when a proof of the good one was recorded
    asked: Counter[str] = field(default_factory=Counter)
    writes: int = 0

    @property
    def demand(self) -> ProofDemand:
        return ProofDemand(in_force=EMPTY.digest, hosts=frozenset({GOOD, *self.dead}))

    def now(self) -> datetime:
        return BASE + timedelta(seconds=self.loop.time())

    async def find(self, *_: Any) -> None:
        """Have no Secret: nobody goes onto these nodes."""

    async def see(self, _key: Key) -> Any:
        nodes = [
            NodeFacts(
                machine=name,
                created=BASE - timedelta(days=1),
                node=name,
                digest=EMPTY.digest,
                changed=self.changed,
                proof=self.proofs.get(name),
            )
            for name in self.names
        ]
        return SimpleNamespace(
            cluster=named("big"),
            tkc=None,
            registries=[SimpleNamespace(spec=SimpleNamespace(host=one, probe_image="")) for one in self.demand.hosts],
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
        [good] = [one for one in proof.results if one.registry == GOOD] or [None]
        assert proof.at == min(one.at for one in proof.results if one.at)
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
        """Reconcile for that time; after half of it the manager is another one."""
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
    made = World(loop, [f"n{number:04d}" for number in range(nodes)], dead)

    class Clock(datetime):
        @classmethod
        def now(cls, _tz: Any = None) -> Any:
            return made.now()

    @contextlib.asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[Any]:
        yield made

    @contextlib.asynccontextmanager
    async def no_secrets(*_: Any) -> AsyncIterator[dict[str, str]]:
        yield {}

    @contextlib.asynccontextmanager
    async def following(_run: Any) -> AsyncIterator[None]:
        yield

    async def nothing(*_: Any) -> int:
        return 0

    async def ask(run: Any, pod: Any) -> ProofVerdict:
        return await made.kubelet(run, pod)

    with pytest.MonkeyPatch.context() as patch:
        for module in (controller, prover, probe):
            patch.setattr(module, "datetime", Clock)
        patch.setattr(controller, "holds", lambda *_: True)
        patch.setattr(controller, "key_of", lambda one: Key("team", one.metadata.name))
        patch.setattr(controller, "workload", opened)
        patch.setattr(controller, "copied", no_secrets)
        patch.setattr(controller, "_sweep", nothing)
        patch.setattr(prover, "prepare", nothing)
        patch.setattr(prover._Run, "_ask", ask)
        patch.setattr(prover._Run, "following", following)
        try:
            yield made
        finally:
            loop.close()


def longest_wait(times: list[float], end: float) -> float:
    """Return the longest time without a proof, from the beginning to the end."""
    points = [0.0, *sorted(times), end]
    return max(later - earlier for earlier, later in itertools.pairwise(points))


def test_every_node_of_a_big_cluster_proves_the_good_registry_though_one_is_dead() -> None:
    with world(600, {"dead.corp": 45.0}) as made:
        made.loop.run_until_complete(made.live(2.2))
        late = {name: longest_wait(made.good_at.get(name, []), 2.2 * 3600) for name in made.names}
        # First soon, then once an interval: what is in the way is a run, and the places of the dead one.
        assert max(min(made.good_at[name]) for name in made.names) < 300
        assert max(late.values()) < PROOF_INTERVAL.total_seconds() + 300
        # The good one is asked as often as it is due, and each write says something.
        assert made.asked[GOOD] <= 4 * 600
        assert made.writes <= sum(made.asked.values())
        assert all(len(proof.results) == 2 for proof in made.proofs.values())


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 60),
    st.lists(st.sampled_from([0.1, 2.0, 45.0, 60.0]), max_size=12),
)
def test_whatever_dead_registries_do_every_node_proves_the_good_one_within_the_interval(
    nodes: int, dead: list[float]
) -> None:
    with world(nodes, {f"dead{number}.corp": seconds for number, seconds in enumerate(dead)}) as made:
        made.loop.run_until_complete(made.live(1.5))
        late = {name: longest_wait(made.good_at.get(name, []), 1.5 * 3600) for name in made.names}
        assert max(late.values()) < PROOF_INTERVAL.total_seconds() + 300
        assert made.writes <= sum(made.asked.values())


def test_a_dead_registry_is_asked_by_a_few_nodes_a_minute_once_all_have_asked_it() -> None:
    with world(200, {"dead.corp": 0.1}) as made:
        made.loop.run_until_complete(made.live(0.9))
        assert 200 + 8 * 40 < made.asked["dead.corp"] < 200 + 9 * 60
        assert made.asked[GOOD] == 200


def test_when_it_answers_again_every_node_proves_it_within_minutes() -> None:
    with world(200, {"dead.corp": 0.1}) as made:

        async def story() -> None:
            await made.live(1)
            made.dead["dead.corp"] = GOOD_SECONDS
            made.kubelet = heal
            await made.live(1.1)

        async def heal(_run: Any, _pod: Any) -> ProofVerdict:
            await asyncio.sleep(GOOD_SECONDS)
            return Trusted()

        made.loop.run_until_complete(story())
        assert all(one.verdict == TRUSTED for proof in made.proofs.values() for one in proof.results)


def test_a_change_is_proven_soon_while_registries_are_dead() -> None:
    with world(300, {f"dead{number}.corp": 60.0 for number in range(6)}) as made:

        async def story() -> None:
            await made.live(1)
            made.changed = made.now()
            made.good_at.clear()
            await made.live(1.25)

        made.loop.run_until_complete(story())
        assert set(made.good_at) == set(made.names)
