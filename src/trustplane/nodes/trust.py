"""Read and change the trust of a node over SSH: two round trips, whatever the number of files.

`trust.sh` does the work there. It takes a lock, refuses a plan that was made from another state, writes atomically, and
can be killed at any point: reading and planning again leads to the same end. Decisions are `nodes.plan`'s.
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
_TIMEOUT: Final = 60.0  # seconds: waiting for another update, and a restart of containerd
_ATTEMPTS: Final = 3  # when the node changes between reading and writing
_CHANGED: Final = 73  # exit codes of trust.sh
_BROKEN: Final = 74
_BUSY: Final = 75
_SHOWN: Final = 300  # characters of what a node says of a failure


class Shell(Protocol):
    """A node's shell: what is needed of `ssh.Node`."""

    @property
    def address(self) -> str:
        """The address of the node."""

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        """Run a command with that standard input and wait for its end."""


@dataclass(frozen=True)
class Result:
    """What was done, and what the node is like now.

    Attributes:
        written: Paths of files that were put in place.
        removed: Paths of files that were removed.
        restarted: Whether containerd was restarted.
        state: The node afterwards: digests, and containerd's start, are the evidence.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    restarted: bool
    state: NodeReport


async def read(node: Shell) -> NodeReport:
    """Read a node's trust; nothing is changed.

    Raises:
        NodeError: The node lacks what is needed, or its record of our files cannot be read.
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
    """Make a node have exactly these files of ours, and make containerd use them.

    A node that has and uses them already is left alone. Running containers survive.

    Args:
        node: A node, whose host key has been checked.
        desired: Content by path, see `plan.make`.
        previous: Content by path of what the bootstrap data wrote, see `plan.make`.
        confirm: Asked after each look at the node; it raises where the change is no longer wanted. Whoever changes the
            node after that look has our change refused, so that an old wish never undoes a newer one.

    Raises:
        NodeError: A foreign file is in the way, or a step failed; what was there before may be partly replaced, and the
            next call goes on from there.
        TransientError: The connection was lost, or another update of the node is going on.
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
            written = tuple(one.path for one in todo.writes)
            return Result(written, todo.removes, todo.restart, parse_node_report(output.stdout))
        if output.exit_status != _CHANGED:
            raise _failed(node, output)
    raise TransientError(
        f"The trust files of node {node.address} keep changing",
        why="somebody else writes to /etc/ssl/certs, /etc/containerd/certs.d or /etc/trustplane at the same time",
        next_step="It is tried again by itself; look for another tool that manages these files",
    )


def script(todo: plan.NodePlan) -> str:
    """Return the whole of what is sent to carry out a plan: functions, and one call with the plan's lines."""
    lines = "\n".join(_lines(todo))
    return f"{_SCRIPT}\nmain apply <<'PLAN'\n{lines}\nPLAN\n"


def _lines(todo: plan.NodePlan) -> Iterator[str]:
    yield f"token {todo.token}"
    yield f"intent {_encoded(plan.encode_manifest(todo.intent))}"
    for one in todo.writes:
        yield f"write {one.path} {one.digest} {_encoded(one.content.encode())}"
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
        why="Trustplane did not write them and changes nothing that it did not write",
        next_step="Remove the files from the node if nobody needs them; or rename the entries of the trust list, or "
        "have the registries' entries trusted by whole nodes",
    )


def _failed(node: Shell, output: CommandOutput) -> NodeError | TransientError:
    why = clean(output.stderr.strip()[-_SHOWN:], _SHOWN) or f"exit status {output.exit_status}"
    if output.exit_status in (_BUSY, _BROKEN):
        return TransientError(f"The trust of node {node.address} could not be changed now", why=why)
    return NodeError(
        f"The trust of node {node.address} could not be read or changed",
        why=why,
        next_step="See `journalctl -u containerd` on the node; it is tried again by itself",
    )
