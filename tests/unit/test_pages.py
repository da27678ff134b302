"""The generated pages of the documentation are complete and current."""

from pathlib import Path

import click
import pytest

from assets import commands, kinds, pages
from trustplane.api.crds import crds
from trustplane.cli import main


@pytest.mark.parametrize("path", pages.GENERATED, ids=lambda path: path.name)
def test_a_generated_page_is_current(path: Path) -> None:
    assert path.read_text() == pages.GENERATED[path](), "run `make pages`"


def test_every_command_and_option_has_a_section() -> None:
    text = commands.page()
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    assert {"trustplane", "trustplane local up", "trustplane class patch"} <= set(sections)
    contexts = list(commands.contexts(main, "trustplane"))
    assert list(sections) == [context.command_path for context in contexts]
    for context in contexts:
        names = [name for option in context.command.params if isinstance(option, click.Option) for name in option.opts]
        assert [name for name in names if name not in sections[context.command_path]] == []


def test_every_kind_and_its_fields_have_a_row() -> None:
    text = kinds.page()
    for crd in crds():
        section = text.split(f"\n## {crd['spec']['names']['kind']}\n")[1].split("\n## ")[0]
        schema = crd["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        paths = [path for path, *_ in kinds.fields(schema)]
        assert len(rows) == len(set(paths)) > 5
        assert [path for path in paths if f"| `{path}` |" not in section] == []


def test_limits_and_rules_are_shown() -> None:
    rows = {line.split("`")[1]: line for line in kinds.page().splitlines() if line.startswith("| `spec")}
    assert rows["spec.host"].endswith(
        "| required, not empty, at most 253 characters. Refused if it is not a registry host. |"
    )
    assert "one of `antrea`, `calico`" in rows["spec.defaultCNI"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("`a|b_c`", r"`a\|b_c`"),
        ("tkg-<name>.pem", "tkg-&lt;name>.pem"),
        ("$XDG_CACHE_HOME *", r"$XDG\_CACHE\_HOME \*"),
    ],
)
def test_text_keeps_its_characters_in_markdown(text: str, shown: str) -> None:
    assert commands.escape(text) == shown
