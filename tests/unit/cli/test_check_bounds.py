"""`trustplane check` answers any input of any size with a finding or a helpful error."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.material import GOOD, encoded, file, key_pem, many, service
from oracle.pem import data, pem
from trustplane.cli import check
from trustplane.errors import UserError

AT = ("--at", "2026-11-23T12:00:00Z")
LARGE = 10_000_000
LIST = b"kind: TkgServiceConfiguration\nspec: {trust: {additionalTrustedCAs: ["


def run(content: bytes, *options: str) -> Result:
    result = CliRunner().invoke(check.command, [*AT, *options, "-"], input=content)
    assert isinstance(result.exception, SystemExit | UserError | None), result.exception
    return result


def codes(content: bytes) -> list[str]:
    return [finding["code"] for finding in json.loads(run(content, "-o", "json").output)["findings"]]


def nested(content: bytes) -> bytes:
    while len(content) < LARGE // 2:
        content = base64.b64encode(content)
    return content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(bytes(LARGE), "too-large", id="nul-bytes"),
        pytest.param(b"\x30\x84\x00\x98\x96\x80" + bytes(LARGE), "too-large", id="der"),
        pytest.param(b"-----BEGIN " * (LARGE // 11), "no-certificate", id="begins"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\n" * (LARGE // 28), "unparsable-certificate", id="begin-lines"),
        pytest.param(b"\xff\xfe" + ("-----BEGIN " * (LARGE // 22)).encode("utf-16-le"), "utf-16", id="utf-16"),
        pytest.param(nested(b"garbage"), "too-large", id="base64-of-base64"),
        pytest.param(LIST + b"{name: a, data: '" + b"A " * (LARGE // 2) + b"'}]}}", "too-large", id="data"),
        pytest.param(LIST + b"{name: '" + b"n" * LARGE + b"', data: QQ==}]}}", "bad-name", id="name"),
    ],
)
def test_megabytes_of_garbage_yield_a_finding(content: bytes, code: str) -> None:
    assert code in codes(content)


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        pytest.param(b"kind: List\nitems:\n" + b"- a\n" * 1_000_001, "1000000 values", id="values"),
        pytest.param(b"kind: " + b"[" * 1000, "100 levels", id="levels"),
        pytest.param(
            LIST + b"&a {name: a, data: QQ==}" + b", *a" * 101 + b"]}}",
            "100 aliases",
            id="aliases",
        ),
    ],
)
def test_manifests_have_limits(content: bytes, limit: str) -> None:
    error = run(content).exception
    assert isinstance(error, UserError)
    assert limit in error.why


def test_aliases_are_corrected_once(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_bytes(
        LIST
        + f"{{name: a, data: &ca '{encoded(pem(GOOD).replace(chr(10), chr(13) + chr(10)))}'}}, ".encode()
        + b"{name: b, data: *ca}]}}\n"
    )
    CliRunner().invoke(check.command, [*AT, "--fix", str(path)])
    entries = yaml.safe_load(path.read_text())["spec"]["trust"]["additionalTrustedCAs"]
    assert [entry["data"] for entry in entries] == [data(GOOD)] * 2


def test_thousands_of_findings_are_counted() -> None:
    output = run(LIST + b"{name: a, data: b}," * 1500 + b"]}}").output
    assert "more findings: -o json shows all" in output
    assert "3000 errors" in output


def test_a_thousand_certificates_in_one_file() -> None:
    document = json.loads(run(file(*many(1000)), "-o", "json").output)
    assert len(document["certificates"]) == 1000
    assert [finding["code"] for finding in document["findings"]] == ["several-certificates"]


PIECES = [b"kind: Secret\n", b"- ", b"[", b"&a ", b"*a", b"|\n ", b"\x00", b"\r", b": ", b"data: ", LIST, b"\xff\xfe",
          b"-----BEGIN CERTIFICATE", b"-----", b"-----END ", b"apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\n",
          b"spec: {topology: {variables: [{name: trust, value: ", file(GOOD), key_pem().encode(), GOOD,
          service(("corp", data(GOOD)))]  # fmt: skip


@settings(max_examples=200)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
def test_no_mixture_causes_a_traceback(pieces: list[bytes]) -> None:
    run(b"".join(pieces))
