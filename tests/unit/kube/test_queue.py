import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.kube.backoff import Backoff
from trustplane.kube.queue import Queue, QueueClosedError

KEYS = st.sampled_from("abc")
ACTIONS = st.lists(st.one_of(st.tuples(st.just("add"), KEYS), st.tuples(st.sampled_from(["take", "done"]), KEYS)))


@given(ACTIONS)
def test_keys_are_coalesced_never_processed_concurrently_and_never_lost(actions: list[tuple[str, str]]) -> None:
    asyncio.run(play(actions))


async def play(actions: list[tuple[str, str]]) -> None:
    """Compare a queue with a model: a key added after it was last taken must still be processed."""
    queue: Queue[str] = Queue()
    wanted: dict[str, None] = {}
    processing: set[str] = set()
    for action, key in actions:
        if action == "add":
            queue.add(key)
            wanted[key] = None
        elif action == "take" and wanted.keys() - processing:
            taken = await queue.get()
            assert taken in wanted
            assert taken not in processing
            del wanted[taken]
            processing.add(taken)
        elif action == "done" and key in processing:
            queue.done(key)
            processing.remove(key)
        assert len(queue) == len(wanted)
    for key in processing:
        queue.done(key)
    assert {await queue.get() for _ in wanted} == wanted.keys()
    assert len(queue) == 0


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.integers(1, 4))
def test_many_workers_never_share_a_key(added: list[str], workers: int) -> None:
    asyncio.run(work(added, workers))


async def work(added: list[str], workers: int) -> None:
    queue: Queue[str] = Queue()
    processing: set[str] = set()
    unprocessed: set[str] = set()
    idle = asyncio.Event()

    async def worker() -> None:
        while True:
            try:
                key = await queue.get()
            except QueueClosedError:
                return
            assert key not in processing
            processing.add(key)
            unprocessed.discard(key)
            await asyncio.sleep(0)
            processing.remove(key)
            queue.done(key)
            if not unprocessed and not processing and not queue:
                idle.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())
        for key in added:
            unprocessed.add(key)
            queue.add(key)
            idle.clear()
            await asyncio.sleep(0)
        if added:
            async with asyncio.timeout(5):
                await idle.wait()
        queue.close()
    assert not unprocessed


async def test_a_waiting_taker_is_woken() -> None:
    queue: Queue[str] = Queue()
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(queue.get()), group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        queue.add("b")
    assert {first.result(), second.result()} == {"a", "b"}


async def test_a_cancelled_taker_loses_no_key() -> None:
    queue: Queue[str] = Queue()
    cancelled, other = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    cancelled.cancel()
    async with asyncio.timeout(1):
        assert await other == "a"
    assert cancelled.cancelled()


async def test_the_earliest_of_several_delays_counts() -> None:
    queue: Queue[str] = Queue()
    queue.add_after("late", 3600)
    queue.add_after("a", 3600)
    queue.add_after("a", 0.01)
    queue.add_after("a", 3600)
    async with asyncio.timeout(1):
        assert await queue.get() == "a"
    queue.done("a")
    queue.close()


async def test_processing_a_key_drops_its_delay() -> None:
    queue: Queue[str] = Queue()
    queue.add_after("a", 0.01)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    await asyncio.sleep(0.03)
    assert len(queue) == 0


async def test_failures_wait_longer_until_forgotten() -> None:
    queue: Queue[str] = Queue(Backoff(first=1, most=1000))
    first, second, third = (queue.retry("a") for _ in range(3))
    assert first <= 1 <= second <= 2 <= third <= 4
    queue.forget("a")
    assert queue.retry("a") <= 1
    queue.close()


async def test_closing_stops_the_workers() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    assert await queue.get() == "a"
    waiting: Any = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("b", 0)
    queue.close()
    queue.add("c")
    queue.done("a")
    with pytest.raises(QueueClosedError):
        await waiting


@given(st.floats(0.001, 10), st.floats(10, 1000), st.integers(1, 10_000))
def test_backoff_bounds(first: float, most: float, failures: int) -> None:
    seconds = Backoff(first, most).seconds(failures)
    ceiling = min(most, first * 2.0 ** min(failures - 1, 64))
    assert ceiling / 2 <= seconds <= ceiling
