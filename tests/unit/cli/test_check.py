"""`trustplane check` on files: output and exit status."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from oracle import drafts
from oracle.encoding import time
from oracle.keyring import Keyring
from oracle.pem import data, pem

from trustplane.cli.check.command import command as check
from trustplane.errors import UserError

KEYS = Keyring()
GOOD = drafts.ca("Corp Root", KEYS.usual[0]).der
AT = ("--at", "2026-11-23T12:00:00Z")
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n"


def expired() -> bytes:
    draft = drafts.ca("Old Root", KEYS.usual[1])
    draft.not_after = time("260101000000Z")
    return draft.der


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def service(*entries: tuple[str, str]) -> str:
    lines = "".join(f"    - name: {name}\n      data: {value}\n" for name, value in entries)
    return (
        "# the service\napiVersion: run.tanzu.vmware.com/v1alpha3\nkind: TkgServiceConfiguration\n"
        f"metadata:\n  name: tkg-service-configuration\nspec:\n  trust:\n    additionalTrustedCAs:\n{lines}"
    )


def run(*arguments: str, content: bytes = b"") -> Result:
    return CliRunner().invoke(check, [*AT, *arguments], input=content)


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_good_list(tmp_path: Path) -> None:
    result = run(write(tmp_path, "service.yaml", service(("corp", data(GOOD)))))
    assert result.exit_code == 0
    assert "CN=Corp Root,O=Lab" in result.output
    assert "1 certificates, 0 errors, 0 warnings" in result.output


def test_table_shows_each_certificate_and_finding(tmp_path: Path) -> None:
    file = write(tmp_path, "service.yaml", service(("corp", data(GOOD)), ("old", data(expired()))))
    result = run(file)
    assert result.exit_code == 0  # warnings only
    assert "spec.trust.additionalTrustedCAs[1] (old)" in result.output
    assert f"warning expired {file}:11: spec.trust" in result.output
    assert "2025-" not in result.output
    assert "2026-01-01" in result.output
    assert "next: " in result.output


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("corp", "'no base64!'", "not-base64"),
        ("corp", encoded(data(GOOD)), "double-base64"),
        ("corp", base64.b64encode(GOOD).decode(), "der"),
        ("corp", encoded("nothing here"), "no-certificate"),
        ("../etc/passwd", data(GOOD), "bad-name"),
        ("corp", encoded(KEY + pem(GOOD)), "private-key"),
        ("corp", "''", "no-certificate"),
    ],
)
def test_errors(tmp_path: Path, name: str, value: str, code: str) -> None:
    result = run("-o", "json", write(tmp_path, "service.yaml", service((name, value))))
    assert result.exit_code == 1
    assert [finding["code"] for finding in json.loads(result.output)["findings"]] == [code]
    assert "c2VjcmV0" not in result.output


def test_duplicate_name(tmp_path: Path) -> None:
    file = write(tmp_path, "service.yaml", service(("corp", data(GOOD)), ("corp", data(expired()))))
    result = run("-o", "json", file)
    assert result.exit_code == 1
    assert "duplicate-name" in [finding["code"] for finding in json.loads(result.output)["findings"]]


def test_cluster_and_list_and_standard_input() -> None:
    cluster = {
        "apiVersion": "run.tanzu.vmware.com/v1alpha3",
        "kind": "TanzuKubernetesCluster",
        "spec": {"settings": {"network": {"trust": {"additionalTrustedCAs": [{"name": "own", "data": data(GOOD)}]}}}},
    }
    content = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [cluster]}).encode()
    result = run("-o", "json", "-", content=content)
    assert result.exit_code == 0
    assert json.loads(result.output)["certificates"][0]["where"].endswith("additionalTrustedCAs[0] (own)")


def test_secret_of_a_cluster_is_base64_twice() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "demo-user-trusted-ca-secret"},
        "data": {"ca-1": encoded(data(GOOD))},
    }
    assert run("-", content=yaml.safe_dump(secret).encode()).exit_code == 0
    secret["data"] = {"ca-1": data(GOOD)}
    assert run("-", content=yaml.safe_dump(secret).encode()).exit_code == 1


@pytest.mark.parametrize(
    ("name", "content"), [("ca.pem", pem(GOOD).encode()), ("ca.der", GOOD), ("ca.b64", data(GOOD).encode())]
)
def test_files_of_certificates(tmp_path: Path, name: str, content: bytes) -> None:
    result = run("-o", "json", write(tmp_path, name, content))
    assert result.exit_code == 0
    assert [entry["subject"] for entry in json.loads(result.output)["certificates"]] == ["CN=Corp Root,O=Lab"]


def test_other_manifests_are_undecided() -> None:
    result = run("-", content=b"apiVersion: v1\nkind: Service\n")
    assert result.exit_code == 2
    assert "Service" in result.output


@pytest.mark.parametrize(
    "content",
    [b"kind: [", b"kind: x\n" + b"[" * 200_000, b"kind: x\n- " + b"- " * 100_000, b"kind: x\xff", b"kind: *a"],
)
def test_broken_yaml_is_a_user_error(content: bytes) -> None:
    result = run("-", content=content)
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 2


def test_missing_file() -> None:
    assert isinstance(run("/nowhere/ca.pem").exception, UserError)


def test_fix_replaces_only_data(tmp_path: Path) -> None:
    block = "|\n" + "".join(
        f"          {line}\n" for line in base64.encodebytes(pem(GOOD).encode()).decode().splitlines()
    )
    messy = service(
        ("corp", encoded(pem(GOOD).replace("\n", "\r\n"))),
        ("twice", encoded(data(GOOD))),
        ("block", block.rstrip("\n")),
        ("good", data(GOOD) + "  # a comment"),
    )
    file = write(tmp_path, "service.yaml", messy)
    Path(file).chmod(0o640)
    run("--fix", file)
    fixed = Path(file).read_text()
    entries = yaml.safe_load(fixed)["spec"]["trust"]["additionalTrustedCAs"]
    assert [(entry["name"], entry["data"]) for entry in entries] == [
        (name, data(GOOD)) for name in ("corp", "twice", "block", "good")
    ]
    assert fixed.startswith("# the service\n")
    assert fixed.endswith("  # a comment\n")
    assert Path(file).stat().st_mode & 0o777 == 0o640
    assert run("--fix", file).exit_code == 0
    assert Path(file).read_text() == fixed


def test_fix_does_not_modify_a_list_with_a_private_key(tmp_path: Path) -> None:
    file = write(tmp_path, "service.yaml", service(("corp", encoded(KEY + pem(GOOD)))))
    before = Path(file).read_text()
    assert run("--fix", file).exit_code == 1
    assert Path(file).read_text() == before


def test_fix_prints_an_entry_for_other_files(tmp_path: Path) -> None:
    result = run("--fix", "-o", "sarif", write(tmp_path, "corp root.der", GOOD))
    assert result.output.endswith(f"- name: corp-root\n  data: {data(GOOD)}\n")


@pytest.mark.parametrize("name", ["20240101", "0123", "1e3", "0x1F", "1_000", "yes", "Off", "2024-01-01", "1.0"])
def test_fix_quotes_names_that_need_it(tmp_path: Path, name: str) -> None:
    printed = run("--fix", write(tmp_path, f"{name}.der", GOOD)).output
    assert f'- name: "{name}"\n' in printed
    messy = service((name, data(GOOD) + "  # by hand"), ("corp", data(GOOD)))
    file = write(tmp_path, "service.yaml", messy)
    run("--fix", file)
    quoted = f'"{name}"' if name != "2024-01-01" else name  # kubectl reads dates as strings
    assert Path(file).read_text() == messy.replace(f"name: {name}\n", f"name: {quoted}\n")
    assert "not-a-string" not in run(file).output


@pytest.mark.parametrize("name", ["~", "null", "!!int 5", "&a 5"])
def test_fix_does_not_guess_names(tmp_path: Path, name: str) -> None:
    messy = service((name, data(GOOD)))
    file = write(tmp_path, "service.yaml", messy)
    result = run("--fix", file)
    assert "not-a-string" in run("-o", "json", file).output
    assert (result.exit_code, Path(file).read_text()) == (1, messy)


def test_sarif_points_at_lines(tmp_path: Path) -> None:
    file = write(tmp_path, "service.yaml", service(("corp", data(GOOD)), ("old", data(expired()))))
    document = json.loads(run("-o", "sarif", file).output)
    result = document["runs"][0]["results"][0]
    assert document["version"] == "2.1.0"
    assert (result["ruleId"], result["level"]) == ("expired", "warning")
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == file
    assert Path(file).read_text().splitlines()[location["region"]["startLine"] - 1] == "    - name: old"


def test_only_the_corrected_standard_input_is_printed() -> None:
    messy = service(("corp", encoded(pem(GOOD).replace("\n", "\r\n"))))
    result = run("--fix", "-", content=messy.encode())
    assert result.stdout == service(("corp", data(GOOD)))
    assert "crlf" in result.stderr


def test_sarif_reports_undecided_files(tmp_path: Path) -> None:
    document = json.loads(run("-o", "sarif", write(tmp_path, "a b.yaml", "kind: Service\n")).output)
    [invocation] = document["runs"][0]["invocations"]
    assert "has no CAs" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_sarif_quotes_paths(tmp_path: Path) -> None:
    document = json.loads(run("-o", "sarif", write(tmp_path, "a b.yaml", service(("corp", "''")))).output)
    location = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("/a%20b.yaml")


def scoped(value: str, *entries: tuple[str, str]) -> str:
    annotation = f"  annotations:\n    trustplane.dev/registry-scope: {value}\n"
    return service(*entries).replace("spec:\n", f"{annotation}spec:\n")


def test_a_scope_without_entry_is_an_error_with_its_line(tmp_path: Path) -> None:
    content = scoped("corq=apps.corp.test", ("corp", data(GOOD)))
    result = run(write(tmp_path, "service.yaml", content), "-o", "json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.output)["findings"]
    assert (finding["code"], finding["line"]) == ("unknown-scope-entry", 7)


def test_a_good_scope_has_no_findings(tmp_path: Path) -> None:
    content = scoped("corp=apps.corp.test:5000", ("corp", data(GOOD)))
    assert run(write(tmp_path, "service.yaml", content)).exit_code == 0
