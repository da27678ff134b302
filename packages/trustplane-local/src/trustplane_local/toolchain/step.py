"""Run a program as a step of a build: messages go to a log, a failure becomes an error with cause and next step."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from trustplane.errors import HostError

TAIL = 20  # lines of output that an error shows


class KnownFailure(NamedTuple):
    """The cause of a known failure."""

    pattern: str  # regular expression, searched in the output
    why: str
    next_step: str


DISK_FULL = KnownFailure(
    "no space left on device|No space left on device",
    "the disk is full",
    "Free some disk space and run the same command again",
)


def run_step(
    what: str,
    command: Sequence[str | Path],
    *,
    folder: Path,
    log: IO[bytes],
    causes: Sequence[KnownFailure],
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Run a program and return its standard output; standard error goes to the log.

    Args:
        what: Name of the step for errors, such as `go build k8s.io/kubernetes/cmd/kubelet`.
        command: Program and arguments.
        folder: Working directory.
        log: An open file, to append to.
        causes: Known causes; an error names the first whose pattern matches.
        environment: None for this process's environment.

    Raises:
        HostError: The program failed; with the end of its output, the cause if known, and the next step.
    """
    log.seek(0, os.SEEK_END)
    start = log.tell()
    completed = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, check=False)
    if completed.returncode:
        messages = Path(log.name).read_bytes()[start:] or completed.stdout
        raise step_error(what, messages.decode(errors="replace"), log=log.name, causes=causes)
    return completed.stdout


def step_error(what: str, output: str, *, log: str, causes: Sequence[KnownFailure]) -> HostError:
    """Return the error for a failed step, with cause and next step."""
    tail = "\n".join(output.splitlines()[-TAIL:])
    unknown = KnownFailure(
        "", "see its output above", "Fix it and run the same command again: completed steps are kept"
    )
    cause = next((cause for cause in causes if re.search(cause.pattern, output)), unknown)
    return HostError(
        f"{what} failed:\n{tail}",
        why=cause.why,
        next_step=f"{cause.next_step}. The full output is in {log}",
    )
