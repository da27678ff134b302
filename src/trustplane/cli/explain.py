"""`trustplane explain`: the causes of a failed image pull by its message alone."""

import sys

import click

from trustplane.cli import explain_report
from trustplane.cli.console import console
from trustplane.cli.options import examples
from trustplane.cli.output import echo, echo_json
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.report import exit_code, explain_messages
from trustplane.errors import UserError
from trustplane.text import MAX_INPUT

_MAX_OCTETS = 64 << 20  # events of some 50,000 pods


@click.command(
    "explain",
    epilog=examples(
        ("trustplane explain 'Failed to pull image \"harbor.corp/app:1\": ...'", "one message"),
        ("kubectl describe pod web | trustplane explain", "a pod's events"),
        ("kubectl get events -A -o json | trustplane explain", "all that happened lately"),
        ("kubectl get pod -A -o json | trustplane explain -o json", "what fails now, for a program"),
    ),
)
@click.argument("message", required=False)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom."
)
def command(*, message: str | None, output: str) -> None:
    """Say why an image pull failed, who must act, and what to do next, by the message alone.

    MESSAGE is what the kubelet, containerd, CRI-O or Docker says; without it (or with -) standard input is read: a
    message, the output of `kubectl describe pod`, or JSON of events or pods. Where the words decide there is one
    cause; where they do not, all that fit, most likely first; `unknown` where nothing does. Nothing is contacted,
    and credentials in a message are not shown.

    Exit status: 0 one cause, 1 several, 2 unknown or no message.
    """
    messages = messages_in(_standard_input() if message in {None, "-"} else str(message))
    if cut := sum(len(one.text) > MAX_INPUT for one in messages):
        echo(f"Only the first {MAX_INPUT} characters of a message are read; {cut} of the input are longer.", err=True)
    told = explain_messages(messages)
    if not told:
        raise UserError(
            "No message of a failed pull is in the input",
            next_step="Give the message of a pod's event, or pipe in: kubectl get events -o json",
        )
    if output == "json":
        echo_json(explain_report.as_json(told))
    else:
        explain_report.show(console(), told)
    sys.exit(exit_code(told))


def _standard_input() -> str:
    if sys.stdin.isatty():
        echo("Reading a message from the terminal; end it with Ctrl-D.", err=True)
    content = sys.stdin.buffer.read(_MAX_OCTETS + 1)
    if len(content) > _MAX_OCTETS:
        raise UserError(f"The input is larger than {_MAX_OCTETS >> 20} MB", next_step="Give one namespace at a time")
    return content.decode(errors="replace")
