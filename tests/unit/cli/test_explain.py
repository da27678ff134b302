"""`trustplane explain`: what a user sees, and the exit status."""

import json

import pytest
from click.testing import CliRunner, Result

from trustplane.cli import explain
from trustplane.errors import UserError

PULL = (
    'Failed to pull image "h.test/a:1": failed to pull and unpack image "h.test/a:1": failed to resolve image: failed '
    'to do request: Head "https://h.test/v2/a/manifests/1": '
)
REFUSED = f"{PULL}dial tcp 10.0.0.1:443: connect: connection refused"
UNKNOWN_CA = f"{PULL}tls: failed to verify certificate: x509: certificate signed by unknown authority"
SECRET = "s3cr3tV4lue"


def run(*arguments: str, content: str | None = None) -> Result:
    return CliRunner().invoke(explain.command, arguments, input=content)


def test_one_cause_comes_first_then_evidence() -> None:
    shown = run(REFUSED)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0] == "connection-refused: nothing listens on that address and port"
    assert "curl -v https://h.test/v2/" in shown.output
    assert "h.test port 443, the registry" in shown.output
    assert lines.index("Evidence:") > lines.index("   image:   h.test/a:1")
    assert "who acts:    network" in shown.output


def test_several_causes_are_ranked() -> None:
    shown = run(content=UNKNOWN_CA)
    assert shown.exit_code == 1
    assert "1. issuer-not-trusted" in shown.output
    assert "trustplane fetch-ca h.test " in shown.output
    assert shown.output.index("1. issuer-not-trusted") < shown.output.index("3. missing-intermediate")


@pytest.mark.parametrize("arguments", [("Error: ErrImagePull",), ("-",)])
def test_unknown_is_said(arguments: tuple[str, ...]) -> None:
    shown = run(*arguments, content="something else entirely")
    assert shown.exit_code == 2
    assert shown.output.startswith("unknown: no known cause matches")


def test_nothing_to_read() -> None:
    shown = run(content="  \n")
    assert isinstance(shown.exception, UserError)
    assert "No message of a failed pull" in str(shown.exception)


def test_json_for_programs() -> None:
    shown = run(UNKNOWN_CA, "-o", "json")
    assert shown.exit_code == 1
    document = json.loads(shown.output)
    answer = document["answers"][0]
    assert document["exitCode"] == 1
    assert answer["failed"] == {"role": "registry", "host": "h.test", "port": "443", "path": "/v2/a/manifests/1"}
    assert answer["image"] == "h.test/a:1"
    assert answer["causes"][0]["code"] == "issuer-not-trusted"
    assert answer["causes"][0]["actor"] == "cluster owner"
    assert answer["evidence"][-1]["words"] == "x509: certificate signed by unknown authority"


@pytest.mark.parametrize("output", ["text", "json"])
def test_credentials_and_terminal_codes_are_not_shown(output: str) -> None:
    url = f"https://u:{SECRET}@b.test/x?X-Amz-Signature={SECRET}"
    shown = run(f'failed to copy: Get "{url}": \x1b[31mAuthorization: Bearer {SECRET}', "-o", output)
    assert SECRET not in shown.output
    assert "\x1b" not in shown.output
    assert "\\u001b" not in shown.output


def test_a_message_that_is_not_read_to_its_end_is_named() -> None:
    shown = run("-", content="Failed to pull image: x509: certificate signed by unknown authority " + "x" * 9000)
    assert "Only the first 8192 characters of a message are read; 1 of the input are longer." in shown.output
    assert "read;" not in run("x509: certificate signed by unknown authority").output


def test_help_has_examples_and_exit_statuses() -> None:
    shown = run("--help")
    assert "Examples:" in shown.output
    assert "Exit status: 0 one cause, 1 several, 2 unknown" in shown.output
