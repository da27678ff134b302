"""`trustplane explain`: output and exit status."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from trustplane.cli.explain.command import command as explain
from trustplane.errors import UserError

PULL = (
    'Failed to pull image "h.test/a:1": failed to pull and unpack image "h.test/a:1": failed to resolve image: failed '
    'to do request: Head "https://h.test/v2/a/manifests/1": '
)
REFUSED = f"{PULL}dial tcp 10.0.0.1:443: connect: connection refused"
UNKNOWN_CA = f"{PULL}tls: failed to verify certificate: x509: certificate signed by unknown authority"
SECRET = "s3cr3tV4lue"


def run(*arguments: str, content: str | None = None) -> Result:
    return CliRunner().invoke(explain, arguments, input=content)


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


def test_a_decision_precedes_several_causes() -> None:
    lines = run(UNKNOWN_CA).output.splitlines()
    assert lines[0] == "The text cannot tell 7 causes apart; this command can:"
    assert lines[1].startswith("   decide:  trustplane check --registry h.test ")
    assert "   next:      as for 1" in lines


def test_at_most_three_causes_are_explained_without_all() -> None:
    short, whole = run(UNKNOWN_CA).output, run(UNKNOWN_CA, "--all").output
    assert "Less likely (--all explains them): trust-not-applied, runtime-stale, ca-file-malformed" in short
    assert "4. trust-not-applied" not in short
    assert "7. ca-file-unreadable" in whole
    assert "Less likely" not in whole


def test_only_the_innermost_layers_are_evidence_without_all() -> None:
    assert 'Failed to pull image "h.test/a:1"' not in run(REFUSED).output
    assert 'Failed to pull image "h.test/a:1"' in run(REFUSED, "--all").output


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_input_from_powershell(encoding: str) -> None:
    bom = "\ufeff" if encoding == "utf-16-le" else ""
    result = CliRunner().invoke(explain, [], input=f"{bom}{REFUSED}\r\n".encode(encoding))
    assert result.output.startswith("connection-refused: ")


@pytest.mark.parametrize("flags", [[], ["-f"]])
def test_a_file_is_read(tmp_path: Path, flags: list[str]) -> None:
    path = tmp_path / "event.txt"
    path.write_text(REFUSED)
    assert run(*flags, str(path)).output.startswith("connection-refused: ")


def test_a_message_without_quotes_is_an_error() -> None:
    result = run("Failed", "to", "pull", "image")
    assert "not in quotes: the shell split it into 4 words" in str(result.exception)
    assert "trustplane explain 'Failed to pull image ...'" in str(getattr(result.exception, "next_step", ""))


@pytest.mark.parametrize("prefix", ["- ", "-> ", "-o "])
def test_a_message_may_begin_with_a_dash(prefix: str) -> None:
    assert json.loads(run("-o", "json", prefix + REFUSED).output)["exitCode"] == 0


def test_yaml_for_programs() -> None:
    assert yaml.safe_load(run(UNKNOWN_CA, "-o", "yaml").output) == json.loads(run(UNKNOWN_CA, "-o", "json").output)


@pytest.mark.parametrize(
    ("runtime", "step"),
    [
        ('Error response from daemon: Get "https://h.test/v2/": ', "/etc/docker/certs.d/h.test/ca.crt (no restart)"),
        (
            'initializing source docker://h.test/a:1: pinging container registry h.test: Get "https://h.test/v2/": ',
            "/etc/containers/certs.d/h.test/ca.crt (no restart)",
        ),
        (
            'k3s-agent[812]: failed to resolve reference "h.test/a:1": Head "https://h.test/v2/": ',
            "/etc/rancher/k3s/registries.yaml",
        ),
        (
            'rke2-server[812]: failed to resolve reference "h.test/a:1": Head "https://h.test/v2/": ',
            "/etc/rancher/rke2/registries.yaml",
        ),
        (PULL, "trustplane update CLUSTER"),
    ],
)
def test_the_next_step_has_the_paths_of_the_runtime(runtime: str, step: str) -> None:
    assert step in run(f"{runtime}x509: certificate signed by unknown authority").output.splitlines()[5]


@pytest.mark.parametrize(
    ("registry", "step"),
    [
        ("111122223333.dkr.ecr.eu-west-1.amazonaws.com", "AmazonEC2ContainerRegistryReadOnly"),
        ("acme.azurecr.io", "AcrPull"),
        ("europe-west3-docker.pkg.dev", "roles/artifactregistry.reader"),
        ("h.test", "kubectl create secret generic pull"),
    ],
)
def test_clouds_are_asked_for_the_node_s_identity_before_a_pull_secret(registry: str, step: str) -> None:
    message = f'failed to resolve reference "{registry}/a:1": authorization failed: no basic auth credentials'
    assert step in run(message).output


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
