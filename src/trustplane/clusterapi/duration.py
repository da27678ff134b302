"""Go durations, the way the original writes time limits: `90s`, `1h30m`, `0s`."""

import math
import re

from trustplane.api.limits import DURATION_PATTERN

_PART = re.compile(r"(?<![0-9.])([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_LENGTH = 64  # characters of a duration
_MAX_SECONDS = 2**31 - 1  # Cluster API counts in int32


def parse_duration(text: str) -> int:
    """Return whole seconds, rounded up so that a limit never becomes none; 0 for an empty or unreadable text.

    The schema of our kinds refuses what cannot be read, so unreadable text is only met in objects of older schemas.
    """
    if len(text) > _MAX_LENGTH or not re.match(DURATION_PATTERN, text):
        return 0
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return math.ceil(min(total, _MAX_SECONDS))
