"""Queue of the jobs of a probe run; jobs can be added while the run is in progress."""

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

JobT = TypeVar("JobT")


class JobQueue(Generic[JobT]):
    """Queue of pending jobs.

    Args:
        jobs: The initial jobs.
    """

    def __init__(self, jobs: Iterable[JobT] = ()) -> None:
        self._jobs = list(jobs)
        self._is_closed = False
        self._changed = asyncio.Event()

    @classmethod
    def closed_with(cls, jobs: Iterable[JobT]) -> "JobQueue[JobT]":
        """Return a closed agenda: no jobs can be added."""
        agenda = cls(jobs)
        agenda.close()
        return agenda

    @property
    def is_closed(self) -> bool:
        """Whether the agenda accepts no further jobs."""
        return self._is_closed

    def add(self, job: JobT) -> None:
        """Add a job."""
        self._jobs.append(job)
        self._changed.set()

    def close(self) -> None:
        """Accept no further jobs."""
        self._is_closed = True
        self._changed.set()

    def take(self) -> list[JobT]:
        """Remove and return the jobs added since the last call."""
        taken, self._jobs = self._jobs, []
        if not self._is_closed:
            self._changed.clear()
        return taken

    async def wait(self) -> None:
        """Wait until a job is available or the agenda is closed."""
        await self._changed.wait()
