from pathlib import Path

import pytest
from click.testing import CliRunner

from trustplane.cli import extension, manager, update


@pytest.mark.parametrize("command", [extension.command, manager.command, update.command])
def test_help_explains(command: object) -> None:
    shown = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert shown.exit_code == 0
    assert "--kubeconfig" in shown.output


@pytest.mark.parametrize("arguments", [[], ["c", "--all"], ["c", "--timeout", "0"], ["c", "-o", "yaml"]])
def test_wrong_usage_of_update(arguments: list[str]) -> None:
    shown = CliRunner().invoke(update.command, arguments)
    assert shown.exit_code == 2
    assert "Usage: update" in shown.output


def test_the_extension_names_files_that_it_cannot_read(tmp_path: Path) -> None:
    files = ["--tls-cert", str(tmp_path / "none.crt"), "--tls-key", str(tmp_path / "none.key")]
    shown = CliRunner().invoke(extension.command, files)
    assert "Cannot serve TLS" in str(shown.exception)


def test_the_manager_wants_a_kubeconfig_that_exists(tmp_path: Path) -> None:
    shown = CliRunner().invoke(manager.command, ["--kubeconfig", str(tmp_path / "none")])
    assert shown.exit_code == 2
    assert "does not exist" in shown.output
