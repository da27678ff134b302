"""Retry delays."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter.

    Args:
        first: maximum seconds after the first failure.
        most: maximum seconds of any wait.
    """

    first: float = 0.25
    most: float = 60.0

    def seconds(self, failures: int) -> float:
        """Return the wait in seconds after this many consecutive failures: half fixed, half random.

        The random half keeps clients from retrying in step after a server recovers.
        """
        ceiling = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return ceiling / 2 + random.uniform(0, ceiling / 2)  # noqa: S311  no secret depends on it
