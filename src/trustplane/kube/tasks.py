"""Several things at a time, of which one decides when all end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


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
