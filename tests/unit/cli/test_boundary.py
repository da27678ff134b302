"""Output boundary: only `cli.output` and `cli.console` print."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trustplane

SOURCES = Path(trustplane.__file__).parent
# The only modules that write output.
BOUNDARY = {"cli/output.py", "cli/console.py"}
PRINTS = {
    "click.echo", "click.secho", "click.echo_via_pager", "click.prompt", "click.confirm", "click.progressbar",
    "click.edit", "click.pause", "print", "pprint", "pprint.pprint", "Console", "rich.print", "rich.print_json",
    "rich.console.Console", "RichConsole", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write",
    "sys.stderr.buffer.write", "traceback.print_exc", "traceback.print_exception", "rich.get_console",
    "warnings.warn", "escape", "Text.from_markup", "Text.from_ansi",
}  # fmt: skip


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCES)))
def test_no_other_module_prints(file: Path) -> None:
    tree, name = ast.parse(file.read_text()), str(file.relative_to(SOURCES))
    if name in BOUNDARY:
        return
    imported = set(_imports(tree))
    allowed = {"Console"} if "trustplane.cli.console.Console" in imported else set[str]()
    calls = [(line, call) for line, call in _calls(tree) if call in PRINTS - allowed]
    assert not calls, f"{name} prints without trustplane.cli.output and trustplane.cli.console: {calls}"
    aliased = {"click.echo", "click.secho", "rich.print", "builtins.print"} & imported
    assert not aliased, f"{name} imports {aliased}"
    if name.startswith("cli/") and name != "cli/terminal.py":
        assert "rich.console.Console" not in imported, f"{name} uses rich's Console"


@pytest.mark.parametrize("line", ["print('x')", "click.echo('x')", "Console().print('x')", "sys.stderr.write('x')"])
def test_the_rule_detects_printing(line: str) -> None:
    assert {call for _, call in _calls(ast.parse(line))} & PRINTS
