"""The time limits of collectors; a failure or a limit that passes is reported instead of raised."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass
from typing import Final, Self, TypeVar

from trustplane.diagnosis.facts import CollectorReport, Missing
from trustplane.errors import TrustplaneError
from trustplane.text import redact

T = TypeVar("T")
# The errors of reading an answer without the shape that it must have.
_GARBAGE: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class TimeLimits:
    """Time limits of the sources of evidence, in seconds.

    Attributes:
        part: Everything about the node, or about all hosts: several requests in sequence. The longest limit.
        api: A request to an API server.
        node: The inspection of a node over SSH; half of it for the connection.
        handshake: What the node receives from a host.
        second: Mirrors and hosts behind a proxy, which only the node's first report names.
        dial: A connection to a host, with its TLS handshake.
        ask: Name resolution; the requests to a registry.
        issuer: A file that a certificate names.
    """

    part: float = 9.0
    api: float = 5.0
    node: float = 8.0
    handshake: float = 5.0
    second: float = 3.0
    dial: float = 4.0
    ask: float = 4.0
    issuer: float = 2.0

    @classmethod
    def within(cls, longest: float) -> Self:
        """Return limits in the ratios of the default ones, the longest of them being `longest` seconds."""
        return cls(*(seconds * longest / cls.part for seconds in astuple(cls())))


USUAL: Final = TimeLimits()


async def collect(
    source: str,
    work: Awaitable[T],
    reports: list[CollectorReport],
    *,
    seconds: float,
    missing: tuple[Missing, ...] = (),
) -> T | None:
    """Return a collector's result; None if it fails or exceeds its time limit.

    Args:
        source: The source that it reads, as output names it.
        work: The collector.
        reports: Receives the reason if there is no result.
        seconds: Its time limit.
        missing: The parts of the evidence that are missing without its result.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        reports.append(CollectorReport(source, f"no answer in {seconds:g} s", is_available=False, missing=missing))
    except TrustplaneError as error:
        reports.append(CollectorReport(source, redact(str(error)), is_available=False, missing=missing))
    except _GARBAGE as error:
        text = f"its answer cannot be parsed ({type(error).__name__})"
        reports.append(CollectorReport(source, text, is_available=False, missing=missing))
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
