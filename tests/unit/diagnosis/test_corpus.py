"""The corpus of public reports and everyday inputs: each file in tests/corpus/explain gets its right answer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from trustplane.cli.explain.command import command as explain

CASES = Path(__file__).parents[2] / "corpus" / "explain"
FILES = sorted(CASES.glob("*.yaml"))


@cache
def case(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def content(path: Path) -> bytes:
    name = case(path).get("file")
    return (path.parent / str(name)).read_bytes() if name else str(case(path)["text"]).encode()


@cache
def output(path: Path, output_format: str) -> str:
    return CliRunner().invoke(explain, ["-o", output_format], input=content(path)).output


def document(path: Path) -> list[dict[str, Any]]:
    text = output(path, "json")
    return list(json.loads(text)["answers"]) if text else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_case_gets_its_right_answer(path: Path) -> None:
    expected, answers = case(path)["answers"], document(path)
    assert [answer["causes"][0]["code"] for answer in answers] == [answer["first"] for answer in expected]
    for answer, right in zip(answers, expected, strict=True):
        codes = [cause["code"] for cause in answer["causes"]]
        first = answer["causes"][0]
        actual = {**answer["failed"], "image": answer["image"], "pods": answer["pods"], "actor": first["actor"]}
        facts = {key: right[key] for key in ("host", "port", "role", "image", "actor", "pods") if key in right}
        assert set(codes) <= set(right["allowed"])
        assert set(right.get("required", ())) <= set(codes)
        assert {key: actual[key] for key in facts} == facts
        assert [text for text in right.get("next", ()) if text not in first["nextStep"]] == []
        assert [text for text in right.get("next_absent", ()) if text in first["nextStep"]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_output_for_people_is_right(path: Path) -> None:
    shown = output(path, "text")
    assert [text for text in case(path).get("shown", ()) if text not in shown] == []
    assert [text for text in case(path).get("shown_absent", ()) if text in shown] == []


@pytest.mark.parametrize("output_format", ["text", "json", "yaml"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_credentials_are_in_no_output(path: Path, output_format: str) -> None:
    shown = output(path, output_format)
    assert [text for text in case(path).get("hidden", ()) if text in shown] == []


def test_every_case_has_a_source_and_an_answer() -> None:
    assert FILES
    assert [path.stem for path in FILES if not case(path).get("source") or not case(path).get("answers")] == []
