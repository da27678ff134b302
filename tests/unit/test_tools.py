"""The checks of tools/ report what they must."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prose, floors = load("prose"), load("coverage_floors")


@pytest.mark.parametrize("text", ["written anew", "what it has", "if it is there", "where nothing changed", "goes on"])
def test_a_phrase_of_the_style_is_found_in_comments_docstrings_and_messages(text: str) -> None:
    source = f'"""The module is {text}."""\n\nX = 1  # it is {text}\nraise ValueError("It could be {text} again")\n'
    lines = [line for line, piece in prose.python_prose(source) if prose._ANY.search(piece)]
    assert sorted(lines) == [1, 3, 4]


def test_code_in_markdown_is_no_prose() -> None:
    text = "nobody\n```text\nnobody\n```\n`nobody` <!-- nobody -->\nsomebody"
    assert [line for line, piece in prose.markdown_prose(text) if prose._ANY.search(piece)] == [1, 6]


def test_coverage_counts_lines_and_branches_by_package() -> None:
    def module(lines: int, branches: int) -> dict[str, dict[str, int]]:
        return {
            "summary": {
                "covered_lines": lines,
                "num_statements": 10,
                "covered_branches": branches,
                "num_branches": 10,
            }
        }

    files = {
        "src/trustplane/text.py": module(10, 10),
        "src/trustplane/api/a.py": module(10, 0),
        "src/trustplane/api/crds/b.py": module(0, 0),
    }
    assert floors.percentages({"files": files}) == {".": 100, "api": 25}


def test_a_package_below_its_floor_or_without_one_is_reported() -> None:
    assert floors.problems({"api": 90.0, "cli": 80.0}, {"api": 90, "cli": 80}) == []
    reports = floors.problems({"api": 89.9, "new": 50.0}, {"api": 90, "old": 10})
    assert [report.split(":")[0] for report in reports] == ["api", "new", "old"]
