"""`trustplane explain`: output and exit status."""

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


def test_a_single_cause_precedes_its_evidence() -> None:
    result = run(REFUSED)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "connection-refused: nothing listens on that address and port"
    assert "curl -v https://h.test/v2/" in result.output
    assert "h.test port 443, the registry" in result.output
    assert lines.index("Evidence:") > lines.index("   image:   h.test/a:1")
    assert "who acts:    network" in result.output


def test_several_causes_are_ranked() -> None:
    result = run(content=UNKNOWN_CA)
    assert result.exit_code == 1
    assert "1. issuer-not-trusted" in result.output
    assert "trustplane fetch-ca h.test " in result.output
    assert result.output.index("1. issuer-not-trusted") < result.output.index("3. missing-intermediate")


@pytest.mark.parametrize("arguments", [("Error: ErrImagePull",), ("-",)])
def test_unknown_causes_are_reported(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, content="something else entirely")
    assert result.exit_code == 2
    assert result.output.startswith("unknown: no known cause matches")


def test_empty_input_is_an_error() -> None:
    result = run(content="  \n")
    assert isinstance(result.exception, UserError)
    assert "no message of a failed pull" in str(result.exception)


def test_json_for_programs() -> None:
    result = run(UNKNOWN_CA, "-o", "json")
    assert result.exit_code == 1
    document = json.loads(result.output)
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
    result = run(f'failed to copy: Get "{url}": \x1b[31mAuthorization: Bearer {SECRET}', "-o", output)
    assert SECRET not in result.output
    assert "\x1b" not in result.output
    assert "\\u001b" not in result.output


def test_a_truncated_message_is_reported() -> None:
    result = run("-", content="Failed to pull image: x509: certificate signed by unknown authority " + "x" * 9000)
    assert "Only the first 8192 characters of a message are read; 1 messages are longer." in result.output
    assert "read;" not in run("x509: certificate signed by unknown authority").output


def test_help_has_examples_and_exit_statuses() -> None:
    result = run("--help")
    assert "Examples:" in result.output
    assert "Exit status: 0 one cause, 1 several, 2 unknown" in result.output
