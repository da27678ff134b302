"""`trustplane explain`: the causes of a failed image pull, from its message alone."""

import sys
from pathlib import Path

import click

from trustplane.cli.console import console
from trustplane.cli.epilog import examples
from trustplane.cli.explain import report
from trustplane.cli.output import echo, echo_data, echo_json, safe_value
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.report import exit_code, explain_messages
from trustplane.errors import UserError
from trustplane.text import MAX_INPUT, marked_encoding

_MAX_NAME = 4096  # characters of a file's name
_MAX_BYTES = 64 << 20  # events of about 50,000 pods


class _Command(click.Command):
    """A command whose argument may begin with a dash, as an item of a list does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Pass texts with a leading dash on as arguments."""
        texts = [arg for arg in args if arg == "-f" or (arg.startswith("-") and any(map(str.isspace, arg)))]
        others = [arg for arg in args if arg not in texts]
        return super().parse_args(ctx, [*others, "--", *texts] if texts and "--" not in args else args)


@click.command(
    "explain",
    cls=_Command,
    epilog=examples(
        ("""trustplane explain 'Failed to pull image "harbor.corp/app:1": ...'""", "one message"),
        ("trustplane explain FILE", "messages in a file"),
        ("kubectl describe pod web | trustplane explain", "a pod's events"),
        ("kubectl get events -A -o json | trustplane explain", "all recent events"),
        ("kubectl get pod -A -o json | trustplane explain -o json", "current failures, for programs"),
    ),
)
@click.argument("message", nargs=-1)
@click.option("--all", "show_all", is_flag=True, help="Show all causes, not only the three most likely ones.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="Output format; json and yaml always have all causes.",
)
def command(*, message: tuple[str, ...], show_all: bool, output: str) -> None:
    """Explain a failed image pull from its message alone: cause, who must act, and what to do next.

    MESSAGE comes from the kubelet, containerd, CRI-O or Docker, in quotes; or it is the name of a file. Without it (or
    with -), the command reads standard input: messages, a log, the output of `kubectl describe pod`, or JSON or YAML of
    events or pods. It prints one cause if the message is conclusive, otherwise the command that decides and the
    matching causes, most likely first, or `unknown`. It contacts no server, and redacts credentials in the message.

    Exit status: 0 one cause, 1 several, 2 unknown or no message.
    """
    messages = messages_in(_content(message))
    if count := sum(len(item.text) > MAX_INPUT for item in messages):
        echo(f"Only the first {MAX_INPUT} characters of a message are read; {count} messages are longer.", err=True)
    explanations = explain_messages(messages)
    if not explanations:
        raise UserError(
            "The input has no message of a failed pull",
            next_step="Pass the message of a pod's event, or pipe in: kubectl get events -o json",
        )
    if output == "json":
        echo_json(report.as_json(explanations))
    elif output == "yaml":
        import yaml  # noqa: PLC0415 - takes a tenth of the time of a run, which other formats save

        echo_data(yaml.safe_dump(safe_value(report.as_json(explanations)), sort_keys=False), nl=False)
    else:
        report.show_explanations(console(), explanations, show_all=show_all)
    sys.exit(exit_code(explanations))


def _content(words: tuple[str, ...]) -> str:
    if not words or words == ("-",):
        return _standard_input()
    if len(words) == 1:
        return _file(words[0]) or words[0]
    names = [word for word in words if word != "-f"]
    if len(names) == 1:
        return _file(names[0]) or names[0]
    raise UserError(
        f"The message is not in quotes: the shell split it into {len(words)} words",
        next_step="Put it in single quotes: trustplane explain 'Failed to pull image ...'; or pipe it in",
    )


def _file(name: str) -> str:
    """Return the content of a file, "" if the text names none."""
    try:
        path = Path(name)
        if "\n" in name or len(name) > _MAX_NAME or not path.is_file():
            return ""
        with path.open("rb") as file:
            return _decoded(file.read(_MAX_BYTES + 1))
    except (OSError, ValueError):
        return ""


def _standard_input() -> str:
    if sys.stdin.isatty():
        echo("Reading a message from the terminal; end it with Ctrl-D.", err=True)
    return _decoded(sys.stdin.buffer.read(_MAX_BYTES + 1))


def _decoded(content: bytes) -> str:
    if len(content) > _MAX_BYTES:
        raise UserError(f"The input is larger than {_MAX_BYTES >> 20} MiB", next_step="Pass one namespace at a time")
    # PowerShell's > writes UTF-16.
    return content.decode(marked_encoding(content) or "utf-8-sig", errors="replace")
