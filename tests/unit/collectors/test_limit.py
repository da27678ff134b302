"""Looks that fail or take too long say why, and keep nobody waiting."""

import asyncio
import threading

import pytest

from trustplane.collectors.limit import in_thread, look
from trustplane.diagnosis.evidence import Look
from trustplane.errors import TransientError


async def test_what_is_found() -> None:
    looks: list[Look] = []
    assert await look("pod", asyncio.sleep(0, 7), looks, seconds=5) == 7
    assert looks == []


async def test_what_takes_too_long() -> None:
    looks: list[Look] = []
    assert await look("pod", asyncio.Event().wait(), looks, seconds=0.01) is None
    assert looks == [Look("pod", "no answer in 0.01 s", seen=False)]


async def test_what_fails_says_why_without_credentials() -> None:
    async def work() -> None:
        raise TransientError("It failed", why="https://robot:secret@harbor.corp/v2/")

    looks: list[Look] = []
    assert await look("pod", work(), looks, seconds=5) is None
    assert looks == [Look("pod", "It failed. https://harbor.corp/v2/", seen=False)]


async def test_threads_hand_on_results_and_errors() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_a_thread_that_blocks_is_not_waited_for() -> None:
    end = threading.Event()
    looks: list[Look] = []
    assert await look("name server", in_thread(end.wait), looks, seconds=0.01) is None
    assert not looks[0].seen
    end.set()
