"""How long-running builds tell what they do."""

from typing import Protocol


class Progress(Protocol):
    """Called before each step of a build, and once at its end with `done == total`."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `step` begins (such as `kubelet`) after `done` of `total` steps."""
