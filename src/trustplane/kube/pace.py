"""How a watch is read: change by change while there are few, in one go now and then while there are many.

An API server sends each change as soon as it has happened, in a packet of its own: reading it, and not what it says, is
most of what a change costs. What happened before a watch began is sent together; an API server remembers 75 seconds of
it at least (`DefaultEventFreshDuration` of its watch cache), and a reader that came too late lists again.
"""

import random
from dataclasses import dataclass
from typing import Final

_MANY: Final = 5.0  # changes a second
_SURELY: Final = 100  # changes, after which their rate is known
_GLANCE: Final = 1  # second, the shortest watch that can be asked for


@dataclass
class Pace:
    """The pace of one reader, who says when a watch begins, what it brings, and when it ended. Does no I/O.

    Args:
        idle: Seconds of silence after which the server is held to be dead.
        rest: Seconds between two watches while changes are many; 0: all are read as they come.
    """

    idle: float = 90.0
    rest: float = 0.0
    is_busy: bool = False
    _since: float = 0.0  # when the changes began that are counted
    _changes: int = 0

    def begin(self, now: float) -> int:
        """Return how many seconds to watch from now on.

        A long watch ends well before the server is held to be dead: bookmarks cannot be relied on, since there are none
        while no object of the kind changes.
        """
        if not self.is_busy:  # else what comes first happened during the rest
            self._since, self._changes = now, 0
        return _GLANCE if self.is_busy else max(1, int(self.idle * random.uniform(0.5, 0.7)))  # noqa: S311  spreads

    def count(self, now: float) -> bool:
        """Count a change; tell whether to leave the watch, because too many come one by one."""
        self._changes += 1
        if self.is_busy or not self.rest or self._changes < _SURELY:
            return False
        self.is_busy = self._are_many(now)
        return self.is_busy

    def end(self, now: float) -> float:
        """Return how many seconds to rest after a watch that ended well."""
        if self.is_busy:
            self.is_busy = self._are_many(now)
            self._since, self._changes = now, 0
        return self.rest if self.is_busy else 0.0

    def _are_many(self, now: float) -> bool:
        return self._changes > _MANY * (now - self._since)
