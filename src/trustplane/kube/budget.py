"""How much memory strangers' servers may take of this process, one and all together. Counts, and holds nothing itself.

A limit for each server alone is none: whoever may make one cluster may make eight. With a limit for all together alone,
one of them takes what the others need. So each share has a part in any case, more while there is more, and a most.
"""

from types import TracebackType
from typing import Final, Self

KEPT: Final = 16 << 20  # weight of all that an informer of a stranger's server keeps, or a list holds
SURE: Final = 1 << 20  # bytes that each share has, however much the others hold


class Total:
    """What all shares together may hold, beyond what is sure to each."""

    def __init__(self, most: int) -> None:
        """Begin with nothing held."""
        self.most = most
        self.used = 0


STRANGERS: Final = Total(256 << 20)


def _beyond(size: int) -> int:
    return max(0, size - SURE)


class Share:
    """What is held for one purpose: an answer, a list, an informer's copy. Used by one thread; closed at the end.

    Args:
        most: Bytes that it may hold; None: as many as there are.
        total: Of what it is a share.
    """

    def __init__(self, most: int | None, total: Total) -> None:
        """Begin with nothing held."""
        self.held = 0
        self._most = most
        self._total = total

    def hold(self, size: int) -> bool:
        """Hold so many bytes from now on, more or fewer than before; False: there is no room, and nothing changes."""
        used = self._total.used + _beyond(size) - _beyond(self.held)
        if (
            size > self.held
            and self._most is not None
            and (size > self._most or (_beyond(size) and used > self._total.most))
        ):
            return False
        self.held, self._total.used = size, used
        return True

    def close(self) -> None:
        """Give everything back."""
        self.hold(0)

    def __enter__(self) -> Self:
        """Hold within a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.close()


def share_for(kept: int | None, most: int) -> Share:
    """Return a share of at most `most` for a client of which `kept` may be kept; None: it is of our own server.

    A client of which more may be kept than of a stranger's in general belongs to a command, with a process of its own.
    """
    if kept is None:
        return Share(None, Total(0))
    return Share(most, STRANGERS if kept <= KEPT else Total(most))
