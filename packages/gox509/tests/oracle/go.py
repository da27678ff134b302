"""The oracle: a Go program, built once, that decides cases."""

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.scenes import Case

from trustplane_local.toolchain.go import find_go, go_candidates

FOLDER = Path(__file__).parent
OLDEST = (1, 26)  # the version that `verification` follows


@dataclass(frozen=True)
class Answer:
    """Go's decision. Chains are SHA-256 fingerprints, leaf first."""

    trusted: bool
    message: str
    chains: list[list[str]]


@dataclass(frozen=True)
class Parsed:
    """What Go reads from a certificate. Times are seconds since 1970."""

    version: int
    serial: str
    commonName: str  # noqa: N815 - as in the program's answer
    notBefore: int  # noqa: N815
    notAfter: int  # noqa: N815
    isCA: bool  # noqa: N815
    names: int  # number of subject alternative names


def build(folder: Path) -> Path:
    """Build the program in a folder, and return its path."""
    program = folder / "oracle"
    go = find_go(OLDEST, go_candidates()).program
    environment = os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    subprocess.run([go, "build", "-o", program, "."], cwd=FOLDER, env=environment, check=True, timeout=600)
    return program


def ask(program: Path, cases: Sequence[Case]) -> list[Answer]:
    """Have the program decide cases. The answers have the order of the cases."""
    return [Answer(**answer) for answer in _ask(program, map(_question, cases))]


def ask_to_parse(program: Path, ders: Sequence[bytes]) -> list[Parsed | str]:
    """Have the program parse certificates. Return for each what it read, or the error."""
    questions = (json.dumps({"parse": base64.b64encode(der).decode()}) for der in ders)
    answers = _ask(program, questions)
    return [Parsed(**answer["parsed"]) if answer["trusted"] else answer["message"] for answer in answers]


def _ask(program: Path, questions: Iterable[str]) -> Iterator[dict[str, Any]]:
    lines = "\n".join(questions)
    completed = subprocess.run([program], input=lines, capture_output=True, text=True, check=True, timeout=600)
    return map(json.loads, completed.stdout.rstrip("\n").split("\n"))


def _question(case: Case) -> str:
    document = {"served": _encode(case.served), "trust": _encode(case.trust), "host": case.host}
    return json.dumps(document | {"at": case.at.isoformat()})


def _encode(ders: Iterable[bytes]) -> list[str]:
    return [base64.b64encode(der).decode() for der in ders]
