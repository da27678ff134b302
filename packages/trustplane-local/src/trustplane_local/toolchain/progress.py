"""Progress of a build, as an interface."""

from typing import Protocol


class Progress(Protocol):
    """A callback for each step of a build; called once more at the end, with `done == total`."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that a step such as `kubelet` starts after `done` of `total` steps."""
