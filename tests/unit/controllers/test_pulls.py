"""Cost of many failing pods; the Events are tested with a real API server."""

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest

from trustplane.api.keys import Key
from trustplane.api.pod import ContainerState, ContainerStatus, Pod, PodMetadata, PodStatus, Waiting
from trustplane.controllers.pulls import controller
from trustplane.controllers.pulls import watch as pulls_watch
from trustplane.controllers.pulls.controller import PullReconciler
from trustplane.controllers.pulls.watch import FailingPod, PullWatch
from trustplane.diagnosis.pulls import CauseCache, FailedPull
from trustplane.kube.informer import Change


def followed(count: int) -> Any:
    """Return a watch with a different message for each pod."""
    letters = "ghijklmnopqrstuvwxyz"  # no hexadecimal digits, which count as variable parts of a message
    ways = [letters[number // 400 % 20] + letters[number // 20 % 20] + letters[number % 20] for number in range(count)]
    messages = [f"ErrImagePull: failed in way {way}" for way in ways]
    found = [SimpleNamespace(pulls=(FailedPull("registry.test/app:1", message),)) for message in messages]
    return SimpleNamespace(pods=dict(enumerate(found)))


def reconciler() -> PullReconciler:
    pulls = PullReconciler.__new__(PullReconciler)
    pulls._causes = CauseCache()
    return pulls


async def test_new_messages_are_explained_in_batches() -> None:
    pulls, watch = reconciler(), followed(2 * controller._NEW_KINDS + 1)
    assert [await pulls._learn(watch) for _ in range(3)] == [False, False, True]
    assert all(pulls._causes.contains(pull) for pod in watch.pods.values() for pull in pod.pulls)


async def test_other_tasks_run_between_two_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    pulls, watch, order = reconciler(), followed(3), []
    explained = CauseCache.cause_of

    def of(causes: CauseCache, pull: FailedPull) -> Any:
        order.append("message")
        return explained(causes, pull)

    async def others() -> None:
        for _ in range(3):
            order.append("others")
            await asyncio.sleep(0)

    monkeypatch.setattr(CauseCache, "cause_of", of)
    await asyncio.gather(pulls._learn(watch), others())
    assert order == ["message", "others"] * 3


async def test_pods_added_during_a_reconcile_do_not_break_it() -> None:
    pulls, watch = reconciler(), followed(3)

    async def come() -> None:
        watch.pods["new"] = watch.pods[0]

    done, _ = await asyncio.gather(pulls._learn(watch), come())
    assert done


def slow(count: int) -> Any:
    """Return a watch whose messages are slow to explain, of a few kinds."""
    words = {kind: f"ErrImagePull: {'xyz'[kind]} {'::::12' * 1350}" for kind in range(3)}
    found = {
        number: FailingPod(
            PodMetadata(name=f"web-{number}", namespace="shop", uid=str(number)),
            "worker-0",
            (FailedPull("registry.test/app:1", words[number % 3]),),
        )
        for number in range(count)
    }
    return SimpleNamespace(pods=found, untracked=7, is_due=lambda *_: True)


async def longest_wait(work: Awaitable[Any]) -> tuple[float, Any]:
    """Return the longest time that work blocked the event loop, in seconds, and its result."""
    clock, waits = asyncio.get_running_loop().time, [0.0]

    async def others() -> None:
        while True:
            since = clock()
            await asyncio.sleep(0)
            waits.append(clock() - since)

    task = asyncio.create_task(others())
    try:
        result = await work
    finally:
        task.cancel()
    return max(waits), result


def known(pulls: PullReconciler, monkeypatch: pytest.MonkeyPatch) -> PullReconciler:
    """Give the reconciler a view without registries."""
    pulls._view = SimpleNamespace(  # type: ignore[assignment]
        service_list=lambda: SimpleNamespace(trust=None), registries=SimpleNamespace(items=list)
    )
    nothing = SimpleNamespace(evidence=(), is_trusted=False)
    monkeypatch.setattr(PullReconciler, "_knowledge", lambda *_: nothing)
    return pulls


SEEN: Any = SimpleNamespace(nodes=[], sets=None, trust=None)


async def test_thousands_of_pods_with_slow_messages_do_not_block_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pulls, watch = known(reconciler(), monkeypatch), slow(1500)
    for pod in slow(3).pods.values():
        pulls._causes.cause_of(pod.pulls[0])
    wait, failures = await longest_wait(pulls._summarise(SEEN, watch))
    assert wait < 0.5  # seconds; without yielding, several
    assert ([group.pods for group in failures.listed], failures.more) == ([1500], 7)
    wait, is_known = await longest_wait(pulls._learn(slow(1000)))
    assert is_known
    assert wait < 0.5


async def test_a_reconcile_chooses_at_most_one_batch_of_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    pulls, watch = known(reconciler(), monkeypatch), followed(0)
    refused = FailedPull("registry.test/app:1", "ErrImagePull: x509: certificate signed by unknown authority")
    pulls._causes.cause_of(refused)
    watch.untracked, watch.is_due = 0, lambda *_: True
    watch.pods = {
        n: FailingPod(PodMetadata(name=f"web-{n}", namespace="shop", uid=str(n)), "worker-0", (refused,))
        for n in range(2 * controller.events.EVENT_BATCH)
    }
    failures = await pulls._summarise(SEEN, watch)
    assert len(failures.tellings) == controller.events.EVENT_BATCH + 1
    assert [group.pods for group in failures.listed] == [2 * controller.events.EVENT_BATCH]


def pod(name: str) -> Pod:
    waiting = Waiting(reason="ErrImagePull", message="EOF")
    status = ContainerStatus(image="registry.test/app:1", state=ContainerState(waiting=waiting))
    metadata = PodMetadata(name=name, namespace="shop", uid=name)
    return Pod(metadata=metadata, status=PodStatus(container_statuses=[status]))


async def test_pods_beyond_the_limit_are_counted_until_others_recover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls_watch, "MAX_PODS", 3)
    watch = PullWatch(SimpleNamespace(most_kept=None), lambda: None)  # type: ignore[arg-type]

    def come(name: str) -> None:
        key = Key("shop", name)
        watch._informer._store(Change(key, watch._informer.get(key), pod(name)))

    def go(name: str) -> None:
        key = Key("shop", name)
        watch._informer._store(Change(key, watch._informer.get(key), None))

    def names() -> list[str]:
        return [key.name for key in watch.pods]

    for name in ("c", "b", "a", "d", "e", "f", "d", "c"):
        come(name)
    assert (names(), watch.untracked) == (["c", "b", "a"], 3)
    go("e")
    assert (names(), watch.untracked) == (["c", "b", "a"], 2)
    go("c")
    assert (names(), watch.untracked) == (["b", "a", "d"], 1)
    go("a")
    go("b")
    assert (names(), watch.untracked) == (["d", "f"], 0)
