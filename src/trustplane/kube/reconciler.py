"""The base of reconcilers: each runs as one controller."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

from trustplane.api.keys import Key
from trustplane.kube.controller import Controller, Result, Watch


class Reconciler(ABC):
    """Brings objects closer to their desired state, one key at a time.

    Attributes:
        name: In logs and metrics.
        workers: Number of keys reconciled concurrently.
    """

    name: ClassVar[str]
    workers: ClassVar[int] = 4

    @abstractmethod
    def _watches(self) -> list[Watch[Any]]:
        """Return the sources of keys."""

    @abstractmethod
    async def reconcile(self, key: Key) -> Result:
        """Bring one object closer to its desired state; see `Controller`."""

    async def close(self) -> None:  # noqa: B027  most have no background work
        """End background work; called when the controller ends."""

    def controller(self) -> Controller:
        """Return the controller of this reconciler, the same at each call."""
        return self._controller

    @cached_property
    def _controller(self) -> Controller:
        return Controller(self.name, self.reconcile, self._watches(), workers=self.workers, close=self.close)

    def wake(self, key: Key, *, after: float = 0.0) -> None:
        """Reconcile a key for a reason outside the watches, after this many seconds."""
        self._controller.wake(key, after=after)
