"""Build the node image into the cache: in a folder of this process alone, renamed when it is whole."""

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
    """What machines are started from. Read-only: machines use it as the lower layer of an overlay."""

    rootfs: Path  # root file system of nodes, load balancers and registries
    images: Path  # containerd's store with the images that kubeadm asks for; machines get it linked
    key: str  # changes whenever the content might


def build_image(cache: Path, toolchain: Toolchain, progress: Progress) -> NodeImage:
    """Build the node image unless the cache has it. Takes about a minute; needs root.

    May be killed at any time and run by several processes at once.

    Args:
        cache: root of the build cache.
        toolchain: the programs to put in.
        progress: told before each step.

    Raises:
        HostError: no mmdebstrap, no network, no disk space, ...: says what to do.
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
            next_step="Run it as root, with free disk space or another folder in TRUSTPLANE_CACHE",
        ) from error
    progress("node image", steps, steps)
    return NodeImage(folder / "rootfs", folder / "images", name)


def image_key(toolchain: Toolchain) -> str:
    """Name the result: 16 hexadecimal digits over the toolchain and every file of this package, which is the recipe."""
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
        os.sync()  # the rename must not outrun the content of ten thousand files
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
    """Remove what killed builds left. The lock is per key, so folders of living processes are spared."""
    for leftover in folder.glob("*.tmp"):
        owner = leftover.name.split(".")[-2]
        if not Path("/proc", owner).exists():
            shutil.rmtree(leftover)
