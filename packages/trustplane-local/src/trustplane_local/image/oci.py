"""Container images as OCI archives, made of plain files. Equal content gives an equal archive, byte for byte.

The layout is that of https://github.com/opencontainers/image-spec/blob/main/image-layout.md, as a tar file with one
uncompressed layer: an image that is used once on this machine is not worth compressing.
"""

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TYPE = "application/vnd.oci.image"


@dataclass(frozen=True)
class LayerFile:
    """A file of an image; its directories are made."""

    path: str  # in the image, such as `usr/local/bin/etcd`
    content: Path | bytes  # a file on this machine, or the content itself
    mode: int = 0o755


@dataclass(frozen=True)
class LayerLink:
    """A symbolic link of an image."""

    path: str
    target: str


LayerEntry = LayerFile | LayerLink


def write_archive(target: Path, reference: str, entries: Iterable[LayerEntry], entrypoint: Sequence[str]) -> None:
    """Write an image of one layer.

    Args:
        target: the archive, such as `kube-proxy.tar`; overwritten.
        reference: the image's full name, such as `registry.k8s.io/pause:3.10.2`; importers give it this name.
        entries: content of the layer, in any order.
        entrypoint: the command that containers run unless told otherwise.
    """
    with tempfile.TemporaryFile(dir=target.parent) as layer, tarfile.open(target, "w") as output:
        _write_layer(layer, entries)
        layer.seek(0)
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
        size = layer.seek(0, io.SEEK_END)
        config = _json(_configuration(digest, entrypoint))
        manifest = _json(_manifest(config, digest, size))
        _add(output, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(output, "index.json", _json(_index(manifest, reference)))
        for blob in (config, manifest):
            _add(output, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        layer.seek(0)
        output.addfile(_header(f"blobs/sha256/{digest}", size=size), layer)


def _write_layer(layer: IO[bytes], entries: Iterable[LayerEntry]) -> None:
    ordered = sorted(entries, key=lambda entry: entry.path)
    folders = {str(parent) for entry in ordered for parent in PurePosixPath(entry.path).parents} - {"."}
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in sorted(folders):
            tar.addfile(_header(folder, kind=tarfile.DIRTYPE))
        for entry in ordered:
            if isinstance(entry, LayerLink):
                tar.addfile(_header(entry.path, kind=tarfile.SYMTYPE, target=entry.target))
            elif isinstance(entry.content, bytes):
                _add(tar, entry.path, entry.content, mode=entry.mode)
            else:
                with entry.content.open("rb") as source:
                    tar.addfile(_header(entry.path, size=entry.content.stat().st_size, mode=entry.mode), source)


def _header(path: str, *, size: int = 0, mode: int = 0o755, kind: bytes = tarfile.REGTYPE, target: str = "") -> Any:
    """Return a tar header of root's, of 1970: the builder and the time of the build leave no trace."""
    header = tarfile.TarInfo(path)
    header.size, header.mode, header.type, header.linkname = size, mode, kind, target
    return header


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    tar.addfile(_header(path, size=len(content), mode=mode), io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _platform() -> dict[str, str]:
    machine = platform.machine()
    return {"architecture": _ARCHITECTURES.get(machine, machine), "os": "linux"}


def _configuration(digest: str, entrypoint: Sequence[str]) -> dict[str, Any]:
    return {
        **_platform(),
        "config": {"Env": [_PATH], "Entrypoint": list(entrypoint)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"mediaType": f"{_TYPE}.{kind}+json", "digest": f"sha256:{digest}", "size": len(content)}


def _manifest(config: bytes, digest: str, size: int) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": _descriptor("config.v1", config),
        "layers": [{"mediaType": f"{_TYPE}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}],
    }


def _index(manifest: bytes, reference: str) -> dict[str, Any]:
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rpartition(":")[2]}
    described = {**_descriptor("manifest.v1", manifest), "annotations": names, "platform": _platform()}
    return {"schemaVersion": 2, "mediaType": f"{_TYPE}.index.v1+json", "manifests": [described]}
