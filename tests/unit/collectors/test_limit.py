"""Collectors that fail or exceed their time limit are reported, and do not block others."""

import asyncio
import threading

import pytest

from trustplane.collectors.limit import collect, run_in_thread
from trustplane.diagnosis.evidence import Look
from trustplane.errors import TransientError


async def test_a_result_is_returned() -> None:
    looks: list[Look] = []
    assert await collect("pod", asyncio.sleep(0, 7), looks, seconds=5) == 7
    assert looks == []


async def test_a_timeout_is_reported() -> None:
    looks: list[Look] = []
    assert await collect("pod", asyncio.Event().wait(), looks, seconds=0.01) is None
    assert looks == [Look("pod", "no answer in 0.01 s", seen=False)]


async def test_a_failure_is_reported_without_credentials() -> None:
    async def work() -> None:
        raise TransientError("It failed", why="https://robot:secret@harbor.corp/v2/")

    looks: list[Look] = []
    assert await collect("pod", work(), looks, seconds=5) is None
    assert looks == [Look("pod", "It failed. https://harbor.corp/v2/", seen=False)]


async def test_threads_return_results_and_raise_errors() -> None:
    assert await run_in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_a_thread_that_blocks_is_not_waited_for() -> None:
    end = threading.Event()
    looks: list[Look] = []
    assert await collect("name server", run_in_thread(end.wait), looks, seconds=0.01) is None
    assert not looks[0].seen
    end.set()
