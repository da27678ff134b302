"""Structured concurrency: no task outlives its caller.

Only this module and the few places listed in `pyproject.toml` create tasks; the linter rejects `asyncio.create_task`,
`asyncio.gather` and `asyncio.ensure_future` elsewhere. When one coroutine fails, `asyncio.gather` leaves the others
running: they would keep writing during the retry, even after the lease is lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar, cast, overload

_MAX_BLOCKING: Final = 0.02  # seconds that long work may block other tasks

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


async def first(*works: Coroutine[Any, Any, Any]) -> int:
    """Run coroutines until the first ends; cancel the others and wait for them.

    Returns:
        Index in `works` of the coroutine that ended; the lowest if several ended.

    Raises:
        BaseException: the exception of a coroutine that ended.
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
async def together(a: Coroutine[Any, Any, A], b: Coroutine[Any, Any, B], /) -> tuple[A, B]: ...
@overload
async def together(
    a: Coroutine[Any, Any, A], b: Coroutine[Any, Any, B], c: Coroutine[Any, Any, C], /
) -> tuple[A, B, C]: ...
@overload
async def together(*works: Coroutine[Any, Any, A]) -> tuple[A, ...]: ...
async def together(*works: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Run coroutines concurrently; return their results.

    If one fails, cancel the others and wait for them before raising.

    Raises:
        BaseException: the first failure itself, not an exception group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise cast("BaseException", failed.exceptions[0]) from None
    return tuple(task.result() for task in tasks)


async def settled(*works: Coroutine[Any, Any, A]) -> tuple[A, ...]:
    """Run coroutines concurrently, each to its end even if another fails; return their results.

    Raises:
        Exception: after all have ended, the failure of the first failed coroutine in the order of `works`.
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
    """Yields to other tasks during long work on data whose size a tenant controls."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()

    async def take(self) -> None:
        """Yield if the last yield is long ago; frequent calls are cheap."""
        if self._clock() - self._since >= _MAX_BLOCKING:
            await asyncio.sleep(0)
            self._since = self._clock()


@contextlib.asynccontextmanager
async def beside(*works: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run coroutines in the background of the block; cancel them and wait for them at its end.

    Their exceptions are dropped: the block must not depend on their outcome.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
