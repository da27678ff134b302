"""Commands and manifests of a page of the documentation, taken from there, so that a test does what readers do."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from trustplane.local.stack import Stack

DOCS = Path(__file__).parents[2] / "docs"
SECONDS = 120
_BLOCK = re.compile(r"```(\w+)\n(.*?)```\n", re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# For machines without OpenSSH's client; of a PATH it is the last.
_KEYGEN = """
import sys
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

path, key = sys.argv[sys.argv.index("-f") + 1], Ed25519PrivateKey.generate()
private = form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
open(path, "wb").write(key.private_bytes(*private))
public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
open(path + ".pub", "wb").write(public + b"\\n")
"""

Json = dict[str, Any]


class Page:
    """A page, and a folder in which its commands run, against one stack."""

    def __init__(self, name: str, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self._sections = dict(_sections((DOCS / name).read_text()))
        programs, last = folder / "bin", folder / "last"
        _program(programs / "trustplane", f'exec {sys.executable} -m trustplane "$@"\n')
        (folder / "keygen.py").write_text(_KEYGEN)
        _program(last / "ssh-keygen", f'exec {sys.executable} {folder / "keygen.py"} "$@"\n')
        path = os.pathsep.join([str(programs), str(stack.bin), os.environ["PATH"], str(last)])
        self._environment = {**os.environ, "PATH": path, "KUBECONFIG": str(stack.kubeconfig)}

    def commands(self, heading: str) -> list[str]:
        """Return what a section has after its prompts."""
        blocks = [text for language, text in self._blocks(heading) if language == "console"]
        return [line.removeprefix("$ ") for text in blocks for line in text.splitlines() if line.startswith("$ ")]

    def manifest(self, heading: str, kind: str) -> Json:
        """Return the object of that kind in a section."""
        texts = [text for language, text in self._blocks(heading) if language == "yaml"]
        found = [one for text in texts for one in yaml.safe_load_all(text) if one.get("kind") == kind]
        assert len(found) == 1, f"{heading} has {len(found)} manifests of kind {kind}"
        return dict(found[0])

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell, in the folder."""
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=self._environment,
            text=True,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    def follow(self, heading: str) -> str:
        """Run each command of a section, all of which must succeed; return what they said on standard error."""
        commands = self.commands(heading)
        assert commands, f"{heading} has no commands"
        done = [(one, self.run(one)) for one in commands]
        assert all(each.returncode == 0 for _, each in done), "\n".join(f"$ {one}\n{each.stderr}" for one, each in done)
        return "".join(each.stderr for _, each in done)

    def _blocks(self, heading: str) -> list[tuple[str, str]]:
        return [(found[1], found[2]) for found in _BLOCK.finditer(self._sections[heading])]


def _sections(text: str) -> list[tuple[str, str]]:
    """Return headings with the text up to the next heading; what is in blocks is no heading."""
    blank = _BLOCK.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    headings = list(_HEADING.finditer(blank))
    ends = [*(one.start() for one in headings[1:]), len(text)]
    return [(one[1], text[one.end() : end]) for one, end in zip(headings, ends, strict=True)]


def _program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
