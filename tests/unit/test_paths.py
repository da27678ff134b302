"""Files and tests that the documentation names exist."""

import re
from functools import cache
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
TEST = re.compile(r"`(test_[a-z0-9_]+)(\*?)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    named = PATH.findall(page.read_text())
    assert [path for path in named if not any((base / path).exists() for base in BASES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_exist(page: Path) -> None:
    named = TEST.findall(page.read_text())
    assert [name for name, star in named if not any(has_name(test, name, star) for test in defined_tests())] == []


def has_name(test: str, name: str, star: str) -> bool:
    return test.startswith(name) if star else test == name


@cache
def defined_tests() -> frozenset[str]:
    return frozenset(
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    )
