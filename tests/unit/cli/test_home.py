import os
import pwd

import pytest

from trustplane.cli import main


def test_a_missing_home_is_set_for_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert main(["--help"], standalone_mode=False) == 0
    assert os.environ["HOME"] == pwd.getpwuid(os.getuid()).pw_dir


def test_an_existing_home_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    assert main(["--help"], standalone_mode=False) == 0
    assert os.environ["HOME"] == "/elsewhere"
