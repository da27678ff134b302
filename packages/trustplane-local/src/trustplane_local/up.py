"""`trustplane local up`: start what is missing, restart what is not as wanted, leave what runs."""

import asyncio
import datetime as dt
from pathlib import Path

from trustplane.errors import HostError, TrustplaneError
from trustplane.kube.tasks import together
from trustplane_local import creation, credentials, install, kernel, lock, provider, readiness, registry
from trustplane_local.kubectl import Kubectl
from trustplane_local.podman import Podman
from trustplane_local.process import Processes, difference
from trustplane_local.readiness import Readiness
from trustplane_local.stack import Stack
from trustplane_local.steps import Steps
from trustplane_local.supervisor import FEATURE_GATES, Part, parts
from trustplane_local.wishes import StackOptions

READY_SECONDS = 90.0  # for one part; a few are usual
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL of a part that is restarted


def start_stack(folder: Path, cache: Path, *, steps: Steps, subnet: str = "", versions: str = "") -> Stack:
    """Bring a stack up, whatever was there before.

    Args:
        folder: the state folder.
        cache: the build cache, for a new stack.
        steps: told of progress.
        subnet: a /18 for a new stack; empty to take a free one.
        versions: name of a set of versions for a new stack; empty for that of $TRUSTPLANE_VERSIONS, else the default.

    Raises:
        TrustplaneError: what stands in the way. What was started stays; the next `up` goes on from there.
    """
    creation.refuse_foreign(folder)
    with lock.lock_folder(folder, lambda: steps.note(f"Another command works on {folder}; waiting for it to end.")):
        stack = creation.ensure_stack(folder, cache, StackOptions(subnet=subnet, versions=versions), steps)
        kernel.raise_limits(steps.note)
        credentials.keep_credentials(stack, dt.datetime.now(dt.UTC))
        asyncio.run(_up(stack, steps))
        return stack


async def _up(stack: Stack, steps: Steps) -> None:
    async with readiness.open_readiness(stack) as asked:
        try:
            await _Up(stack, steps, asked).run()
        except ExceptionGroup as group:
            raise _first(group) from None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return the first of our errors in a group, or its first error: the rest were cancelled or follow from it."""
    ours = group.subgroup(TrustplaneError) or group
    error: Exception = ours.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


class _Up:
    """One run: each step waits for what it needs, and for nothing else."""

    def __init__(self, stack: Stack, steps: Steps, asked: Readiness) -> None:
        self._stack = stack
        self._steps = steps
        self._asked = asked
        self._parts = parts(stack)
        self._processes = Processes(stack.folder / "processes", stack.id)
        self._podman = Podman(stack)
        self._kubectl = Kubectl(stack)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            network = group.create_task(self._network())
            group.create_task(self._registries(network))
            webhook = group.create_task(self._part("webhook"))
            definitions = group.create_task(asyncio.to_thread(install.collect_definitions, self._stack))
            await self._part("etcd")
            await self._part("apiserver")
            with self._steps.step("definitions of Cluster API and Trustplane"):
                await install.install_definitions(await definitions, self._kubectl)
            managers = [group.create_task(self._part(name)) for name in ("kcm", *FEATURE_GATES, "manager")]
            await network
            await self._machines()
            await self._part("provider")
            for part in (webhook, *managers):
                await part
            with self._steps.step("release and ClusterClass"):
                await install.install_classes(self._stack, self._kubectl)
        # A manager that lost its lease while the apiserver was away ends by itself, perhaps after it was looked at.
        await together(*(self._part(name) for name in self._parts))

    async def _network(self) -> None:
        with self._steps.step("network"):
            await self._podman.prepare()

    async def _machines(self) -> None:
        """Start the machines that a crash or a reboot stopped, before the provider takes them for broken."""
        if started := await provider.restart_stopped_machines(self._stack):
            self._steps.note(f"Started again: {', '.join(started)}")

    async def _registries(self, network: asyncio.Task[None]) -> None:
        await network
        with self._steps.step("private registries"):
            await registry.start_registries(self._stack, self._podman)

    async def _part(self, name: str) -> None:
        """Leave a part that runs as wanted; start or restart another; wait until it is ready."""
        part = self._parts[name]
        running = self._processes.find(name)
        why = difference(running, part.program.arguments, part.program.revision()) if running else "it does not run"
        if running and not why and await self._asked.ready(part.probe):
            return
        with self._steps.step(f"{name} (restart: {why})" if running and why else name):
            if running and not why and await self._survives(part, running.pid):
                return
            await self._wait(part, await self._start(part))

    async def _survives(self, part: Part, pid: int) -> bool:
        """Wait until a part that runs already is ready; tell whether it did not end meanwhile."""
        try:
            await self._wait(part, pid)
        except HostError:
            return False
        return True

    async def _wait(self, part: Part, pid: int) -> None:
        log = self._processes.log(part.name)
        await self._asked.wait(part.name, part.probe, pid, seconds=READY_SECONDS, log=log)

    async def _start(self, part: Part) -> int:
        await self._processes.stop(part.name, grace=GRACE_SECONDS)
        return self._processes.start(part.program)
