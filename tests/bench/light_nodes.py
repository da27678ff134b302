"""Light nodes for benchmarks: systemd, sshd and containerd of the local stack's image, without cloud-init and kubelet.

Each has a host key, a file system and a containerd of its own. All are in one podman world, as the nodes of a local
stack are: labelled, in a network of their own, removed together.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import msgspec

from trustplane.errors import TransientError
from trustplane.kube.tasks import together
from trustplane.nodes import ssh
from trustplane_local import files, image, kernel, toolchain
from trustplane_local.podman import DesiredContainer, Mount, Podman
from trustplane_local.stack import FIRST_INDEX, LAST_INDEX, STACK_FILE, STACK_LABEL, Stack

MOST = LAST_INDEX - FIRST_INDEX + 1
STARTS = 3  # at a time: podman and a systemd that boots are busy
BOOT_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_SETTLED = "systemctl is-system-running --wait; systemctl is-active containerd"
# The first process: what cloud-init does for a node of the stack, then systemd in its place.
_INIT = f"""
set -eu
useradd --create-home --shell /bin/bash {ssh.USER}
install -d -m 700 -o {ssh.USER} -g {ssh.USER} /home/{ssh.USER}/.ssh
install -m 600 -o {ssh.USER} -g {ssh.USER} /bench/authorized_keys /home/{ssh.USER}/.ssh/authorized_keys
echo '{ssh.USER} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-bench
install -m 600 /bench/host_key /etc/ssh/ssh_host_ed25519_key
touch /etc/cloud/cloud-init.disabled
ln -sf /dev/null /etc/systemd/system/kubelet.service
exec /sbin/init
"""


@dataclass(frozen=True)
class LightNode:
    """One node.

    Attributes:
        address: Of its SSH server, port 22.
        host_key: One line in OpenSSH format, without a comment.
    """

    address: str
    host_key: str


@dataclass(frozen=True)
class Fleet:
    """Nodes that run.

    Attributes:
        folder: For files of whoever drives them; it is removed with them.
        private_key: Of user `vmware-system-user`, in OpenSSH format.
    """

    folder: Path
    nodes: tuple[LightNode, ...]
    private_key: str


@asynccontextmanager
async def running(count: int, say: Callable[[str], None]) -> AsyncIterator[Fleet]:
    """Start nodes; at the end of the block nothing is left of them.

    Args:
        count: How many, `MOST` at the most.
        say: Gets a line for each step.

    Raises:
        HostError: podman is missing or refuses.
        TransientError: A node does not boot.
    """
    kernel.raise_limits(say)
    folder = Path(tempfile.mkdtemp(prefix="tp-nodes-"))  # short: the path of a control socket has at most 107 bytes
    stack = _stack(folder)
    # What a killed benchmark leaves, `trustplane local down --state FOLDER` removes.
    files.write_atomically(folder / STACK_FILE, msgspec.json.encode(stack, enc_hook=str))
    podman = Podman(stack)
    try:
        await podman.prepare()
        key = asyncssh.generate_private_key("ssh-ed25519")
        (folder / "authorized_keys").write_bytes(key.export_public_key())
        say(f"Starting {count} nodes, label {STACK_LABEL}={stack.id}")
        turn = asyncio.Semaphore(STARTS)
        private_key = key.export_private_key().decode()
        nodes = await together(*(_start(stack, podman, number, private_key, turn) for number in range(count)))
        yield Fleet(folder, nodes, private_key)
    finally:
        say("Removing the nodes")
        await podman.remove_everything()
        shutil.rmtree(folder)


def _stack(folder: Path) -> Stack:
    rootfs = _rootfs()
    return Stack(
        id=secrets.token_hex(4),
        folder=folder,
        cache=folder,
        bin=folder,
        rootfs=rootfs,
        images=folder,  # none
        kubernetes_version="",
        subnet=f"198.19.{secrets.randbelow(256)}.0/24",
        ports={},
    )


def _rootfs() -> Path:
    """Return the root file system; of TRUSTPLANE_TEST_IMAGE, where somebody has built one already."""
    if built := os.environ.get("TRUSTPLANE_TEST_IMAGE"):
        return Path(built) / "rootfs"
    cache = toolchain.default_cache()
    return image.build_image(cache, toolchain.build_toolchain(cache, _quiet), _quiet).rootfs


def _quiet(_what: str, _done: int, _of: int) -> None:
    """Progress of a build that nobody watches."""


async def _start(stack: Stack, podman: Podman, number: int, private_key: str, turn: asyncio.Semaphore) -> LightNode:
    place, address = stack.folder / f"node-{number}", stack.address(FIRST_INDEX + number)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    (place / "containerd").mkdir(parents=True)
    (place / "bench").mkdir()
    (place / "bench/host_key").write_bytes(host_key.export_private_key())
    shutil.copy(stack.folder / "authorized_keys", place / "bench")
    async with turn:
        await podman.run(_container(f"node-{number}", place, address))
        await _booted(address, private_key)
    return LightNode(address, " ".join(host_key.export_public_key().decode().split()[:2]))


def _container(name: str, place: Path, address: str) -> DesiredContainer:
    return DesiredContainer(
        name=name,
        command=("/bin/sh", "-c", _INIT),
        address=address,
        mounts=(Mount(place / "bench", "/bench"), Mount(place / "containerd", "/var/lib/containerd", writable=True)),
        options=(
            *("--hostname", name, "--privileged", "--cgroupns=private", "--systemd=false"),
            *("--stop-signal", "SIGRTMIN+3", "--env", "container=podman"),
            *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),  # noqa: S108  in the container
        ),
    )


async def _booted(address: str, private_key: str) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        try:
            async with ssh.connect(address, private_key) as node:
                said = (await node.run(_SETTLED, timeout=BOOT_SECONDS)).stdout.split()
        except TransientError:  # nobody listens yet, or nobody may log in yet
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        if said[-1:] == ["active"]:
            return
    raise TransientError(f"Node {address} has not booted after {BOOT_SECONDS:.0f} s")
