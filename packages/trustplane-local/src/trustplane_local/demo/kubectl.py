"""The local stack's kubectl, with commands shown as a user would type them."""

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
    """Runs kubectl against one cluster. `show` prints command and output; `run` and `get` print nothing."""

    def __init__(self, story: Story, program: Path, kubeconfig: Path, *, prompt: str = "kubectl") -> None:
        self._story = story
        self.kubeconfig = kubeconfig
        self._command = [str(program), f"--kubeconfig={kubeconfig}", "--request-timeout=20s"]
        self._prompt = prompt

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return kubectl's output.

        Raises:
            TransientError: kubectl failed; with its message.
        """
        completed = self._run(*arguments, stdin=stdin)
        return completed.stdout + completed.stderr

    def _run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        completed = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if completed.returncode:
            raise TransientError(f"kubectl {arguments[0]} failed", why=completed.stderr.strip()[-2000:])
        return completed

    def show(self, *arguments: str) -> str:
        """Run a command, print it and its output, and return the output."""
        output = self.run(*arguments)
        self._story.shell(f"{self._prompt} {shlex.join(arguments)}", output)
        return output

    def apply(self, *objects: Json, file: str, quietly: bool = False) -> str:
        """Apply objects. The screen shows the name of a file in their place, because some of them are secrets."""
        output = self.run(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        )
        if not quietly:
            self._story.shell(f"{self._prompt} apply -f {file}", output)
        return output

    def get(self, *arguments: str) -> Json:
        """Return an object or list, decoded."""
        # Standard error may hold messages about earlier, failed attempts.
        decoded: Json = json.loads(self._run("get", *arguments, "-o", "json").stdout)
        return decoded
