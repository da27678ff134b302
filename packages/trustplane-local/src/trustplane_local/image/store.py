"""containerd's store with the images that kubeadm asks for: filled once, linked into every machine.

To import and unpack them takes a machine several seconds and 900 MB of disk. What containerd has once written of an
image it never changes, so machines share these files; only its databases are each machine's own.
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

NAMESPACE = "k8s.io"  # that of the kubelet's containers
_START_SECONDS, _STOP_SECONDS, _IMPORT_SECONDS = 30, 30, 120
_DATABASE = ".db"
_IDENTITY = "io.containerd.grpc.v1.introspection"  # of one containerd
# What would look for things on this machine, or make folders there, besides the root and the state.
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
    """Make the store of a containerd that has imported these OCI archives.

    Args:
        root: folder of the store, made here.
        archives: one image in each.
        programs: folder of containerd and ctr.
        log: gets what both print.

    Raises:
        HostError: containerd does not start, or refuses an archive.
    """
    with tempfile.TemporaryDirectory(prefix="tp-") as run, _containerd(root, Path(run), programs, log) as socket:
        for archive in archives:
            command: list[str | Path] = [programs / "ctr", "--address", socket, "--namespace", NAMESPACE]
            command += ["images", "import", archive]
            done = subprocess.run(command, stdout=log, stderr=log, timeout=_IMPORT_SECONDS, check=False)
            if done.returncode:
                raise HostError(f"containerd cannot import {archive.name}", next_step=f"See {log.name}")
    shutil.rmtree(root / _IDENTITY, ignore_errors=True)


def link_store(store: Path, target: Path) -> None:
    """Make a machine's store out of a filled one; `target` is absent. On another file system it is copied."""
    shutil.copytree(store, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    if not source.endswith(_DATABASE):
        with contextlib.suppress(OSError):  # EXDEV: another file system; EMLINK: too many links
            Path(target).hardlink_to(source)
            return
    shutil.copy2(source, target)


@contextlib.contextmanager
def _containerd(root: Path, run: Path, programs: Path, log: IO[bytes]) -> Iterator[Path]:
    """Run a containerd of our own; yield its socket. It ends before the store is anybody's."""
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
            raise HostError("containerd does not start, to be given its images", next_step=f"See {log.name}")
        time.sleep(0.05)
