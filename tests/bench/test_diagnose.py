"""The benchmark of `trustplane diagnose` runs, and reaches its goals."""

import json
import sys

import pytest

from bench import diagnose


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    diagnose.main()
    return capsys.readouterr().out


def test_no_wrong_cause_has_high_confidence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    *causes, whole = json.loads(run(monkeypatch, capsys, "-o", "json"))["causes"]
    assert whole["cause"] == "all"
    assert whole["scenarios"] == sum(cause["scenarios"] for cause in causes) >= 60
    assert whole["evidence"]["wrong"] == 0
    assert whole["evidence"]["exact"] >= 0.95 * whole["scenarios"]
    assert whole["evidence"]["exact"] > whole["text"]["exact"]


def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = run(monkeypatch, capsys)
    assert "runtime-stale" in output
    assert "By the evidence:" in output
