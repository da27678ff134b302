"""Looking at one thing within its time: what cannot be seen is said, and keeps nobody waiting."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trustplane.diagnosis.evidence import Look
from trustplane.errors import TrustplaneError
from trustplane.text import redact

T = TypeVar("T")


async def look(source: str, work: Awaitable[T], looks: list[Look], *, seconds: float) -> T | None:
    """Wait for what one look finds; None where it fails or takes too long, and `looks` then says why."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        looks.append(Look(source, f"no answer in {seconds:g} s", seen=False))
    except TrustplaneError as error:
        looks.append(Look(source, redact(str(error)), seen=False))
    return None


async def in_thread(function: Callable[[], T]) -> T:
    """Run a function that blocks in a thread of its own, which nobody waits for at the end of the process.

    The pool of asyncio is waited for: a name server that does not answer would hold up the end, and Ctrl-C.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error there is a result

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:  # noqa: BLE001 - handed to whoever waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
