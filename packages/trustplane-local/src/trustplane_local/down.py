"""`trustplane local down`: remove a stack, whole or half made, and say what is left if anything is."""

import asyncio
import shutil
from pathlib import Path

from trustplane.errors import HostError
from trustplane.kube.tasks import together
from trustplane_local import creation, lock, neighbours, preflight, process, residue
from trustplane_local.podman import Podman
from trustplane_local.process import Processes
from trustplane_local.stack import STACK_FILE, Stack
from trustplane_local.steps import Steps
from trustplane_local.supervisor import START_ORDER

GRACE_SECONDS = 2.0  # nothing is kept, so nothing needs a long goodbye
FIRST_AND_LAST = (STACK_FILE, lock.LOCK_NAME)  # while they are there, a `down` that was killed can be repeated


def remove_stack(folder: Path, steps: Steps) -> Stack | None:
    """Remove the stack of a state folder; return what was there.

    Raises:
        HostError: something could not be removed; the message lists it.
    """
    if not (folder / lock.LOCK_NAME).exists() and creation.load_stack(folder) is None:
        return None
    with lock.lock_folder(folder, lambda: steps.note(f"Another command works on {folder}; waiting for it to end.")):
        stack = creation.load_stack(folder)
        preflight.remove_trial(folder)
        if stack is not None:
            asyncio.run(_down(stack, steps))
            with steps.step("state folder"):
                _remove_folder(stack)
        _remove_if_empty(folder)
    return stack


async def _down(stack: Stack, steps: Steps) -> None:
    processes = Processes(stack.folder / "processes", stack.id)
    # first those that would make again what is removed after them; etcd and the apiserver last
    with steps.step("managers"):
        await _stop(processes, START_ORDER[:2:-1])
    with steps.step("containers and network"):
        await Podman(stack).remove_everything()
    with steps.step("apiserver and etcd"):
        await _stop(processes, START_ORDER[2::-1])
        await together(*(process.end(one.pid, one.started, grace=0) for one in processes.strays()))
    if left := _left(stack, processes):
        raise HostError(
            f"The stack in {stack.folder} could not be removed completely",
            why=f"left over: {', '.join(left)}",
            next_step="Run `trustplane local down` again",
        )


async def _stop(processes: Processes, names: tuple[str, ...]) -> None:
    await together(*(processes.stop(name, grace=GRACE_SECONDS) for name in names))


def _left(stack: Stack, processes: Processes) -> list[str]:
    mounts = residue.parse_mounts(residue.MOUNTS.read_text(), [stack.folder])
    return [*(f"process {one.pid}" for one in processes.strays()), *(f"mount {mount}" for mount in mounts)]


def _remove_folder(stack: Stack) -> None:
    """Remove the state folder's content, the stack's description last."""
    for entry in stack.folder.iterdir():
        if entry.name in FIRST_AND_LAST:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    neighbours.unregister_stack(stack)
    (stack.folder / STACK_FILE).unlink()


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder with its lock where nothing else is in it; a stranger's folder stays."""
    if [entry.name for entry in folder.iterdir()] == [lock.LOCK_NAME]:
        (folder / lock.LOCK_NAME).unlink()
        folder.rmdir()
