"""What the long-running commands share: logs, signals, the event loop."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import click
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict

from trustplane.cli.output import Formatter, line, lines, safe_value

# Local variables may be keys and passwords: tracebacks in the log show code only.
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def run(service: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a service until it ends; SIGTERM and SIGINT set the event, at which it ends cleanly.

    The log goes to standard error, at level debug with `trustplane --verbose`.

    Args:
        service: Runs until the event is set.
    """
    log_to_stderr(verbose=is_verbose())

    async def until_signalled() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await service(stop)

    asyncio.run(until_signalled())


def is_verbose() -> bool:
    """Tell whether the command that runs was called as `trustplane --verbose ...`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().params.get("verbose"))


def log_to_stderr(*, verbose: bool = False, quiet: bool = False) -> None:
    """Send the log to standard error: JSON lines for machines, coloured lines on a terminal.

    Args:
        verbose: From level debug on.
        quiet: Only errors, for commands that speak for themselves; `verbose` is stronger.
    """
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    terminal = sys.stderr.isatty()
    shown: structlog.types.Processor = structlog.processors.JSONRenderer()
    if terminal:
        shown = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if terminal else _TRACEBACKS,
            _in_lines if terminal else _in_json,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    # Libraries (asyncssh, uvicorn, aiohttp) speak through the standard library: only what is worth a look.
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _in_json(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {key: safe_value(value) for key, value in event.items()}


def _in_lines(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave several lines to tracebacks: no value can look like an event of its own."""
    values = {key: value if isinstance(value, str) else repr(value) for key, value in event.items()}
    return {line(key): lines(value) if key == "exception" else line(value) for key, value in values.items()}
