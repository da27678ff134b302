"""Progress of steps: a live line on a terminal, otherwise one plain line per step."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Terminal:
    """Shows the steps of `up`, `down` and `build`. Concurrent steps share one live line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Status | None = None
        self._running: dict[str, str] = {}  # step: current activity

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """Show a step while the block runs, then its result and duration."""
        start = time.monotonic()
        self._running[name] = name
        self._update()
        try:
            yield
        except Exception:
            self._end(name, ("✗", "red"), start)
            raise
        except BaseException:  # interrupted, or cancelled because another step failed
            self._forget(name)
            raise
        self._end(name, ("✓", "green"), start)

    def build(self, step: str, done: int, total: int) -> None:
        """Show that a build starts `step` after `done` of `total` steps."""
        if done == total:
            return
        text = f"{step} ({done + 1} of {total})"
        if self._console.is_terminal and self._running:
            innermost = list(self._running)[-1]
            self._running[innermost] = f"{innermost}: {text}"
            self._update()
        else:
            self.note(f"building {text}")

    def note(self, text: str) -> None:
        """Print a permanent line."""
        self._console.print(Text(text), highlight=False, soft_wrap=True)

    def _end(self, name: str, sign: tuple[str, str], start: float) -> None:
        self._forget(name)
        seconds = (f"{time.monotonic() - start:.1f} s", "dim")
        self._console.print(Text.assemble(sign, f" {name} ", seconds), highlight=False)

    def _forget(self, name: str) -> None:
        del self._running[name]
        self._update()

    def _update(self) -> None:
        if not self._console.is_terminal:
            return
        text = Text(", ".join(self._running.values()))
        if self._live is None:
            self._live = self._console.status(text)
            self._live.start()
        elif text:
            self._live.update(text)
        else:
            self._live.stop()
            self._live = None
