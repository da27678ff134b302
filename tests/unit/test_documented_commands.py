"""Every command and option of Trustplane that the documentation shows exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from trustplane.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
REMOVED = {"extension"}  # by version 0.1.0
_CODE = re.compile(r"```.*?```|^    .*?$|(?<!`)`[^`\n]+`", re.DOTALL | re.MULTILINE)
_END = re.compile(r"&&|\$\(|\|\||[;|>)#`\n]|\s\(| {2}")  # ends a command, or begins a remark beside it


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words after `trustplane` of each command in the page's code."""
    for code in _CODE.findall(page.replace("\\\n", "")):
        for start in re.finditer(r"(?:^|[\s`(/])trustplane (?=[a-z-])", code):
            yield _END.split(code[start.end() :])[0].split()


def problem(words: list[str]) -> str:
    """Return which word of a command is unknown."""
    command: click.Command = main
    context = click.Context(main)
    options = {"--help", "-h"}
    for word in words:
        options |= {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        if isinstance(command, click.Group) and not word.startswith("-"):
            inner = command.get_command(context, word)
            if inner is None:
                return "" if word.isupper() or word in {"...", *REMOVED} else f"no command {word}"
            command = inner
        elif re.match(r"--?[a-z]", name := word.strip("[].,:").partition("=")[0]) and name not in options:
            return f"no option {name}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_commands_exist(page: Path) -> None:
    unknown = {" ".join(words): problem(words) for words in commands(page.read_text())}
    assert {command: reason for command, reason in unknown.items() if reason} == {}


def test_commands_are_recognised() -> None:
    page = "```console\n$ trustplane update --all --timeout 6 && x\n```\nor `trustplane local kubectl get tkc`."
    first, second = commands(page)
    assert (first, problem(first)) == (["update", "--all", "--timeout", "6"], "")
    assert problem(second) == "no command kubectl"
    assert problem(["undo", "late", "--force"]) == "no option --force"
