"""Collectors that fail or exceed their time limit are reported, and do not block others."""

import asyncio
import threading

import pytest

from trustplane.diagnosis.evidence.limit import USUAL, TimeLimits, collect, run_in_thread
from trustplane.diagnosis.facts import CollectorReport, Missing, Part
from trustplane.errors import TransientError


async def test_a_result_is_returned() -> None:
    reports: list[CollectorReport] = []
    assert await collect("pod", asyncio.sleep(0, 7), reports, seconds=5) == 7
    assert reports == []


async def test_a_timeout_is_reported() -> None:
    reports: list[CollectorReport] = []
    assert await collect("pod", asyncio.Event().wait(), reports, seconds=0.01) is None
    assert reports == [CollectorReport("pod", "no answer in 0.01 s", is_available=False)]


async def test_a_failure_is_reported_without_credentials() -> None:
    async def work() -> None:
        raise TransientError("It failed", why="https://robot:secret@harbor.corp/v2/")

    reports: list[CollectorReport] = []
    assert await collect("pod", work(), reports, seconds=5) is None
    assert reports == [CollectorReport("pod", "It failed. https://harbor.corp/v2/", is_available=False)]


async def test_garbage_is_reported_with_what_is_missing() -> None:
    async def work() -> None:
        raise KeyError("metadata")

    reports: list[CollectorReport] = []
    missing = (Missing(Part.SECRETS),)
    assert await collect("pull secrets", work(), reports, seconds=5, missing=missing) is None
    text = "its answer cannot be parsed (KeyError)"
    assert reports == [CollectorReport("pull secrets", text, is_available=False, missing=missing)]


async def test_threads_return_results_and_raise_errors() -> None:
    assert await run_in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_a_thread_that_blocks_is_not_waited_for() -> None:
    end = threading.Event()
    reports: list[CollectorReport] = []
    assert await collect("name server", run_in_thread(end.wait), reports, seconds=0.01) is None
    assert not reports[0].is_available
    end.set()


def test_more_time_is_shared_as_the_usual_time() -> None:
    twice = TimeLimits.within(2 * USUAL.part)
    assert TimeLimits.within(USUAL.part) == USUAL
    assert (twice.part, twice.api, twice.node, twice.issuer) == (18, 10, 16, 4)
