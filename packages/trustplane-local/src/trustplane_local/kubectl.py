"""The stack's kubectl: installs objects of any kind into the Supervisor."""

import asyncio
from collections.abc import Sequence

import msgspec

from trustplane.api.meta import Json
from trustplane.errors import TransientError
from trustplane_local.stack import Stack

FIELD_MANAGER = "trustplane-local"


class Kubectl:
    """Runs kubectl as the Supervisor's administrator."""

    def __init__(self, stack: Stack) -> None:
        self._command = (
            str(stack.bin / "kubectl"),
            f"--kubeconfig={stack.kubeconfig}",
            f"--cache-dir={stack.folder / 'kubectl'}",
            "--request-timeout=30s",
        )

    async def apply(self, objects: Sequence[Json]) -> None:
        """Apply objects server-side, and take ownership of all their fields."""
        await self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={FIELD_MANAGER}",
            "-f",
            "-",
            objects=objects,
        )

    async def wait(self, condition: str, names: Sequence[str], *, namespace: str = "", seconds: int = 60) -> None:
        """Wait until all objects (`kind/name`) meet a condition."""
        scope = (f"--namespace={namespace}",) if namespace else ()
        await self.run("wait", f"--for=condition={condition}", f"--timeout={seconds}s", *scope, *names)

    async def count(self, kinds: Sequence[str], labels: str) -> int:
        """Return the number of objects of these kinds with these labels, without reading the objects themselves."""
        output = await self.run("get", ",".join(kinds), f"--selector={labels}", "--no-headers", "--ignore-not-found")
        return sum(bool(line.strip()) for line in output.splitlines())

    async def items(self, kind: str) -> list[Json]:
        """Return the objects of a kind in all namespaces."""
        listed: Json = msgspec.json.decode(await self.run("get", kind, "--all-namespaces", "--output=json"))
        items: list[Json] = listed["items"]
        return items

    async def run(self, *arguments: str, objects: Sequence[Json] = ()) -> bytes:
        """Run kubectl and return its output.

        Args:
            arguments: The arguments.
            objects: Objects to pass on standard input.

        Raises:
            TransientError: kubectl failed; with its message.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        body = msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": list(objects)}) if objects else b""
        try:
            output, message = await process.communicate(body)
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()
            raise
        if process.returncode:
            raise TransientError(
                f"kubectl {arguments[0]} failed",
                why=message.decode(errors="replace").strip()[-1000:],
                next_step="Run `trustplane local up` again; if it persists, see `trustplane local logs apiserver`",
            )
        return output
