"""containerd's store with kubeadm's images: filled once, then linked into every machine.

Importing and unpacking them would take each machine several seconds and 900 MB of disk. containerd never changes the
files of an image, so all machines share them; only the databases are copied.
Source: https://github.com/containerd/containerd/blob/main/docs/content-flow.md
"""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from trustplane.errors import HostError

NAMESPACE = "k8s.io"  # of the kubelet's containers
_START_SECONDS, _STOP_SECONDS, _IMPORT_SECONDS = 30, 30, 120
_DATABASE = ".db"
_IDENTITY = "io.containerd.grpc.v1.introspection"  # contains the uuid of this containerd
# Without the plugins that use other folders of this machine than root and state.
_CONFIGURATION = """\
version = 3
root = "{root}"
state = "{run}/state"
imports = []
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
]
[grpc]
  address = "{run}/containerd.sock"
[ttrpc]
  address = "{run}/ttrpc.sock"
"""


def fill_store(root: Path, archives: Sequence[Path], programs: Path, log: IO[bytes]) -> None:
    """Create a store with the images of OCI archives.

    Args:
        root: Folder of the store; it is created.
        archives: OCI archives, with one image each.
        programs: Folder of containerd and ctr.
        log: Receives their output.

    Raises:
        HostError: containerd does not start, or rejects an archive.
    """
    with tempfile.TemporaryDirectory(prefix="tp-") as run, _containerd(root, Path(run), programs, log) as socket:
        for archive in archives:
            command: list[str | Path] = [programs / "ctr", "--address", socket, "--namespace", NAMESPACE]
            command += ["images", "import", archive]
            completed = subprocess.run(command, stdout=log, stderr=log, timeout=_IMPORT_SECONDS, check=False)
            if completed.returncode:
                raise HostError(f"containerd cannot import {archive.name}", next_step=f"See {log.name}")
    shutil.rmtree(root / _IDENTITY, ignore_errors=True)


def link_store(store: Path, target: Path) -> None:
    """Create a machine's store from a filled one by hard links, or by copies on another file system.

    Args:
        store: The filled store.
        target: The machine's store; it must not exist.
    """
    shutil.copytree(store, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    if not source.endswith(_DATABASE):
        with contextlib.suppress(OSError):  # EXDEV: another file system; EMLINK: too many links
            Path(target).hardlink_to(source)
            return
    shutil.copy2(source, target)


@contextlib.contextmanager
def _containerd(root: Path, run: Path, programs: Path, log: IO[bytes]) -> Iterator[Path]:
    """Run a separate containerd within the block; yield its socket."""
    configuration, socket = run / "config.toml", run / "containerd.sock"
    configuration.write_text(_CONFIGURATION.format(root=root, run=run))
    with subprocess.Popen([programs / "containerd", "--config", configuration], stdout=log, stderr=log) as process:
        try:
            _await(socket, process, log)
            yield socket
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(socket: Path, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise HostError("containerd does not start, and cannot import images", next_step=f"See {log.name}")
        time.sleep(0.05)
