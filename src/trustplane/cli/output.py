"""Sanitised output of text: with `console`, the only module that writes to a terminal.

Output quotes registries, nodes, events and tenants' objects. To keep such text from moving the cursor, changing the
window title, reordering lines or revealing credentials, this module escapes control characters, bidirectional marks,
zero-width characters and lone surrogates, redacts credentials, and shortens long texts.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Final

import click

from trustplane.text import MAX_INPUT, clean, printable, redact

MAX_LENGTH: Final = MAX_INPUT  # characters of one text: a table cell, a message, a value in JSON or the log
KEEP: Final = "\n\t"  # control characters kept in multi-line text
_VERBATIM: Final = frozenset({"data"})  # JSON fields with base64 certificates, which only look like secrets
_MAX_LINES: Final = 200  # lines of a traceback
_MAX_DEPTH: Final = 32  # nesting of a log value


def safe(text: str) -> str:
    """Return text redacted, printable except for line ends and tabs, and cut to MAX_LENGTH."""
    shown = printable(redact(text[: MAX_LENGTH + 1]), KEEP)
    return shown if len(shown) <= MAX_LENGTH else f"{shown[: MAX_LENGTH - 1]}…"


def safe_line(text: str) -> str:
    """Return text sanitised into a single line."""
    return clean(text, MAX_LENGTH)


def safe_traceback(text: str) -> str:
    """Return the last, most informative lines of a traceback, each sanitised."""
    return "\n".join(map(safe, text.split("\n")[-_MAX_LINES:]))


def safe_value(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with all text sanitised; values of other types become text."""
    if isinstance(value, str):
        return safe(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {safe(str(key)): _field(key, field, depth) for key, field in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [safe_value(item, depth + 1) for item in value]
    return safe(repr(value))


def _field(key: object, value: Any, depth: int) -> Any:
    return value if key in _VERBATIM and isinstance(value, str) else safe_value(value, depth + 1)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines for people."""
    _write(safe(text), err=err)


def echo_json(document: Any, *, err: bool = False) -> None:
    """Print a document for programs, in ASCII."""
    _write(json.dumps(safe_value(document), indent=2), err=err)


def echo_data(text: str, *, nl: bool = True) -> None:
    """Print data for a file or pipe verbatim, including credentials; on a terminal, escape control characters."""
    _write(printable(text, KEEP) if sys.stdout.isatty() else text, nl=nl)


def _write(text: str, *, err: bool = False, nl: bool = True) -> None:
    # Pass the stream: click's default would write UTF-8 even if PYTHONIOENCODING asks for ASCII.
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl)


class Formatter(logging.Formatter):
    """Sanitises records and tracebacks of the standard library's logging."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line of a record."""
        return safe_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the lines of a traceback."""
        return safe_traceback(super().formatException(ei))


def guard_streams() -> None:
    """Sanitise output outside this module: tracebacks, libraries' logs, and characters a stream cannot encode."""
    sys.excepthook = _excepthook
    if logging.lastResort:
        logging.lastResort.setFormatter(Formatter())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _write(safe_traceback("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")), err=True)
