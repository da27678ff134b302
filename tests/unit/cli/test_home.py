import os
import pwd

import pytest

from trustplane.cli import main


def test_programs_that_are_started_find_the_home_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert main(["--help"], standalone_mode=False) == 0
    assert os.environ["HOME"] == pwd.getpwuid(os.getuid()).pw_dir


def test_the_home_that_is_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    assert main(["--help"], standalone_mode=False) == 0
    assert os.environ["HOME"] == "/elsewhere"
