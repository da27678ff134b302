"""What many failing pods cost; what they are told is tested against a real API server."""

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
    """A cluster whose pods each wait for an image in words of their own."""
    letters = "ghijklmnopqrstuvwxyz"  # no hexadecimal digits: those vary from one attempt to the next
    ways = [letters[number // 400 % 20] + letters[number // 20 % 20] + letters[number % 20] for number in range(count)]
    messages = [f"ErrImagePull: failed in way {way}" for way in ways]
    found = [SimpleNamespace(pulls=(FailedPull("registry.test/app:1", message),)) for message in messages]
    return SimpleNamespace(pods=dict(enumerate(found)))


def reconciler() -> PullReconciler:
    made = PullReconciler.__new__(PullReconciler)
    made._causes = CauseCache()
    return made


async def test_new_messages_are_explained_some_at_a_time_until_all_are() -> None:
    made, watch = reconciler(), followed(2 * controller._NEW_KINDS + 1)
    assert [await made._learn(watch) for _ in range(3)] == [False, False, True]
    assert all(made._causes.contains(pull) for pod in watch.pods.values() for pull in pod.pulls)


async def test_others_have_their_turn_between_two_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    made, watch, order = reconciler(), followed(3), []
    explained = CauseCache.cause_of

    def of(causes: CauseCache, pull: FailedPull) -> Any:
        order.append("message")
        return explained(causes, pull)

    async def others() -> None:
        for _ in range(3):
            order.append("others")
            await asyncio.sleep(0)

    monkeypatch.setattr(CauseCache, "cause_of", of)
    await asyncio.gather(made._learn(watch), others())
    assert order == ["message", "others"] * 3


async def test_pods_that_come_meanwhile_end_no_look() -> None:
    made, watch = reconciler(), followed(3)

    async def come() -> None:
        watch.pods["new"] = watch.pods[0]

    done, _ = await asyncio.gather(made._learn(watch), come())
    assert done


def slow(count: int) -> Any:
    """A cluster whose pods each wait in words that are made to be slow, of a few kinds."""
    words = {kind: f"ErrImagePull: {'xyz'[kind]} {'::::12' * 1350}" for kind in range(3)}
    found = {
        number: FailingPod(
            PodMetadata(name=f"web-{number}", namespace="shop", uid=str(number)),
            "worker-0",
            (FailedPull("registry.test/app:1", words[number % 3]),),
        )
        for number in range(count)
    }
    return SimpleNamespace(pods=found, more=7, is_due=lambda *_: True)


async def longest_wait(work: Awaitable[Any]) -> tuple[float, Any]:
    """Return for how many seconds work has held up others in one go, and what it returns."""
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


def known(made: PullReconciler, monkeypatch: pytest.MonkeyPatch) -> PullReconciler:
    """Have it know nothing of registries."""
    made._view = SimpleNamespace(  # type: ignore[assignment]
        service=lambda: SimpleNamespace(trust=None), registries=SimpleNamespace(items=list)
    )
    nothing = SimpleNamespace(evidence=(), is_trusted=False)
    monkeypatch.setattr(PullReconciler, "_knowledge", lambda *_: nothing)
    return made


SEEN: Any = SimpleNamespace(nodes=[], sets=None, trust=None)


async def test_a_look_at_thousands_of_pods_with_slow_messages_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made, watch = known(reconciler(), monkeypatch), slow(1500)
    for one in slow(3).pods.values():
        made._causes.cause_of(one.pulls[0])
    wait, look = await longest_wait(made._look(SEEN, watch))
    assert wait < 0.5  # seconds; in one go they took several
    assert ([one.pods for one in look.listed], look.more) == ([1500], 7)
    wait, is_known = await longest_wait(made._learn(slow(1000)))
    assert is_known
    assert wait < 0.5


async def test_a_look_chooses_no_more_pods_than_are_told_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    made, watch = known(reconciler(), monkeypatch), followed(0)
    refused = FailedPull("registry.test/app:1", "ErrImagePull: x509: certificate signed by unknown authority")
    made._causes.cause_of(refused)
    watch.more, watch.is_due = 0, lambda *_: True
    watch.pods = {
        n: FailingPod(PodMetadata(name=f"web-{n}", namespace="shop", uid=str(n)), "worker-0", (refused,))
        for n in range(2 * controller.pulls_events.BATCH)
    }
    look = await made._look(SEEN, watch)
    assert len(look.tellings) == controller.pulls_events.BATCH + 1
    assert [one.pods for one in look.listed] == [2 * controller.pulls_events.BATCH]


def pod(name: str) -> Pod:
    waiting = Waiting(reason="ErrImagePull", message="EOF")
    status = ContainerStatus(image="registry.test/app:1", state=ContainerState(waiting=waiting))
    metadata = PodMetadata(name=name, namespace="shop", uid=name)
    return Pod(metadata=metadata, status=PodStatus(container_statuses=[status]))


async def test_so_many_pods_are_followed_and_the_others_counted_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls_watch, "MOST_PODS", 3)
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
