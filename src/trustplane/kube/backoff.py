"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter.

    Args:
        first: seconds after the first failure, at most.
        most: seconds that no wait exceeds.
    """

    first: float = 0.25
    most: float = 60.0

    def seconds(self, failures: int) -> float:
        """Return the wait after so many failures in a row: half of it fixed, half of it random.

        The random half keeps many clients of a server that came back from asking it all at once.
        """
        ceiling = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return ceiling / 2 + random.uniform(0, ceiling / 2)  # noqa: S311  no secret depends on it
