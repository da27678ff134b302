from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from trustplane.cli import main, manager, manifests, plan, prove, status, update, webhook
from trustplane.errors import UserError


@pytest.mark.parametrize(
    "command",
    [
        manager.command,
        plan.command,
        prove.command,
        status.command,
        update.command,
        webhook.command,
    ],
)
def test_help_explains(command: object) -> None:
    shown = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert shown.exit_code == 0
    assert "--kubeconfig" in shown.output


def _commands(group: click.Group) -> Iterator[click.Command]:
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        assert found
        yield from _commands(found) if isinstance(found, click.Group) else [found]


def test_every_command_takes_the_same_kubeconfigs(tmp_path: Path) -> None:
    options = [one for command in _commands(main) for one in command.params if one.name == "kubeconfig"]
    assert len(options) > 8
    for one in options:
        assert isinstance(one, click.Option)
        assert "Default: $KUBECONFIG" in (one.help or "")
        with pytest.raises(click.BadParameter, match="does not exist"):
            one.type.convert(str(tmp_path / "none"), one, None)


@pytest.mark.parametrize("arguments", [[], ["c", "--all"], ["c", "--timeout", "0"], ["c", "-o", "yaml"]])
def test_wrong_usage_of_update(arguments: list[str]) -> None:
    shown = CliRunner().invoke(update.command, arguments)
    assert shown.exit_code == 2
    assert "Usage: update" in shown.output


def test_the_webhook_server_names_files_that_it_cannot_read(tmp_path: Path) -> None:
    files = ["--tls-cert", str(tmp_path / "none.crt"), "--tls-key", str(tmp_path / "none.key")]
    shown = CliRunner().invoke(webhook.command, files)
    assert "Cannot serve TLS" in str(shown.exception)


def test_the_manager_wants_a_kubeconfig_that_exists(tmp_path: Path) -> None:
    shown = CliRunner().invoke(manager.command, ["--kubeconfig", str(tmp_path / "none")])
    assert shown.exit_code == 2
    assert "does not exist" in shown.output


@pytest.mark.parametrize("command", [plan.command, prove.command, status.command, update.command])
def test_help_has_examples_and_exit_statuses(command: object) -> None:
    shown = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert "Examples:" in shown.output
    assert "Exit status: 0" in shown.output


@pytest.mark.parametrize("arguments", [[], ["c", "--all"], ["c", "--image", "r/x"], ["c", "--timeout", "0"]])
def test_wrong_usage_of_prove(arguments: list[str]) -> None:
    shown = CliRunner().invoke(prove.command, arguments)
    assert shown.exit_code == 2
    assert "Usage: prove" in shown.output


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "kind: Secret", "items: 7", "items:\n- 7", "a: !!int ''", "a: 2026-13-99", "\xff", "a: *b"]
)
def test_a_plan_wants_a_manifest(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    shown = CliRunner().invoke(plan.command, ["-f", str(file)])
    assert isinstance(shown.exception, UserError)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 9)}]}}\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("items:\n" + "- a\n" * 1_000_001, "1000000 values", id="values"),
        pytest.param("a: " + "[" * 1000, "100 levels", id="levels"),
        pytest.param("a: &a b\nb: [" + "*a, " * 101 + "]", "100 aliases", id="aliases"),
        pytest.param(LAUGHS, "1000000 values", id="aliases-of-aliases"),
        pytest.param(MERGES, "1000000 values", id="merges-of-merges"),
        pytest.param("a: &a [*a]", "1000000 values", id="circle"),
        pytest.param(f"a: &a {'x' * 5_000_000}\nb: [{'*a, ' * 99}]", "1000000 values", id="long-texts"),
        pytest.param("x" * (33 << 20), "larger than 32 MB", id="octets"),
    ],
)
def test_manifests_of_a_plan_have_the_limits_of_check(text: str, limit: str) -> None:
    shown = CliRunner().invoke(plan.command, ["-f", "-"], input=text)
    assert isinstance(shown.exception, UserError)
    assert limit in shown.exception.why + shown.exception.what


def test_a_manifest_may_repeat_itself_within_the_limits() -> None:
    text = b"kind: List\nitems:\n- &a {metadata: {name: b}}\n- *a\n---\n- &a 1\n- *a\n"
    assert manifests.load("-", text)[0]["items"] == [{"metadata": {"name": "b"}}] * 2


def test_a_plan_names_a_file_that_it_cannot_read(tmp_path: Path) -> None:
    shown = CliRunner().invoke(plan.command, ["-f", str(tmp_path / "none")])
    assert "cannot be read" in str(shown.exception)
