"""Logging, signals and event loop of the long-running commands."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import click
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict

from trustplane.cli.output import Formatter, safe_line, safe_traceback, safe_value

# Tracebacks in the log omit local variables, which may hold keys and passwords.
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def run(service: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a service until it ends; SIGTERM and SIGINT set its stop event for a clean end.

    The log goes to standard error, at level debug with `trustplane --verbose`.

    Args:
        service: runs until the event is set.
    """
    log_to_stderr(verbose=is_verbose())

    async def until_signalled() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await service(stop)

    asyncio.run(until_signalled())


def is_verbose() -> bool:
    """Return whether the running command was called as `trustplane --verbose ...`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().params.get("verbose"))


def log_to_stderr(*, verbose: bool = False, quiet: bool = False) -> None:
    """Send the log to standard error: coloured lines on a terminal, otherwise JSON lines.

    Args:
        verbose: log from level debug.
        quiet: log errors only, for commands with their own output; `verbose` takes precedence.
    """
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if terminal else _TRACEBACKS,
            _sanitise_lines if terminal else _sanitise_json,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    # Libraries (asyncssh, uvicorn, aiohttp) use the standard library's logging: pass on warnings and errors only.
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _sanitise_json(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {key: safe_value(value) for key, value in event.items()}


def _sanitise_lines(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Allow several lines in tracebacks only: other values must not look like separate events."""
    values = {key: value if isinstance(value, str) else repr(value) for key, value in event.items()}
    return {
        safe_line(key): safe_traceback(value) if key == "exception" else safe_line(value)
        for key, value in values.items()
    }
