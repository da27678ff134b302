"""The jobs of a run of probes, which may grow while the run goes on."""

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

JobT = TypeVar("J")


class JobQueue(Generic[JobT]):
    """Jobs that nobody has taken yet.

    Args:
        jobs: The first ones.
    """

    def __init__(self, jobs: Iterable[JobT] = ()) -> None:
        self._jobs = list(jobs)
        self._is_closed = False
        self._changed = asyncio.Event()

    @classmethod
    def closed_with(cls, jobs: Iterable[JobT]) -> "Agenda[J]":
        """Return an agenda to which nothing is added."""
        made = cls(jobs)
        made.close()
        return made

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is added."""
        return self._is_closed

    def add(self, job: JobT) -> None:
        """Add a job."""
        self._jobs.append(job)
        self._changed.set()

    def close(self) -> None:
        """Add nothing more."""
        self._is_closed = True
        self._changed.set()

    def take(self) -> list[JobT]:
        """Return the jobs that were added since the last call."""
        taken, self._jobs = self._jobs, []
        if not self._is_closed:
            self._changed.clear()
        return taken

    async def wait(self) -> None:
        """Wait until there is a job to take, or nothing more is added."""
        await self._changed.wait()
