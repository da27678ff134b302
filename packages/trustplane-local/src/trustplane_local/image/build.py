"""Build the node image into the cache, in a folder of this process that is renamed once it is complete."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trustplane.errors import HostError
from trustplane_local.image import containers, rootfs, store
from trustplane_local.toolchain import Progress, Toolchain
from trustplane_local.toolchain.cache import lock_file

_STEPS = 2  # besides one for each container image


@dataclass(frozen=True)
class NodeImage:
    """The image that machines start from. Read-only: the lower layer of the machines' overlays."""

    rootfs: Path  # root file system of nodes, load balancers and registries
    images: Path  # containerd's store with the images that kubeadm requires; machines get hard links to its files
    key: str  # digest of everything that the content depends on


def build_image(cache: Path, toolchain: Toolchain, progress: Progress) -> NodeImage:
    """Build the node image unless the cache has it. Takes about a minute; requires root.

    Can be killed at any time, and run by several processes concurrently.

    Args:
        cache: Root of the build cache.
        toolchain: The programs to install.
        progress: Called before each step.

    Raises:
        HostError: mmdebstrap, network or disk space is missing, or a step failed; with the next step.
    """
    name = image_key(toolchain)
    folder = cache / "image" / name
    references = containers.image_references(toolchain)
    steps = _STEPS + len(references)
    try:
        with lock_file(
            folder.with_suffix(".lock"),
            waiting=lambda: progress("waiting for another build of the same image", 0, steps),
        ):
            _discard_leftovers(folder.parent)
            if not folder.exists():
                _build(folder, toolchain, references, progress)
    except OSError as error:
        raise HostError(
            f"Cannot write to the build cache {folder}",
            why=str(error),
            next_step="Run the command as root, and free disk space or choose another folder with TRUSTPLANE_CACHE",
        ) from error
    progress("node image", steps, steps)
    return NodeImage(folder / "rootfs", folder / "images", name)


def image_key(toolchain: Toolchain) -> str:
    """Return the image's key: 16 hexadecimal digits over the toolchain and all files of this package, its recipe."""
    source = Path(__file__).parent
    content = hashlib.sha256(toolchain.key.encode())
    for file in sorted(source.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            content.update(f"{file.relative_to(source)} {file.stat().st_size}\n".encode())
            content.update(file.read_bytes())
    return content.hexdigest()[:16]


def _build(folder: Path, toolchain: Toolchain, references: Mapping[str, str], progress: Progress) -> None:
    draft = folder.with_suffix(f".{os.getpid()}.tmp")
    draft.mkdir()
    try:
        with folder.with_suffix(".log").open("wb") as log:
            _fill(draft, toolchain, references, progress, log)
        os.sync()  # otherwise the rename could reach the disk before the content
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft)
        raise


def _fill(
    folder: Path, toolchain: Toolchain, references: Mapping[str, str], progress: Progress, log: IO[bytes]
) -> None:
    steps = _STEPS + len(references)
    progress("root file system", 0, steps)
    system, archives = folder / "rootfs", folder / "archives"
    rootfs.build_rootfs(system, programs=toolchain.bin, values={"pause": references["pause"]}, log=log)
    archives.mkdir()
    for done, (name, reference) in enumerate(references.items(), 1):
        progress(f"image {name}", done, steps)
        containers.write_image(name, reference, toolchain, system, archives)
    progress("containerd's store", steps - 1, steps)
    store.fill_store(folder / "images", sorted(archives.iterdir()), toolchain.bin, log)
    shutil.rmtree(archives)


def _discard_leftovers(folder: Path) -> None:
    """Remove the folders of killed builds. Builds of other keys may be running: their folders stay."""
    for leftover in folder.glob("*.tmp"):
        owner = leftover.name.split(".")[-2]
        if not Path("/proc", owner).exists():
            shutil.rmtree(leftover)
