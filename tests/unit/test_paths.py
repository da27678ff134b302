"""Files that the documentation names exist."""

import re
from pathlib import Path

import pytest

from sources import PACKAGES, ROOT

# Decisions (docs/adr) keep the names of their time.
PAGES = [*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if "adr" not in page.parts)]
BASES = [
    ROOT,
    *PACKAGES,
    *(package.parent for package in PACKAGES),
    ROOT / "tests",
    ROOT / "tests/unit",
    ROOT / "tests/apiserver",
]
PATH = re.compile(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|sh|json|go))`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    named = PATH.findall(page.read_text())
    assert [path for path in named if not any((base / path).exists() for base in BASES)] == []
