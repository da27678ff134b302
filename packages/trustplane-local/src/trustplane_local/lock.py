"""A lock on a state folder: one command at a time. `down` removes the lock together with the folder."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK_NAME = "lock"


@contextmanager
def lock_folder(folder: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the folder's lock within the block; create the folder if it is missing. A dead process holds no lock.

    Args:
        folder: The state folder.
        waiting: Called once if another process holds the lock.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = (folder / LOCK_NAME).open("a")
        except FileNotFoundError:
            continue  # a concurrent `down` removed the new folder
        with handle:
            _acquire(handle, waiting)
            if _is_at(handle, folder / LOCK_NAME):
                yield
                return


def _acquire(handle: IO[str], waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_at(handle: IO[str], file: Path) -> bool:
    """Return whether the path still leads to the locked file: the previous holder may have removed it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
