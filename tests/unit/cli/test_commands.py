import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from trustplane.cli import main, manager, manifests, webhook
from trustplane.cli.plan.command import command as plan
from trustplane.cli.prove.command import command as prove
from trustplane.cli.status.command import command as status
from trustplane.cli.update.command import command as update
from trustplane.errors import UserError


@pytest.mark.parametrize(
    "command",
    [
        manager.command,
        plan,
        prove,
        status,
        update,
        webhook.command,
    ],
)
def test_help_mentions_the_kubeconfig(command: object) -> None:
    result = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert result.exit_code == 0
    assert "--kubeconfig" in result.output


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
    result = CliRunner().invoke(update, arguments)
    assert result.exit_code == 2
    assert "Usage: update" in result.output


def test_the_webhook_reports_unreadable_files(tmp_path: Path) -> None:
    files = ["--tls-cert", str(tmp_path / "none.crt"), "--tls-key", str(tmp_path / "none.key")]
    result = CliRunner().invoke(webhook.command, files)
    assert "Cannot serve TLS" in str(result.exception)


def test_the_manager_requires_an_existing_kubeconfig(tmp_path: Path) -> None:
    result = CliRunner().invoke(manager.command, ["--kubeconfig", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "does not exist" in result.output


@pytest.mark.parametrize("command", [plan, prove, status, update])
def test_help_has_examples_and_exit_statuses(command: object) -> None:
    result = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert "Examples:" in result.output
    assert "Exit status: 0" in result.output


@pytest.mark.parametrize("arguments", [[], ["c", "--all"], ["c", "--image", "r/x"], ["c", "--timeout", "0"]])
def test_wrong_usage_of_prove(arguments: list[str]) -> None:
    result = CliRunner().invoke(prove, arguments)
    assert result.exit_code == 2
    assert "Usage: prove" in result.output


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "kind: Secret", "items: 7", "items:\n- 7", "a: !!int ''", "a: 2026-13-99", "\xff", "a: *b"]
)
def test_a_plan_requires_a_manifest(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    result = CliRunner().invoke(plan, ["-f", str(file)])
    assert isinstance(result.exception, UserError)


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
        pytest.param("x" * (33 << 20), "larger than 32 MiB", id="octets"),
    ],
)
def test_a_plan_limits_the_size_of_manifests(text: str, limit: str) -> None:
    result = CliRunner().invoke(plan, ["-f", "-"], input=text)
    assert isinstance(result.exception, UserError)
    assert limit in result.exception.why + result.exception.what


def test_a_manifest_may_repeat_itself_within_the_limits() -> None:
    text = b"kind: List\nitems:\n- &a {metadata: {name: b}}\n- *a\n---\n- &a 1\n- *a\n"
    assert manifests.parse_objects("-", text)[0]["items"] == [{"metadata": {"name": "b"}}] * 2


def test_a_plan_reports_an_unreadable_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(plan, ["-f", str(tmp_path / "none")])
    assert "cannot be read" in str(result.exception)


def test_explain_starts_without_what_it_does_not_need() -> None:
    script = "import sys, trustplane.cli, trustplane.cli.explain.command; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "trustplane.diagnosis.messages" in loaded
    assert {"importlib.metadata", "asyncio", "rich.table", "trustplane.registry.dial"}.isdisjoint(loaded)


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "explain"]])
def test_the_version_is_shown(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output.split(" ")[:2]) == (0, ["trustplane,", "version"])
