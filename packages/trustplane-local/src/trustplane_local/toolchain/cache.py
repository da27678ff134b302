"""The build cache: its location, its locks, and the records of complete files.

A file is valid only if it matches its record in the folder's manifest. Files are written under a temporary name,
synced, renamed, and then recorded: a killed build leaves no incomplete file with a record.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return $TRUSTPLANE_CACHE, else folder `trustplane` in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := environment.get("TRUSTPLANE_CACHE"):
        return Path(chosen).absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "trustplane"


@contextmanager
def lock_file(file: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold a file's lock within the block; call `waiting` if another process holds it. A dead process holds no lock."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Record(msgspec.Struct, frozen=True):
    """Size, time and digest of a complete file."""

    size: int  # bytes
    mtime: int  # nanoseconds since 1970
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "Record":
        """Return the record of a file's current content."""
        status = file.stat()
        return cls(size=status.st_size, mtime=status.st_mtime_ns, sha256=digest(file))

    def matches(self, file: Path) -> bool:
        """Return whether a file matches the record. If only the time differs (a copied cache), the digest decides."""
        try:
            status = file.stat()
        except FileNotFoundError:
            return False
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime or digest(file) == self.sha256


class FileRecords:
    """The records of a folder's complete files, by relative path, stored in `manifest.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "manifest.json"
        self._records = self._read()

    def _read(self) -> dict[str, Record]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Record])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}  # without records, everything is rebuilt

    def is_complete(self, name: str) -> bool:
        """Return whether a file is complete and unchanged."""
        record = self._records.get(name)
        return record is not None and record.matches(self._folder / name)

    def add(self, name: str, finished: Path) -> None:
        """Move a complete file into the folder, and record it."""
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
    """Wait until a file's content is on disk; otherwise a rename could reach the disk before it."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
