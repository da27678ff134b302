"""Where what is drawn leaves the command line: tables, styled lines, live progress.

Styles are ours alone: a string is never markup, `rich.text.Text` is for what has a style.
"""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import rich.console
from rich.segment import Segment
from rich.text import Text

from trustplane.cli.output import KEEP, safe
from trustplane.text import printable

_WIDE: Final = 10_000  # characters: output that is not a terminal is not wrapped


class Console(rich.console.Console):
    """Prints only what may be shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a string renderable, safe before anything measures it."""
        return _safe_text(super().render_str(text, **options))

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, with all text safe; controls are rich's own."""
        shown = _safe_text(renderable) if isinstance(renderable, Text) else renderable
        for text, style, control in super().render(shown, options):
            yield Segment(text if control else printable(text, KEEP), style, control)


def _safe_text(text: Text) -> Text:
    """Return text that may be shown; what had to be changed loses its styles, which belong to other places now."""
    shown = safe(text.plain)
    return text if shown == text.plain else text.blank_copy(shown)


def console(*, to_stderr: bool = False, width: int = _WIDE) -> Console:
    """Return where tables go.

    Args:
        to_stderr: To standard error.
        width: In characters, where nobody's terminal wraps lines.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    return Console(width=None if stream.isatty() else width, stderr=to_stderr)


def progress(text: str) -> AbstractContextManager[object]:
    """Say on standard error what is being waited for; nothing where nobody watches."""
    return Console(stderr=True).status(Text(text)) if sys.stderr.isatty() else nullcontext()
