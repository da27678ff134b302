"""The catalogue of odd files: what is found in each, and that no finding is without one."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assets.catalogue import AT, CATALOGUE, KEYS
from assets.generate import FOLDER
from assets.material import key_pem
from trustplane.cli import check

ROOT = Path(__file__).parents[3]
SOURCES = [
    *(ROOT / "src/trustplane/certificates").glob("*.py"),
    *(ROOT / "src/trustplane/cli").glob("check_*.py"),
    ROOT / "src/trustplane/trust/entries.py",
    ROOT / "src/trustplane/clusterapi/left_out.py",
]
ELSEWHERE = {"too-many"}  # of trust/effective.py, whose other findings are about two lists in a running cluster
NO_ASSETS = {".py", ".md"}


def run(name: str, *options: str) -> Result:
    return CliRunner().invoke(check.command, ["--at", AT, *options, str(FOLDER / name)])


@pytest.mark.parametrize("name", CATALOGUE)
def test_file_has_its_findings(name: str) -> None:
    expected = CATALOGUE[name][1]
    result = run(name, "-o", "json")
    findings = json.loads(result.output)["findings"]
    assert [f"{one['severity'].lower()} {one['code']}" for one in findings] == expected
    assert all(one["what"] and one["why"] and one["nextStep"] and one["where"] for one in findings)
    assert result.exit_code == any(one.startswith("error") for one in expected)


@pytest.mark.parametrize("output", ["table", "sarif"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_file_is_shown_with_its_findings(name: str, output: str) -> None:
    text = run(name, "-o", output).output
    assert all(one.partition(" ")[2] in text for one in CATALOGUE[name][1])


@pytest.mark.parametrize("name", CATALOGUE)
def test_file_is_what_the_generator_makes(name: str) -> None:
    assert (FOLDER / name).read_bytes() == CATALOGUE[name][0], "run `make assets`"


def test_every_file_is_in_the_catalogue() -> None:
    files = {one.name for one in FOLDER.iterdir() if one.is_file() and one.suffix not in NO_ASSETS}
    assert files == CATALOGUE.keys()


def test_every_finding_has_a_file_and_every_file_a_finding() -> None:
    made = {code for source in SOURCES for code in codes(ast.parse(source.read_text()))} | ELSEWHERE
    found = {one.partition(" ")[2] for _, expected in CATALOGUE.values() for one in expected}
    assert found == made


def codes(tree: ast.AST) -> Iterator[str]:
    """Yield the codes of the findings that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "code")]
            if node.func.id in {"error", "warning", "Finding"}:
                yield from (one.value for one in given if isinstance(one, ast.Constant))


def test_every_finding_is_in_the_reference() -> None:
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs/reference/findings.md").read_text(), re.MULTILINE)
    documented = set(re.findall(r"`([a-z0-9-]+)`", "".join(rows)))
    assert {one.partition(" ")[2] for _, expected in CATALOGUE.values() for one in expected} <= documented


@pytest.mark.parametrize("output", ["table", "json", "sarif"])
@pytest.mark.parametrize("name", KEYS)
def test_keys_are_never_shown(name: str, output: str) -> None:
    text = run(name, "-o", output).output
    secret = "".join(key_pem().splitlines()[1:-1])
    assert not any(secret[at : at + 8] in text for at in range(len(secret) - 8))
