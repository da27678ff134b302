"""The pace of a watch: continuous while changes are few, short watches with pauses while they are many.

An API server sends each change immediately, in a separate packet; receiving it costs more than processing it. Changes
from before the start of a watch arrive together. An API server keeps at least 75 seconds of them
(`DefaultEventFreshDuration` of its watch cache); a client that reconnects later lists again.
"""

import random
from dataclasses import dataclass
from typing import Final

_MANY: Final = 5.0  # changes per second
_SAMPLE: Final = 100  # changes before their rate is reliable
_SHORTEST: Final = 1  # second, the shortest timeout of a watch


@dataclass
class Pace:
    """The pace of one reader, which reports the start, changes and end of each watch. Does no I/O.

    Args:
        idle: seconds of silence after which the server is considered dead.
        rest: seconds between two watches while changes are many; 0: always watch continuously.
    """

    idle: float = 90.0
    rest: float = 0.0
    is_busy: bool = False
    _since: float = 0.0  # start of the counting period
    _changes: int = 0

    def begin(self, now: float) -> int:
        """Return the duration in seconds of the watch that starts now.

        A long watch ends well before `idle`: the server sends no bookmarks while no object of the kind changes.
        """
        if not self.is_busy:  # if busy, the first changes happened during the rest and count
            self._since, self._changes = now, 0
        return _SHORTEST if self.is_busy else max(1, int(self.idle * random.uniform(0.5, 0.7)))  # noqa: S311  spreads

    def count(self, now: float) -> bool:
        """Count a change; return whether to end the watch because changes are too frequent."""
        self._changes += 1
        if self.is_busy or not self.rest or self._changes < _SAMPLE:
            return False
        self.is_busy = self._are_many(now)
        return self.is_busy

    def end(self, now: float) -> float:
        """Return the seconds to rest after a watch that ended normally."""
        if self.is_busy:
            self.is_busy = self._are_many(now)
            self._since, self._changes = now, 0
        return self.rest if self.is_busy else 0.0

    def _are_many(self, now: float) -> bool:
        return self._changes > _MANY * (now - self._since)
