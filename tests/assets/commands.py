"""The page of commands, docs/reference/commands.md: the help texts as Markdown."""

import inspect
import re
from collections.abc import Iterator

import click

from trustplane.cli import main

HEAD = """# Commands and options

<!-- Generated from the help texts by `make pages`. -->

`trustplane COMMAND --help` prints the same text. Exit statuses, states and examples are in [command line](cli.md).
"""
_MARKUP = re.compile(r"([\\*_\[\]|])")
_DEFAULT = re.compile(r"\[([^\[\]]*)\]$")  # click's `[default: 5; x>=1]`


def page() -> str:
    """Return the page: a section for each command, groups before their commands."""
    return "\n".join([HEAD, *(section(context) for context in contexts(main, "trustplane"))])


def contexts(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield the context of a command and of all below it, in alphabetical order."""
    context = click.Context(command, parent=parent, info_name=name, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for child in sorted(command.list_commands(context)):
            subcommand = command.get_command(context, child)
            assert subcommand
            if not subcommand.hidden:
                yield from contexts(subcommand, child, context)


def section(context: click.Context) -> str:
    """Return a command's section: usage, help, options, examples."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = "\n\n".join(block(part) for part in paragraphs(command.help))
    epilogue = "\n\n".join(block(part) for part in paragraphs(command.epilog))
    parts = [f"## {context.command_path}", f"    {usage}", text, options(context), epilogue]
    return "\n\n".join(part for part in parts if part) + "\n"


def paragraphs(text: str | None) -> list[str]:
    """Split a help text as click does; a form feed ends it."""
    return [part for part in inspect.cleandoc(text or "").split("\f")[0].split("\n\n") if part.strip()]


def block(paragraph: str) -> str:
    """Return a paragraph as Markdown; click's `\\b` marks one with fixed line ends."""
    if not paragraph.startswith("\b"):
        return escape(" ".join(paragraph.split()))
    title, *lines = paragraph.removeprefix("\b").strip("\n").split("\n")
    code = "\n".join(["```console", *(line.removeprefix("  ") for line in lines), "```"])
    return f"{title}\n\n{code}" if title.endswith(":") else f"```text\n{title}\n" + "\n".join([*lines, "```"])


def options(context: click.Context) -> str:
    """Return the table of a command's options, without --help."""
    shown = [option for option in context.command.get_params(context) if isinstance(option, click.Option)]
    records = [option.get_help_record(context) for option in shown if "--help" not in option.opts]
    rows = [f"| {escape(f'`{name}`')} | {meaning(text)} |" for name, text in filter(None, records)]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def meaning(text: str) -> str:
    """Return an option's help, with its default in parentheses."""
    return escape(_DEFAULT.sub(r"(\1)", " ".join(text.split())))


def escape(text: str) -> str:
    """Escape Markdown outside of code spans, and pipes everywhere: the text may become a cell of a table."""
    spans = re.split(r"(`[^`]*`)", text)
    return "".join(
        part.replace("|", "\\|") if part.startswith("`") else _MARKUP.sub(r"\\\1", part).replace("<", "&lt;")
        for part in spans
    )
