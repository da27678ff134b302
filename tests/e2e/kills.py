"""What is killed during an update, each kind as it happens to real clusters."""

import contextlib
import random
from collections.abc import Awaitable, Callable
from types import MappingProxyType

from e2e.storms import Storm, patiently
from trustplane.api.clusterapi import Machine
from trustplane.api.keys import key_of
from trustplane.clusterapi.machine_facts import is_control_plane
from trustplane.errors import TransientError
from trustplane_local.provider.instance import container_name

LONGEST_OFF = 4.0  # seconds that a node is without power

# Each kills something and returns what it was, in words.
Kill = Callable[[Storm, random.Random], Awaitable[str]]


def _process(name: str) -> Kill:
    async def kill(storm: Storm, _chance: random.Random) -> str:
        storm.kill_process(name)
        return name

    return kill


def _on_node(command: str, *, of_control_plane: bool = False) -> Kill:
    async def kill(storm: Storm, chance: random.Random) -> str:
        machine = _chosen(storm, chance, of_control_plane=of_control_plane)
        # Detached, since it may end the connection that it came by.
        with contextlib.suppress(TransientError):
            await storm.on(machine, f"systemd-run --quiet --no-block --collect {command}")
        return machine.metadata.name

    return kill


async def _power_cut(storm: Storm, chance: random.Random) -> str:
    """Switch a node off, and on again."""
    machine = _chosen(storm, chance)
    container = container_name(key_of(machine))
    await storm.podman.signal(container, "KILL")
    seconds = chance.uniform(0.5, LONGEST_OFF)
    await storm.rest(seconds)
    await storm.podman.start(container)
    return f"{machine.metadata.name}, off for {seconds:.1f} s"


def _chosen(storm: Storm, chance: random.Random, *, of_control_plane: bool = False) -> Machine:
    machines = sorted(storm.reports.snapshot.machines, key=lambda machine: machine.metadata.name)
    return chance.choice([machine for machine in machines if is_control_plane(machine) or not of_control_plane])


KINDS = MappingProxyType(
    {
        "manager": _process("manager"),
        "webhook": _process("webhook"),
        "supervisor's apiserver": _process("apiserver"),
        # The daemon and every connection to it; systemd starts the daemon again.
        "sshd": _on_node("pkill -KILL -x sshd"),
        "containerd": _on_node("systemctl kill --signal=KILL --kill-who=main containerd"),
        "workload apiserver": _on_node("pkill -KILL -x kube-apiserver", of_control_plane=True),
        "node": _power_cut,
    }
)


async def forgive(storm: Storm) -> None:
    """Have the kubelet forget that the control plane's containers died: it makes each further death wait longer."""

    async def restart() -> None:
        for machine in storm.reports.snapshot.machines:
            if is_control_plane(machine):
                await storm.on(machine, "systemctl restart kubelet")

    await patiently(restart)
