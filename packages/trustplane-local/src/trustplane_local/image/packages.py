"""Files of installed Debian packages and their dependencies, from a root file system."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from trustplane_local.image.oci import LayerEntry, LayerFile, LayerLink

_EXCLUDED = re.compile(r"usr/share/(doc|man|lintian|bug|bash-completion)/")
_MERGED = ("bin", "sbin", "lib", "lib64")  # links into /usr; packages may list files with either path


def resolve_dependencies(status: str, names: Iterable[str]) -> set[str]:
    """Return the installed ones among the given packages and all their dependencies.

    Args:
        status: Content of dpkg's status file (deb822 paragraphs, Debian Policy 5.3).
        names: Names of packages.
    """
    depends = dict(_dependencies(paragraph) for paragraph in status.split("\n\n") if paragraph.strip())
    packages: set[str] = set()
    todo = list(names)
    while todo:
        package = todo.pop()
        if package in depends and package not in packages:
            packages.add(package)
            todo += depends[package]
    return packages


def _dependencies(paragraph: str) -> tuple[str, list[str]]:
    fields = dict(re.findall(r"^(Package|Depends|Pre-Depends): (.*)$", paragraph, re.MULTILINE))
    names = re.split(r"[,|]", f"{fields.get('Depends', '')},{fields.get('Pre-Depends', '')}")
    return fields["Package"], [re.split(r"[\s:(]", name.strip())[0] for name in names if name.strip()]


def package_entries(rootfs: Path, names: Iterable[str]) -> Iterator[LayerEntry]:
    """Yield the files of packages and their dependencies as entries of an image with a merged /usr."""
    yield from (LayerLink(name, f"usr/{name}") for name in _MERGED)
    information = rootfs / "var/lib/dpkg/info"
    packages = resolve_dependencies((rootfs / "var/lib/dpkg/status").read_text(), names)
    lists = [file for file in information.glob("*.list") if file.stem.partition(":")[0] in packages]
    paths = {_merged(line) for file in lists for line in file.read_text().splitlines()}
    for path in sorted(paths):
        source = rootfs / path
        if _EXCLUDED.match(path):
            continue
        if source.is_symlink():
            yield LayerLink(path, str(source.readlink()))
        elif source.is_file():
            yield LayerFile(path, source, source.stat().st_mode & 0o7777)


def _merged(line: str) -> str:
    path = PurePosixPath(line).relative_to("/")
    return f"usr/{path}" if path.parts and path.parts[0] in _MERGED else str(path)
