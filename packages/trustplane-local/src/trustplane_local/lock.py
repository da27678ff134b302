"""One command at a time on a state folder; the lock goes with the folder that `down` removes."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK_NAME = "lock"


@contextmanager
def lock_folder(folder: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the folder's lock, making the folder if need be; a process that dies holds it no longer.

    Args:
        folder: the state folder.
        waiting: called once when another process holds the lock.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = (folder / LOCK_NAME).open("a")
        except FileNotFoundError:
            continue  # removed with the folder by a `down`, right after we made it
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
    """Tell whether the file that we locked is still the one of that name: whom we waited for may have removed it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
