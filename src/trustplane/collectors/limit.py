"""Run a collector within a time limit, and report a failure instead of raising it."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trustplane.diagnosis.evidence import CollectorReport
from trustplane.errors import TrustplaneError
from trustplane.text import redact

T = TypeVar("T")


async def collect(source: str, work: Awaitable[T], reports: list[CollectorReport], *, seconds: float) -> T | None:
    """Return a collector's result; None if it fails or exceeds its time limit, with the reason in `reports`."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        reports.append(CollectorReport(source, f"no answer in {seconds:g} s", is_available=False))
    except TrustplaneError as error:
        reports.append(CollectorReport(source, redact(str(error)), is_available=False))
    return None


async def run_in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function in a daemon thread, which does not delay the end of the process.

    The process waits for threads of asyncio's pool: a silent name server would block its end, and Ctrl-C.
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
        except Exception as raised:  # noqa: BLE001 - raised again by the caller's await
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller is left
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
