"""No task outlives its caller's failure, cancellation or block."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from trustplane.kube.tasks import beside, settled, together


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture(autouse=True)
async def no_task_is_left() -> Any:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def for_ever(ended: list[str]) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)  # ending takes a while
        ended.append("for ever")
    return ""


async def soon(ended: list[str], value: str = "soon") -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ended.append(value)
    return value


async def failing(text: str = "failed") -> str:
    await asyncio.sleep(0)
    raise ValueError(text)


async def test_together_returns_all_results(ended: list[str]) -> None:
    assert await together(soon(ended, "a"), soon(ended, "b")) == ("a", "b")


async def test_together_ends_the_others_before_it_raises_the_failure_itself(ended: list[str]) -> None:
    with pytest.raises(ValueError, match="failed"):
        await together(for_ever(ended), failing())
    assert ended == ["for ever"]


async def test_settled_lets_the_others_finish_before_it_raises(ended: list[str]) -> None:
    with pytest.raises(ValueError, match="first"):
        await settled(soon(ended), failing("first"), failing("second"))
    assert ended == ["soon"]


async def test_beside_ends_with_its_block(ended: list[str]) -> None:
    async with beside(for_ever(ended), failing()):
        await soon(ended)
    assert ended == ["soon", "for ever"]


def ways() -> Iterator[Callable[[list[str]], Awaitable[Any]]]:
    async def block(ended: list[str]) -> None:
        async with beside(for_ever(ended)):
            await asyncio.Event().wait()

    yield lambda ended: together(for_ever(ended), soon([]))
    yield lambda ended: settled(for_ever(ended), failing())
    yield block


@pytest.mark.parametrize("way", list(ways()))
async def test_cancellation_leaves_no_task(way: Callable[[list[str]], Awaitable[Any]], ended: list[str]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await way(ended)
    assert ended == ["for ever"]
