import asyncio

import pytest

from trustplane.errors import TransientError
from trustplane.server import inplace
from trustplane.server.inplace import Tasks


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace, "_PATIENCE_SECONDS", 0.02)


async def test_quick_work_is_done_in_one_call() -> None:
    assert await Tasks().run(("a",), lambda: asyncio.sleep(0))


async def test_slow_work_goes_on_between_calls_and_is_started_once() -> None:
    tasks, go, starts = Tasks(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        await go.wait()

    assert not await tasks.run(("a",), work)
    assert not await tasks.run(("a",), work)
    go.set()
    assert await tasks.run(("a",), work)
    assert starts == 1


async def test_what_failed_is_told_once_and_started_again() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise TransientError("off")

    with pytest.raises(TransientError, match="off"):
        await tasks.run(("a",), fail)
    assert await tasks.run(("a",), lambda: asyncio.sleep(0))


async def test_one_machine_does_not_wait_for_another() -> None:
    tasks, forever = Tasks(), asyncio.Event()
    assert not await tasks.run(("a",), lambda: _wait(forever))
    assert await tasks.run(("b",), lambda: asyncio.sleep(0))
    await tasks.close()


async def test_at_the_end_nothing_is_left_running() -> None:
    tasks, ended, began = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert not await tasks.run(("a",), work)
    await tasks.close()
    assert ended.is_set()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
