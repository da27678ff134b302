"""`trustplane explain`: the causes of a failed image pull, from its message alone."""

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

_MAX_BYTES = 64 << 20  # events of about 50,000 pods


@click.command(
    "explain",
    epilog=examples(
        ("trustplane explain 'Failed to pull image \"harbor.corp/app:1\": ...'", "one message"),
        ("kubectl describe pod web | trustplane explain", "a pod's events"),
        ("kubectl get events -A -o json | trustplane explain", "all recent events"),
        ("kubectl get pod -A -o json | trustplane explain -o json", "current failures, for programs"),
    ),
)
@click.argument("message", required=False)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
def command(*, message: str | None, output: str) -> None:
    """Explain a failed image pull from its message alone: cause, who must act, and what to do next.

    MESSAGE comes from the kubelet, containerd, CRI-O or Docker. Without it (or with -), the command reads standard
    input: a message, the output of `kubectl describe pod`, or JSON of events or pods. It prints one cause if the
    message is conclusive, otherwise all matching causes, most likely first, or `unknown`. It contacts no server, and
    redacts credentials in the message.

    Exit status: 0 one cause, 1 several, 2 unknown or no message.
    """
    messages = messages_in(_standard_input() if message in {None, "-"} else str(message))
    if count := sum(len(item.text) > MAX_INPUT for item in messages):
        echo(f"Only the first {MAX_INPUT} characters of a message are read; {count} messages are longer.", err=True)
    explanations = explain_messages(messages)
    if not explanations:
        raise UserError(
            "The input has no message of a failed pull",
            next_step="Pass the message of a pod's event, or pipe in: kubectl get events -o json",
        )
    if output == "json":
        echo_json(explain_report.as_json(explanations))
    else:
        explain_report.show_explanations(console(), explanations)
    sys.exit(exit_code(explanations))


def _standard_input() -> str:
    if sys.stdin.isatty():
        echo("Reading a message from the terminal; end it with Ctrl-D.", err=True)
    content = sys.stdin.buffer.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise UserError(f"The input is larger than {_MAX_BYTES >> 20} MB", next_step="Pass one namespace at a time")
    return content.decode(errors="replace")
