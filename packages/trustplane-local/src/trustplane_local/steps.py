"""How the stack tells people what it does."""

from contextlib import AbstractContextManager
from typing import Protocol


class Steps(Protocol):
    """What `up` and `down` report to; several steps may be under way at once."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Show a step while the block runs, and its seconds when it ends."""

    def build(self, step: str, done: int, total: int) -> None:
        """Show that a build begins `step` after `done` of `total` steps."""

    def note(self, text: str) -> None:
        """Show a line that stays."""
