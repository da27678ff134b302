"""Read and change a node's trust over SSH: two round trips for any number of files.

`trust.sh` runs on the node. It takes a lock, refuses a plan based on another state, and writes atomically. It may be
killed at any point: reading and planning again converges to the same state. `nodes.plan` makes the decisions.
"""

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Protocol

from trustplane.errors import NodeError, TransientError
from trustplane.nodes import plan
from trustplane.nodes.ssh import CommandOutput
from trustplane.nodes.state import NodeReport, parse_node_report
from trustplane.text import clean

_COMMAND: Final = "sudo -n sh -s"
_SCRIPT: Final = files("trustplane.nodes").joinpath("trust.sh").read_text()
_TIMEOUT: Final = 60.0  # seconds: the wait for another write, and a restart of containerd
_ATTEMPTS: Final = 3  # if the node changes between reading and writing
_CHANGED: Final = 73  # exit codes of trust.sh
_BROKEN: Final = 74
_BUSY: Final = 75
_SHOWN: Final = 300  # characters of the node's error output


class Shell(Protocol):
    """A node's shell: the part of `ssh.NodeConnection` in use here."""

    @property
    def address(self) -> str:
        """The node's address."""

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        """Run a command with this standard input and wait until it ends."""


@dataclass(frozen=True)
class Result:
    """The changes to a node, and its state afterwards.

    Attributes:
        written: Paths of the written files.
        removed: Paths of the removed files.
        restarted: Whether containerd was restarted.
        state: The node afterwards, with the digests and containerd's start time as evidence.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    restarted: bool
    state: NodeReport


async def read(node: Shell) -> NodeReport:
    """Read a node's trust without changing it.

    Raises:
        NodeError: The node lacks a required program or right, or its record of Trustplane's files is unreadable.
        TransientError: The connection was lost.
    """
    output = await node.run(_COMMAND, stdin=f"{_SCRIPT}\nmain state </dev/null\n", timeout=_TIMEOUT)
    if output.exit_status != 0:
        raise _failed(node, output)
    return parse_node_report(output.stdout)


async def apply(
    node: Shell,
    desired: Mapping[str, str],
    previous: Mapping[str, str] | None = None,
    *,
    confirm: Callable[[], Awaitable[None]] | None = None,
) -> Result:
    """Write exactly the desired trust files to a node, and make containerd use them.

    A node that has the files and uses them is not changed. Running containers survive.

    Args:
        node: A node whose host key has been verified.
        desired: Content by path, see `plan.plan_write`.
        previous: Content by path of the files written by the bootstrap data, see `plan.plan_write`.
        confirm: Called after each read of the node; raises if the change is no longer wanted. A node that changes
            after this read refuses the write, so an older write never undoes a newer one.

    Raises:
        NodeError: A foreign file is in the way, or a step failed. Previous files may be partly replaced; the next call
            continues from there.
        TransientError: The connection was lost, or another write to the node is in progress.
    """
    for _ in range(_ATTEMPTS):
        state = await read(node)
        todo = plan.plan_write(desired, state, previous)
        if todo.conflicts:
            raise _conflict(node, todo.conflicts)
        if not todo.is_needed:
            return Result((), (), restarted=False, state=state)
        if confirm:
            await confirm()
        output = await node.run(_COMMAND, stdin=script(todo), timeout=_TIMEOUT)
        if output.exit_status == 0:
            written = tuple(file.path for file in todo.writes)
            return Result(written, todo.removes, todo.restart, parse_node_report(output.stdout))
        if output.exit_status != _CHANGED:
            raise _failed(node, output)
    raise TransientError(
        f"The trust files of node {node.address} keep changing",
        why="another process writes to /etc/ssl/certs, /etc/containerd/certs.d or /etc/trustplane at the same time",
        next_step="Trustplane retries automatically; stop the other tool from managing these files",
    )


def script(todo: plan.NodePlan) -> str:
    """Return the script that carries out a plan: the functions of trust.sh, and one call with the plan's lines."""
    lines = "\n".join(_lines(todo))
    return f"{_SCRIPT}\nmain apply <<'PLAN'\n{lines}\nPLAN\n"


def _lines(todo: plan.NodePlan) -> Iterator[str]:
    yield f"token {todo.token}"
    yield f"intent {_encoded(plan.encode_manifest(todo.intent))}"
    for file in todo.writes:
        yield f"write {file.path} {file.digest} {_encoded(file.content.encode())}"
    for path in todo.removes:
        yield f"remove {path}"
    for path in todo.links:
        yield f"link {path}"
    if todo.restart:
        yield "restart"
    if todo.manifest != todo.intent:
        yield f"manifest {_encoded(plan.encode_manifest(todo.manifest))}"
    yield f"loaded {todo.pool_digest}"
    yield "end"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _conflict(node: Shell, paths: tuple[str, ...]) -> NodeError:
    return NodeError(
        f"Node {node.address} has files in the place of trust files: {', '.join(paths)}",
        why="Trustplane did not write these files, and never changes files of other tools",
        next_step="Remove the files from the node if no other tool needs them, or rename the entries of the trust "
        "list, or make registry-scoped entries node-wide",
    )


def _failed(node: Shell, output: CommandOutput) -> NodeError | TransientError:
    why = clean(output.stderr.strip()[-_SHOWN:], _SHOWN) or f"exit status {output.exit_status}"
    if output.exit_status in (_BUSY, _BROKEN):
        return TransientError(f"The trust files of node {node.address} could not be changed now", why=why)
    return NodeError(
        f"The trust files of node {node.address} could not be read or changed",
        why=why,
        next_step="Run `journalctl -u containerd` on the node; Trustplane retries automatically",
    )
