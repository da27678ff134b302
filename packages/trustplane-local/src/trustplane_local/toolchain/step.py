"""Run one program as a step of a build, its messages in a log, its failure an error that can be acted on."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from trustplane.errors import HostError

TAIL = 20  # lines of output that an error shows


class KnownFailure(NamedTuple):
    """What a known message means."""

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
    """Return what a program answers; its messages go to the log.

    Args:
        what: the step's name in an error, such as `go build k8s.io/kubernetes/cmd/kubelet`.
        command: program and arguments.
        folder: working directory.
        log: an open file, appended to.
        causes: what may go wrong; the first that the messages match is reported.
        environment: None for our own.

    Raises:
        HostError: it failed; with the end of its messages, the likely cause and what to do.
    """
    log.seek(0, os.SEEK_END)
    start = log.tell()
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, check=False)
    if done.returncode:
        messages = Path(log.name).read_bytes()[start:] or done.stdout
        raise step_error(what, messages.decode(errors="replace"), log=log.name, causes=causes)
    return done.stdout


def step_error(what: str, output: str, *, log: str, causes: Sequence[KnownFailure]) -> HostError:
    """Turn the output of a failed step into an error that says why and what to do."""
    tail = "\n".join(output.splitlines()[-TAIL:])
    unknown = KnownFailure(
        "", "its output above says it", "Mend that and run the same command again: what is done is kept"
    )
    cause = next((cause for cause in causes if re.search(cause.pattern, output)), unknown)
    return HostError(
        f"{what} failed:\n{tail}",
        why=cause.why,
        next_step=f"{cause.next_step}. The full output is in {log}",
    )
