"""Links of Markdown pages lead to files and headings that exist; `make docs` also checks those inside docs."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    *(page for folder in ("docs", "tests") for page in sorted((ROOT / folder).rglob("*.md"))),
]
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page, outside of code."""
    for target in _LINK.findall(_CODE.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = [re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading) for heading in _HEADING.findall(text)]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def problem(page: Path, link: str) -> str:
    """Return why a link is broken."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return "no such file"
    if not target.is_relative_to(ROOT):
        return "outside of the repository"
    return "" if not anchor or anchor in anchors(target) else "no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = {link: reason for link in links(page) if (reason := problem(page, link))}
    assert broken == {}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_list_begins_after_a_blank_line(page: Path) -> None:
    # Otherwise the site shows it as a paragraph, although GitHub shows a list.
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    lines = text.splitlines()
    item = re.compile(r"(?:[-*]|\d+\.) ")
    glued = [
        line
        for before, line in itertools.pairwise(lines)
        if item.match(line) and before.strip() and not item.match(before) and not before.startswith((" ", "#"))
    ]
    assert glued == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("docs/README.md", ""),
        ("docs/reference/admission.md#removing-trust", ""),
        ("docs/reference/api.md#cluster-clusterx-k8siov1beta2", ""),
        ("docs/reference/admission.md#no-heading", "no such heading"),
        ("docs/none.md", "no such file"),
        ("../none.md", "no such file"),
    ],
)
def test_broken_links_are_found(link: str, reason: str) -> None:
    assert problem(ROOT / "README.md", link) == reason
