"""The benchmark of certificates runs, and prints its measurements. The speed is not tested."""

import json
import sys

import pytest

from bench import certificates


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["bench", "--certificates=120", "--chains=5", *arguments])
    certificates.main()
    return capsys.readouterr().out


@pytest.mark.timeout(600)  # without a cache, Go compiles its standard library first
def test_benchmark_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(monkeypatch, capsys, "-o", "json"))
    assert document["check"]["certificates"] == 120
    assert document["check"]["peak_mib"] > 1
    programs = [one["program"] for one in document["verify"]]
    assert programs == ["trustplane verify()", "openssl verify", "openssl verify", "Go crypto/x509"]
    assert [one["chains"] for one in document["verify"]] == [5] * 4


@pytest.mark.timeout(600)
def test_benchmark_prints_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = run(monkeypatch, capsys)
    assert "trustplane check, 120 certificates" in output
    assert "a process for each" in output
