"""Where the sources of each distribution are."""

from pathlib import Path

import gox509
import trustplane
import trustplane_local

ROOT = Path(__file__).parents[1]
PACKAGES = tuple(Path(package.__path__[0]) for package in (trustplane, trustplane_local, gox509))
FOLDERS = ("src", "packages", "tests")  # that have Python files, below ROOT


def python_files() -> list[Path]:
    """Return every Python file of the distributions."""
    return sorted(file for package in PACKAGES for file in package.rglob("*.py"))
