"""The linter refuses tasks that nobody awaits, but in the places that are named with a reason."""

import ast
import tomllib
from pathlib import Path
from typing import Any

from sources import ROOT, python_files

BANNED = {"create_task", "ensure_future", "gather", "run_in_executor", "run_coroutine_threadsafe"}


def settings() -> dict[str, Any]:
    lint: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    return lint


def uses(file: Path) -> set[str]:
    """Return which of them a file uses, however it names them; a task group's own method is none."""
    tree = ast.parse(file.read_text())
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio"
        for name in node.names
    }
    groups = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }
    made = {call for call in calls if call.rpartition(".")[2] in BANNED and call.rpartition(".")[0] not in groups}
    return made | (imported & BANNED)


def test_tasks_are_made_in_the_named_places_alone() -> None:
    named = {path for path, codes in settings()["per-file-ignores"].items() if "TID251" in codes}
    sources = [file for file in python_files() if uses(file)]
    assert {str(file.relative_to(ROOT)) for file in sources} == named - {"**/tests/**"}


def test_the_linter_knows_them() -> None:
    banned = settings()["flake8-tidy-imports"]["banned-api"]
    assert {"asyncio.create_task", "asyncio.ensure_future", "asyncio.gather"} <= set(banned)
    assert settings()["select"] == ["ALL"]
