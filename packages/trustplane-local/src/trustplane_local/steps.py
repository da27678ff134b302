"""Progress of `up`, `down` and `build`, as an interface."""

from contextlib import AbstractContextManager
from typing import Protocol


class Steps(Protocol):
    """Shows the progress of a command. Several steps may run concurrently."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Show a step while the block runs, then its duration."""

    def build(self, step: str, done: int, total: int) -> None:
        """Show that a build starts `step` after `done` of `total` steps."""

    def note(self, text: str) -> None:
        """Print a permanent line."""
