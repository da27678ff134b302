import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from trustplane import cli
from trustplane.cli.commands import commands
from trustplane.errors import HostError
from trustplane_local.commands.terminal import Terminal


def test_the_root_help_imports_no_subcommand() -> None:
    script = "import sys; from trustplane.cli import main; main(['--help'], standalone_mode=False); print(sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for name, (module, _) in commands().items():
        assert f"\n  {name} " in printed
        assert f"'{module}'" not in printed


def test_an_unknown_command_exits_with_status_2() -> None:
    outcome = CliRunner().invoke(cli.main, ["nonsense"])
    assert outcome.exit_code == 2
    assert "nonsense" in outcome.output


def test_an_error_shows_what_why_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    cli.show_error(HostError("It broke", why="- one\n- two", next_step="Fix it"))
    assert capsys.readouterr().err == "Error: It broke\n  Why:  - one\n        - two\n Next:  Fix it\n"


def test_commands_without_a_stack_explain_how_to_start_one(tmp_path: Path) -> None:
    for command in (["status"], ["kubeconfig"], ["logs", "etcd"]):
        outcome = CliRunner().invoke(cli.main, ["local", command[0], f"--state={tmp_path}", *command[1:]])
        assert outcome.exit_code == 2
        assert f"No stack in {tmp_path}" in outcome.output
        assert "trustplane local up" in outcome.output


def test_down_without_a_stack_succeeds_and_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    outcome = CliRunner().invoke(cli.main, ["local", "down", f"--state={tmp_path}"])
    assert outcome.exit_code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_up_refuses_a_folder_with_other_files_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    outcome = CliRunner().invoke(cli.main, ["local", "up", f"--state={tmp_path}"])
    assert outcome.exit_code == 2
    assert "precious" in outcome.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_a_bad_subnet_is_a_usage_error(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(cli.main, ["local", "up", f"--state={tmp_path}", "--subnet=10.0.0.0/8"])
    assert outcome.exit_code == 2
    assert "--subnet" in outcome.output


@pytest.mark.parametrize(
    ("arguments", "environment"), [(["--versions=capi-0.1"], {}), ([], {"TRUSTPLANE_VERSIONS": "capi-0.1"})]
)
def test_an_unknown_version_set_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    outcome = CliRunner().invoke(cli.main, ["local", "build", f"--cache={tmp_path}", *arguments])
    assert outcome.exit_code == 2
    assert "capi-0.1" in outcome.output
    assert "capi-1.13" in outcome.output
    assert not list(tmp_path.iterdir())


def test_the_state_folder_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTPLANE_STATE", str(tmp_path / "chosen"))
    assert f"No stack in {tmp_path / 'chosen'}" in CliRunner().invoke(cli.main, ["local", "status"]).output


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_steps_builds_and_failures(*, terminal: bool) -> None:
    output = io.StringIO()
    steps = Terminal(Console(file=output, force_terminal=terminal, width=80))
    with steps.step("outer"), steps.step("inner"):
        steps.build("etcd", 1, 3)
        steps.build("done", 3, 3)
    with pytest.raises(ValueError, match="no"), steps.step("broken"):
        raise ValueError("no")
    with pytest.raises(KeyboardInterrupt), steps.step("interrupted"):
        raise KeyboardInterrupt
    lines = output.getvalue()
    assert "outer" in lines
    assert "inner" in lines
    assert "✗" in lines
    if not terminal:
        assert "building etcd (2 of 3)" in lines
        assert "interrupted" not in lines


def test_a_completed_step_is_shown_with_its_duration() -> None:
    output = io.StringIO()
    with Terminal(Console(file=output)).step("nap"):
        pass
    assert re.search(r"nap \d+\.\d s", output.getvalue())
