"""The kubectl of the local stack, typed as a person would."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from trustplane.errors import TransientError
from trustplane_local.demo.story import Story

Json = dict[str, Any]
TIMEOUT_SECONDS = 60


class ShownKubectl:
    """Runs kubectl against one cluster; `show` prints command and output, `get` reads quietly."""

    def __init__(self, story: Story, program: Path, kubeconfig: Path, *, prompt: str = "kubectl") -> None:
        self._story = story
        self.kubeconfig = kubeconfig
        self._command = [str(program), f"--kubeconfig={kubeconfig}", "--request-timeout=20s"]
        self._prompt = prompt

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl printed; a refusal is an error with kubectl's own words."""
        done = self._run(*arguments, stdin=stdin)
        return done.stdout + done.stderr

    def _run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise TransientError(f"kubectl {arguments[0]} failed", why=done.stderr.strip()[-2000:])
        return done

    def show(self, *arguments: str) -> str:
        """Run, print command and output, return the output."""
        output = self.run(*arguments)
        self._story.shell(f"{self._prompt} {shlex.join(arguments)}", output)
        return output

    def apply(self, *objects: Json, file: str, quietly: bool = False) -> str:
        """Apply objects; they are shown as the file they would be kept in, since secrets are not for the screen."""
        output = self.run(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        )
        if not quietly:
            self._story.shell(f"{self._prompt} apply -f {file}", output)
        return output

    def get(self, *arguments: str) -> Json:
        """Return an object or list, decoded."""
        # What it says of attempts that failed before is on standard error.
        found: Json = json.loads(self._run("get", *arguments, "-o", "json").stdout)
        return found
