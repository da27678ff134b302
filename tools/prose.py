"""Check prose against STYLE.md: docstrings, comments and messages of Python files, and Markdown outside of code.

    python tools/prose.py [--write] [FILE...]

A file may have 80 of the phrases below per 10,000 words, and at least two. tools/prose-debt.txt lists the files with
more. It must only shrink: a listed file that meets the limit must leave the list. `--write` updates the list.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEBT = ROOT / "tools" / "prose-debt.txt"
LIMIT = 80 / 10_000
ALWAYS = 2
MIN_BLANKS = 4  # a string literal with fewer is no sentence
_COMMENT = re.compile(r"(?:^\s*|  )# (?!noqa|type:|pragma|fmt)(.*)")  # by line, since `tokenize` takes half of the time
_CODE = re.compile(r"```.*?```|`[^`\n]*`|<!--.*?-->", re.DOTALL)

# The rules of STYLE.md, section Words: the phrases, and what to write instead.
RULES = {
    r"\banew\b": "again, from scratch",
    r"\b(of ours|of its own|of our own|of theirs|of somebody else)\b": "a possessive, or separate",
    r"\b[Ww]hat (is|was|it|they|there|can|has|had|we|others|nodes|came|comes|differs|fails|could)\b": "the noun",
    r"\b((is|are|was|were|be|been) told|tells? of|told (of|by|so|that)|Tell whether)\b": "report, pass, return",
    r"\b(in (the )?words|the words|words of|says? so|[Ss]ays? nothing)\b": "message, text, report",
    r"\b((a|one|the|this|each) look|look(s|ed)? at|looking at)\b": "inspect, read, check",
    r"\b(held to be|taken for|is held|good as (none|absent|empty))\b": "treated as",
    r"\b(is|are|was|were|not) there\b": "exists, is present, is missing",
    r"\b[Ww]here (it|there|that|they|the|nothing|none|one|a|an|no|this|some|nobody|each|what)\b": "if, unless",
    r"\b(mend(s|ed)?|hind(er|ers|ered|rance)|in vain|put right|made good)\b": "fix, block, without success",
    r"\b(gone on|goes on|go on|get on|gets on|the like)\b": "continue, similar",
    r"\b(nobody|somebody|whoever|whatever|wherever|none of)\b": "the actor: the user, a tenant, another tool",
    r"\b(is|are|was|were) to (be|have|trust|prove|take|go|come|pull|hold|get|say|do|change)\b": "must, should, will",
}
_ANY = re.compile("|".join(f"({pattern})" for pattern in RULES))


def python_prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, sentence in a string, and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") >= MIN_BLANKS:
            yield node.lineno, node.value
    for number, line in enumerate(source.splitlines(), 1):
        if comment := _COMMENT.search(line):
            yield number, comment[1]


def markdown_prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each line outside of code; code keeps its line ends."""
    text = _CODE.sub(lambda code: "\n" * code[0].count("\n"), source)
    yield from enumerate(text.splitlines(), 1)


def check(path: Path) -> tuple[int, list[str]]:
    """Return the number of words of a file, and a report for each phrase."""
    pieces = list((python_prose if path.suffix == ".py" else markdown_prose)(path.read_text()))
    reports = []
    for line, text in pieces:
        for match in _ANY.finditer(re.sub(r"`[^`\n]*`", "", text)):
            instead = list(RULES.values())[next(i for i, group in enumerate(RULES) if re.fullmatch(group, match[0]))]
            reports.append(f"{path.relative_to(ROOT)}:{line}: `{match[0]}`: write {instead}")
    return sum(len(text.split()) for _, text in pieces), reports


def files() -> list[Path]:
    """Return all files with prose."""
    folders = [path for name in ("src", "packages", "docs", "tests") for path in sorted((ROOT / name).rglob("*"))]
    return [path for path in (*sorted(ROOT.glob("*.md")), *folders) if path.suffix in {".py", ".md"}]


def main(arguments: list[str]) -> int:
    """Check the files; print what must change."""
    named = [Path(name).resolve() for name in arguments if not name.startswith("-")]
    debt = set(DEBT.read_text().split())
    above: dict[str, list[str]] = {}
    checked = named or files()
    for path in checked:
        words, reports = check(path)
        if len(reports) > max(ALWAYS, words * LIMIT):
            above[str(path.relative_to(ROOT))] = reports
    if "--write" in arguments:
        DEBT.write_text("".join(f"{name}\n" for name in sorted(above)))
        return 0
    for name in sorted(above.keys() - debt):
        print(*above[name], sep="\n")
    checked_names = {str(path.relative_to(ROOT)) for path in checked}
    paid = sorted(debt - above.keys() if not named else (debt & checked_names) - above.keys())
    if paid:
        print(f"Remove from {DEBT.relative_to(ROOT)}, since they meet STYLE.md or no longer exist:", *paid, sep="\n  ")
    return int(bool(above.keys() - debt or paid))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
