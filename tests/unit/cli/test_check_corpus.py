"""`trustplane check` on the corpus: files as people have them, each with the right answer."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from trustplane.cli.check.command import command as check
from trustplane.errors import UserError

FOLDER = Path(__file__).parents[2] / "corpus" / "check"
AT = ("--at", "2026-11-28T12:00:00Z")
CASES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}


def answer(*arguments: str) -> tuple[int, str]:
    """Return the exit status and everything that the user sees."""
    result = CliRunner().invoke(check, [*AT, *arguments])
    if isinstance(result.exception, UserError):
        problem = result.exception
        return problem.exit_code, f"{problem.what}. {problem.why}. {problem.next_step}"
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def inputs(case: dict[str, Any], folder: Path) -> list[str]:
    """Return copies of a case's files."""
    paths = []
    for name in case["inputs"]:
        path = folder / Path(name).name
        content = case.get("content", {}).get(name)
        path.write_bytes((FOLDER / "inputs" / name).read_bytes() if content is None else content.encode())
        paths.append(str(path))
    return paths


def findings(text: str) -> list[dict[str, str]]:
    document = json.loads(text)
    return [{"code": finding["code"], "entry": finding["where"]} for finding in document["findings"]]


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_its_answer(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    files = inputs(case, tmp_path)
    status, text = answer(*files)
    assert status == case["exit"], text
    for phrase in case.get("contains", ()):
        assert phrase in text
    for phrase in case.get("lacks", ()):
        assert phrase not in text
    if "findings" in case:
        expected = [
            {"code": finding["code"], "entry": finding["entry"].replace("FILE", files[0])}
            for finding in case["findings"]
        ]
        assert findings(answer(*files, "-o", "json")[1]) == expected


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.get("fixed")])
def test_fix_corrects_what_it_promises(name: str, tmp_path: Path) -> None:
    files = inputs(CASES[name], tmp_path)
    assert "--fix" in answer(*files)[1]
    answer("--fix", *files)
    assert answer(*files)[0] == 0


def test_every_input_belongs_to_a_case() -> None:
    used = {name for case in CASES.values() for name in case["inputs"] if name not in case.get("content", {})}
    assert {path.name for path in (FOLDER / "inputs").iterdir()} == used
