"""The catalogue of odd files: each has its findings, and each finding has a file."""

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
from trustplane.cli.check.command import command as check

ROOT = Path(__file__).parents[3]
SOURCES = [
    *(ROOT / "src/trustplane/certificates").glob("*.py"),
    *(ROOT / "src/trustplane/cli/check").glob("*.py"),
    ROOT / "src/trustplane/trust/entries.py",
    ROOT / "src/trustplane/clusterapi/exclusions.py",
]
ELSEWHERE = {"too-many"}  # from trust/merge.py, whose other findings concern two lists in a running cluster
NOT_ASSETS = {".py", ".md"}


def run(name: str, *options: str) -> Result:
    return CliRunner().invoke(check, ["--at", AT, *options, str(FOLDER / name)])


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_file_has_its_findings(name: str) -> None:
    expected = CATALOGUE[name][1]
    result = run(name, "-o", "json")
    findings = json.loads(result.output)["findings"]
    assert [f"{finding['severity'].lower()} {finding['code']}" for finding in findings] == expected
    assert all(finding["what"] and finding["why"] and finding["nextStep"] and finding["where"] for finding in findings)
    assert result.exit_code == any(line.startswith("error") for line in expected)


@pytest.mark.parametrize("output", ["table", "sarif"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_output_shows_all_findings(name: str, output: str) -> None:
    text = run(name, "-o", output).output
    assert all(line.partition(" ")[2] in text for line in CATALOGUE[name][1])


@pytest.mark.parametrize("name", CATALOGUE)
def test_files_equal_what_the_generator_writes(name: str) -> None:
    assert (FOLDER / name).read_bytes() == CATALOGUE[name][0], "run `make assets`"


def test_every_file_is_in_the_catalogue() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix not in NOT_ASSETS}
    assert files == CATALOGUE.keys()


def test_every_finding_has_a_file_and_every_file_a_finding() -> None:
    defined = {code for source in SOURCES for code in codes(ast.parse(source.read_text()))} | ELSEWHERE
    covered = {line.partition(" ")[2] for _, expected in CATALOGUE.values() for line in expected}
    assert covered == defined


def codes(tree: ast.AST) -> Iterator[str]:
    """Yield the codes of the findings that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            arguments = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
            if node.func.id in {"error", "warning", "Finding"}:
                yield from (argument.value for argument in arguments if isinstance(argument, ast.Constant))


def test_every_finding_is_in_the_reference() -> None:
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs/reference/findings.md").read_text(), re.MULTILINE)
    documented = set(re.findall(r"`([a-z0-9-]+)`", "".join(rows)))
    assert {line.partition(" ")[2] for _, expected in CATALOGUE.values() for line in expected} <= documented


@pytest.mark.parametrize("output", ["table", "json", "sarif"])
@pytest.mark.parametrize("name", KEYS)
def test_private_keys_are_never_shown(name: str, output: str) -> None:
    text = run(name, "-o", output).output
    secret = "".join(key_pem().splitlines()[1:-1])
    assert not any(secret[at : at + 8] in text for at in range(len(secret) - 8))
