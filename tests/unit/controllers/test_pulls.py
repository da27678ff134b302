"""What many failing pods cost; what they are told is tested against a real API server."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trustplane.controllers import pulls
from trustplane.controllers.pulls import PullReconciler
from trustplane.diagnosis.pulls import Causes, Pull


def followed(count: int) -> Any:
    """A cluster whose pods each wait for an image in words of their own."""
    letters = "ghijklmnopqrstuvwxyz"  # no hexadecimal digits: those vary from one attempt to the next
    ways = [letters[number // 400 % 20] + letters[number // 20 % 20] + letters[number % 20] for number in range(count)]
    messages = [f"ErrImagePull: failed in way {way}" for way in ways]
    found = [SimpleNamespace(pulls=(Pull("registry.test/app:1", message),)) for message in messages]
    return SimpleNamespace(pods=dict(enumerate(found)))


def reconciler() -> PullReconciler:
    made = PullReconciler.__new__(PullReconciler)
    made._causes = Causes()
    return made


async def test_new_messages_are_explained_some_at_a_time_until_all_are() -> None:
    made, watch = reconciler(), followed(2 * pulls._NEW_KINDS + 1)
    assert [await made._learn(watch) for _ in range(3)] == [False, False, True]
    assert all(made._causes.knows(pull) for pod in watch.pods.values() for pull in pod.pulls)


async def test_others_have_their_turn_between_two_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    made, watch, order = reconciler(), followed(3), []
    explained = Causes.of

    def of(causes: Causes, pull: Pull) -> Any:
        order.append("message")
        return explained(causes, pull)

    async def others() -> None:
        for _ in range(3):
            order.append("others")
            await asyncio.sleep(0)

    monkeypatch.setattr(Causes, "of", of)
    await asyncio.gather(made._learn(watch), others())
    assert order == ["message", "others"] * 3


async def test_pods_that_come_meanwhile_end_no_look() -> None:
    made, watch = reconciler(), followed(3)

    async def come() -> None:
        watch.pods["new"] = watch.pods[0]

    done, _ = await asyncio.gather(made._learn(watch), come())
    assert done
