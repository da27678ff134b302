"""Several things at a time, none of which outlives whoever began them.

Tasks are made here, and in the few places that `pyproject.toml` names; the linter refuses `asyncio.create_task`,
`asyncio.gather` and `asyncio.ensure_future` elsewhere. `asyncio.gather` leaves the others running when one fails: they
would go on writing beside the retry, even after the lease is lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar, cast, overload

_TURN: Final = 0.02  # seconds that long work may hold up others in one go

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


async def first(*works: Coroutine[Any, Any, Any]) -> int:
    """Run coroutines until one of them ends; cancel the others and wait for them.

    Returns:
        The place in `works` of the one that ended; of several, the first.

    Raises:
        BaseException: what the one that ended raised.
    """
    tasks = [asyncio.create_task(work) for work in works]
    ended: list[asyncio.Task[Any]] = []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
    return tasks.index(ended[0])


@overload
async def together(one: Coroutine[Any, Any, A], two: Coroutine[Any, Any, B], /) -> tuple[A, B]: ...
@overload
async def together(
    one: Coroutine[Any, Any, A], two: Coroutine[Any, Any, B], three: Coroutine[Any, Any, C], /
) -> tuple[A, B, C]: ...
@overload
async def together(*works: Coroutine[Any, Any, A]) -> tuple[A, ...]: ...
async def together(*works: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Run coroutines at the same time; return what each of them returns.

    Where one fails, the others are cancelled, and have ended before this returns.

    Raises:
        BaseException: What the one that failed first raised, not a group of it.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise cast("BaseException", failed.exceptions[0]) from None
    return tuple(task.result() for task in tasks)


async def settled(*works: Coroutine[Any, Any, A]) -> tuple[A, ...]:
    """Run coroutines at the same time, each to its end even where another one fails; return what they return.

    Raises:
        Exception: What the first of `works` that failed raised, when all have ended.
    """

    async def settle(work: Coroutine[Any, Any, A]) -> tuple[A | None, Exception | None]:
        try:
            return await work, None
        except Exception as error:  # noqa: BLE001  raised below
            return None, error

    results = await together(*map(settle, works))
    for _, error in results:
        if error is not None:
            raise error
    return tuple(cast("A", result) for result, _ in results)


class Pauses:
    """The turns of others within long work on data, of which strangers decide how much there is."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()

    async def take(self) -> None:
        """Let others have their turn, if none was had for some time; to ask often costs little."""
        if self._clock() - self._since >= _TURN:
            await asyncio.sleep(0)
            self._since = self._clock()


@contextlib.asynccontextmanager
async def beside(*works: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run coroutines for the length of the block; at its end they are cancelled, and have ended.

    What they raise is nobody's: the block must not depend on how they end.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
