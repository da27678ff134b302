"""Files of installed Debian packages, with all that they depend on, taken from a root file system."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from trustplane_local.image.oci import LayerEntry, LayerFile, LayerLink

_LEFT_OUT = re.compile(r"usr/share/(doc|man|lintian|bug|bash-completion)/")
_MERGED = ("bin", "sbin", "lib", "lib64")  # links into /usr, whatever path a package's own list gives


def resolve_dependencies(status: str, wanted: Iterable[str]) -> set[str]:
    """Return those packages and all that they depend on, of the installed ones.

    Args:
        status: content of dpkg's status file (deb822 paragraphs, Debian Policy 5.3).
        wanted: names of packages.
    """
    depends = dict(_dependencies(paragraph) for paragraph in status.split("\n\n") if paragraph.strip())
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        package = todo.pop()
        if package in depends and package not in found:
            found.add(package)
            todo += depends[package]
    return found


def _dependencies(paragraph: str) -> tuple[str, list[str]]:
    fields = dict(re.findall(r"^(Package|Depends|Pre-Depends): (.*)$", paragraph, re.MULTILINE))
    names = re.split(r"[,|]", f"{fields.get('Depends', '')},{fields.get('Pre-Depends', '')}")
    return fields["Package"], [re.split(r"[\s:(]", name.strip())[0] for name in names if name.strip()]


def package_entries(rootfs: Path, wanted: Iterable[str]) -> Iterator[LayerEntry]:
    """Return the files of packages and their dependencies as content of an image, in a merged /usr."""
    yield from (LayerLink(name, f"usr/{name}") for name in _MERGED)
    information = rootfs / "var/lib/dpkg/info"
    packages = resolve_dependencies((rootfs / "var/lib/dpkg/status").read_text(), wanted)
    lists = [file for file in information.glob("*.list") if file.stem.partition(":")[0] in packages]
    paths = {_merged(line) for file in lists for line in file.read_text().splitlines()}
    for path in sorted(paths):
        source = rootfs / path
        if _LEFT_OUT.match(path):
            continue
        if source.is_symlink():
            yield LayerLink(path, str(source.readlink()))
        elif source.is_file():
            yield LayerFile(path, source, source.stat().st_mode & 0o7777)


def _merged(line: str) -> str:
    path = PurePosixPath(line).relative_to("/")
    return f"usr/{path}" if path.parts and path.parts[0] in _MERGED else str(path)
