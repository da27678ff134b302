"""Where text leaves the command line: with `console`, the only module that writes to a terminal.

What commands show comes from registries, nodes, events and objects of tenants. Everything passes here, so that none of
it moves a cursor, retitles a window, reorders a line or shows a credential: control characters, bidirectional marks,
characters of no width and lone surrogates are escaped, credentials hidden, texts cut.
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

MAX_LENGTH: Final = MAX_INPUT  # characters of one text: a cell, a message, a value of JSON or of the log
KEEP: Final = "\n\t"  # what text of several lines has
_VERBATIM: Final = frozenset({"data"})  # fields of JSON that hold base64 of certificates, which only looks like secrets
_MAX_LINES: Final = 200  # of a traceback
_MAX_DEPTH: Final = 32  # levels of a value of the log


def safe(text: str) -> str:
    """Return text as it may be shown: redacted, printable but for line ends and tabs, of at most MAX_LENGTH."""
    shown = printable(redact(text[: MAX_LENGTH + 1]), KEEP)
    return shown if len(shown) <= MAX_LENGTH else f"{shown[: MAX_LENGTH - 1]}…"


def line(text: str) -> str:
    """Return text as it may be shown in one line."""
    return clean(text, MAX_LENGTH)


def lines(text: str) -> str:
    """Return a traceback as it may be shown: each line cut, and the last of them, which say most."""
    return "\n".join(map(safe, text.split("\n")[-_MAX_LINES:]))


def safe_value(value: Any, depth: int = 0) -> Any:
    """Return a value for JSON with all text in it safe, and whatever JSON does not have as text."""
    if isinstance(value, str):
        return safe(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {safe(str(key)): _field(key, one, depth) for key, one in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [safe_value(one, depth + 1) for one in value]
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
    """Print what is for a file or a pipe as it is, credentials too; on a terminal only what cannot act on it."""
    _write(printable(text, KEEP) if sys.stdout.isatty() else text, nl=nl)


def _write(text: str, *, err: bool = False, nl: bool = True) -> None:
    # Named, since click would write UTF-8 where ASCII was asked for.
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl)


class Formatter(logging.Formatter):
    """Makes records of the standard library's log safe, tracebacks too."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Return the line of a record."""
        return line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the lines of a traceback."""
        return lines(super().formatException(ei))


def guard() -> None:
    """Make safe what others print: Python's tracebacks, libraries' logs, characters that a stream cannot encode."""
    sys.excepthook = _excepthook
    if logging.lastResort:
        logging.lastResort.setFormatter(Formatter())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _write(lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")), err=True)
