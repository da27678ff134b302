"""Times of requests: what a command writes so that the manager sees a new request, and handles it now. Pure.

A request is an annotation with a time. The manager handles it once: when that time has come by its own clock, and if
it is later than the last request that it handled. Clocks differ: a requester whose clock is behind must still write
a later time than the last handled request.
"""

from datetime import datetime, timedelta

from trustplane.trust.recorded import MAX_CLOCK_SKEW

_TICK = timedelta(microseconds=1)  # the resolution of annotations


def next_request_time(now: datetime, *, handled: datetime | None = None, requested: datetime | None = None) -> datetime:
    """Return the time of a new request: now, or directly after the last request that has been handled.

    A request that is scheduled for the future does not delay the new one, which takes its place.

    Args:
        now: The current time by the requester's clock.
        handled: The last request known to be handled.
        requested: The last request, which may have been handled: a time more than MAX_CLOCK_SKEW ahead is a schedule.
    """
    if requested is not None and requested - now > MAX_CLOCK_SKEW:
        requested = None
    return max([now, *(at + _TICK for at in (handled, requested) if at is not None)])
