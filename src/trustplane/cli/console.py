"""Sanitised output of tables, styled lines and live progress.

Only `rich.text.Text` has styles; a string is never treated as markup.
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

_WIDE: Final = 10_000  # characters: wide enough to never wrap output outside a terminal


class Console(rich.console.Console):
    """A rich console that sanitises all text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Sanitise a string before rich measures it."""
        return _safe_text(super().render_str(text, **options))

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render with all text sanitised; control segments come from rich itself."""
        content = _safe_text(renderable) if isinstance(renderable, Text) else renderable
        for text, style, control in super().render(content, options):
            yield Segment(text if control else printable(text, KEEP), style, control)


def _safe_text(text: Text) -> Text:
    """Return sanitised text; changed text loses its styles, because their positions no longer match."""
    plain = safe(text.plain)
    return text if plain == text.plain else text.blank_copy(plain)


def console(*, to_stderr: bool = False, width: int = _WIDE) -> Console:
    """Return a console for tables.

    Args:
        to_stderr: write to standard error instead of standard output.
        width: width in characters if the stream is not a terminal.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    return Console(width=None if stream.isatty() else width, stderr=to_stderr)


def progress(text: str) -> AbstractContextManager[object]:
    """Show a progress message on standard error within the block, if it is a terminal."""
    return Console(stderr=True).status(Text(text)) if sys.stderr.isatty() else nullcontext()
