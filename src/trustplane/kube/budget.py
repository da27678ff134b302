"""Memory budget for data from tenants' API servers, per server and in total. Counts bytes; stores no data.

A limit per server alone does not help: a tenant who may create one cluster may create eight. With a total limit alone,
one server starves the others. Each share therefore has a guaranteed part, a maximum, and more while the total allows.
"""

from types import TracebackType
from typing import Final, Self

MAX_KEPT: Final = 16 << 20  # weight of an informer's copy or a list of a tenant's server
GUARANTEED: Final = 1 << 20  # bytes of each share, regardless of the others


class Total:
    """The bytes that all shares together may hold beyond their guaranteed parts."""

    def __init__(self, most: int) -> None:
        """Start with nothing held."""
        self.most = most
        self.used = 0


TENANTS: Final = Total(256 << 20)


def _beyond(size: int) -> int:
    return max(0, size - GUARANTEED)


class Share:
    """The bytes held for one purpose: a response, a list, an informer's copy. Single-threaded; close it at the end.

    Args:
        most: maximum bytes; None: unlimited.
        total: the total that this share counts against.
    """

    def __init__(self, most: int | None, total: Total) -> None:
        """Start with nothing held."""
        self.held = 0
        self._most = most
        self._total = total

    def hold(self, size: int) -> bool:
        """Set the held bytes to `size`; return False, without effect, if the limits do not allow it."""
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
        """Release all bytes."""
        self.hold(0)

    def __enter__(self) -> Self:
        """Return this share."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release all bytes."""
        self.close()


def share_for(kept: int | None, most: int) -> Share:
    """Return a share of at most `most` bytes for a client with limit `kept`; None: the trusted management cluster.

    A client with a limit above MAX_KEPT belongs to a command in a separate process, and gets a separate total.
    """
    if kept is None:
        return Share(None, Total(0))
    return Share(most, TENANTS if kept <= MAX_KEPT else Total(most))
