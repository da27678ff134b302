"""The build cache: where it is, who may write to it, and which files in it are whole.

A file counts only when its record in the folder's manifest matches it. Files are written under another name, synced
and renamed, then recorded; so a build that was killed leaves either a whole file or none that counts.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return $TRUSTPLANE_CACHE, else the folder `trustplane` in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := environment.get("TRUSTPLANE_CACHE"):
        return Path(chosen).absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "trustplane"


@contextmanager
def lock_file(file: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock on that file; call `waiting` first when another process has it. A dead process holds none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Record(msgspec.Struct, frozen=True):
    """What a whole file looked like when it was finished."""

    size: int  # bytes
    mtime: int  # nanoseconds since 1970
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "Record":
        """Describe a file as it is now."""
        status = file.stat()
        return cls(size=status.st_size, mtime=status.st_mtime_ns, sha256=digest(file))

    def matches(self, file: Path) -> bool:
        """Tell whether the file is the recorded one; its digest decides only where times differ (a copied cache)."""
        try:
            status = file.stat()
        except FileNotFoundError:
            return False
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime or digest(file) == self.sha256


class FileRecords:
    """The records of a folder's finished files, by their path inside it, kept in `manifest.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "manifest.json"
        self._records = self._read()

    def _read(self) -> dict[str, Record]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Record])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}  # nothing can be trusted: everything is built again

    def whole(self, name: str) -> bool:
        """Tell whether that file was finished and is unchanged since."""
        record = self._records.get(name)
        return record is not None and record.matches(self._folder / name)

    def add(self, name: str, finished: Path) -> None:
        """Move a finished file to its name in the folder, and record it."""
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(finished)
        finished.rename(target)
        self._records[name] = Record.of(target)
        draft = self._file.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self._records)))
        sync(draft)
        draft.rename(self._file)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync(file: Path) -> None:
    """Wait until the file's content is on disk, so that a rename never outruns it."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
