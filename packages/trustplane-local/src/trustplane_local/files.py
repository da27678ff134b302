"""Files written whole or not at all, and digests that tell whether what a process read has changed."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def write_atomically(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Put content into a file, so that a crash leaves the old one or the new one; an equal file is left alone."""
    if file.exists() and file.read_bytes() == content:
        return
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    draft.rename(file)


def digest_of_files(files: Iterable[Path]) -> str:
    """Return a digest of the files' content; a missing file is as good as an empty one."""
    sums = (hashlib.sha256(file.read_bytes() if file.exists() else b"").digest() for file in files)
    return hashlib.sha256(b"".join(sums)).hexdigest()[:16]
