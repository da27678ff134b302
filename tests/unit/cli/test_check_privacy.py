"""A private key pasted anywhere is refused, and no part of it appears in any output, error or file."""

import base64
import datetime as dt
import functools
import itertools
import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from oracle.pem import data, pem

from assets.material import GOOD, file
from trustplane.api.configuration import TrustedCA
from trustplane.certificates.lint import lint
from trustplane.certificates.repair import repair
from trustplane.cli.check.command import command as check
from trustplane.clusterapi.variable import parse_trust_variable as read_variable
from trustplane.errors import UserError
from trustplane.trust.entries import parse_list

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
AT = ("--at", NOW.isoformat())
DER = b"\x30"
WINDOW = 10  # consecutive characters of a key that must not appear

GENERATED = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
FORMS = {
    "pkcs8": (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "encrypted": (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
    "openssh": (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    "der": (Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "encrypted-der": (Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
    "traditional": (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
}
KEYS = {
    f"{kind}-{form}": key.private_bytes(*FORMS[form])
    for kind, key in GENERATED.items()
    for form in FORMS
    if (kind, form) != ("ed25519", "traditional")
}


def forms(key: bytes) -> dict[str, bytes]:
    """Return the forms in which users paste a key."""
    encoded = {
        "verbatim": key,
        "base64": base64.b64encode(key),
        "base64 twice": base64.b64encode(base64.b64encode(key)),
    }
    if key.startswith(DER):
        return {**encoded, "cut": key[: len(key) * 2 // 3]}
    return {
        **encoded,
        "with a certificate": file(GOOD) + key,
        "with a certificate, base64": base64.b64encode(file(GOOD) + key),
        "Windows": key.replace(b"\n", b"\r\n"),
        "UTF-16": b"\xff\xfe" + key.decode().encode("utf-16-le"),
        "cut": key[: len(key) * 2 // 3],
        "without its first line": key.partition(b"\n")[2],
    }


def parts(key: bytes) -> Iterator[str]:
    """Yield all substrings of a key in its forms, without the lines that name its kind."""
    body = key if key.startswith(DER) else b"".join(key.splitlines()[1:-1])
    once = base64.b64encode(body) if key.startswith(DER) else body
    for text in (once, base64.b64encode(key)[60:-60], base64.b64encode(base64.b64encode(key))[80:-80]):
        yield from (text[at : at + WINDOW].decode() for at in range(len(text) - WINDOW))


@functools.cache
def windows(key: bytes) -> frozenset[str]:
    certificate = pem(GOOD) + data(GOOD) + base64.b64encode(data(GOOD).encode()).decode()
    return frozenset(part for part in parts(key) if part not in certificate)


def assert_private(key: bytes, *texts: str) -> None:
    for text in set(texts):
        leaked = {text[at : at + WINDOW] for at in range(len(text) - WINDOW + 1)} & windows(key)
        assert not leaked, leaked


def outputs(result: Result) -> list[str]:
    """Return all output of a run, including the traceback of an uncaught error."""
    texts = [result.stdout, result.stderr]
    error: BaseException | None = result.exception
    while error is not None:
        texts += ["".join(traceback.format_exception(error)), repr(error), str(error)]
        error = error.__cause__ or error.__context__
    return texts


def manifests(pasted: str) -> Iterator[str]:
    """Yield manifests with a key in every field read by `trustplane check`, and in broken YAML."""
    group = "run.tanzu.vmware.com/v1alpha3"
    entries = [
        {"name": "corp", "data": pasted},
        {"name": pasted, "data": data(GOOD)},
        {"name": "corp", "data": {"nested": pasted}},
    ]
    for entry in entries:
        trust = {"trust": {"additionalTrustedCAs": [{"name": "good", "data": data(GOOD)}, entry]}}
        yield yaml.safe_dump({"apiVersion": group, "kind": "TkgServiceConfiguration", "spec": trust})
        spec = {"settings": {"network": trust}}
        yield yaml.safe_dump({"apiVersion": group, "kind": "TanzuKubernetesCluster", "spec": spec})
    name = {"name": "demo-user-trusted-ca-secret"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": name}
    for field in ("data", "stringData"):
        yield yaml.safe_dump({**secret, field: {"corp": pasted}})
        yield yaml.safe_dump({**secret, field: {pasted: data(GOOD)}})
    yield yaml.safe_dump({**secret, "metadata": {"name": f"{pasted}-user-trusted-ca-secret"}, "data": {"a": "b"}})
    yield yaml.safe_dump({"apiVersion": "v1", "kind": pasted})
    yield from clusters(pasted)
    yield f"apiVersion: {group}\nkind: TkgServiceConfiguration\nspec: {{\n{pasted}\n"
    yield f"apiVersion: {group}\nkind: &a *b\n  - {pasted}\n{pasted}: {pasted}\n"


def clusters(pasted: str) -> Iterator[str]:
    for value in (
        {"additionalTrustedCAs": [{"name": pasted}, {"name": pasted}]},
        {"additionalTrustedCAs": [{"name": "corp", "data": pasted}]},
        {"additionalTrustedCAs": [{"name": "corp", pasted: "data"}]},
        {"additionalTrustedCAs": pasted},
        {"additionalTrustedCAs": [{"name": "corp"}], "secretName": pasted},
        pasted,
    ):
        variables = {"topology": {"variables": [{"name": "trust", "value": value}]}}
        for name in ("demo", pasted):
            cluster = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": {"name": name}}
            yield yaml.safe_dump({**cluster, "spec": variables})


@pytest.mark.parametrize(("name", "output"), [*zip(KEYS, itertools.cycle(["table", "json", "sarif"]), strict=False)])
def test_files_with_a_key_are_never_shown(tmp_path: Path, name: str, output: str) -> None:
    path = tmp_path / "pasted"
    for content in forms(KEYS[name]).values():
        path.write_bytes(content)
        for arguments in ([str(path)], ["--fix", str(path)], ["--node-bundle", str(path), str(path)]):
            result = CliRunner().invoke(check, [*AT, "-o", output, *arguments])
            assert result.exit_code == 1
            assert_private(KEYS[name], *outputs(result))
            assert path.read_bytes() == content


@pytest.mark.parametrize("name", [name for name in KEYS if name.startswith("ec-")])
def test_manifests_with_a_key_are_never_shown(name: str) -> None:
    for pasted in forms(KEYS[name]).values():
        if b"\x00" in pasted:
            continue  # not allowed in YAML
        for manifest in manifests(pasted.decode("latin-1")):
            for options in (["-o", "json"], ["--fix"]):
                result = CliRunner().invoke(check, [*AT, *options, "-"], input=manifest.encode())
                assert result.exit_code
                assert_private(KEYS[name], *outputs(result))


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_named_as_such(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pasted"
    for form, content in forms(KEYS[name]).items():
        path.write_bytes(content)
        result = CliRunner().invoke(check, [*AT, "-o", "json", str(path)])
        codes = [finding["code"] for finding in json.loads(result.output)["findings"]]
        assert codes == ["private-key"] or (form == "cut" and content.startswith(DER)), form


@pytest.mark.parametrize("name", KEYS)
def test_findings_and_errors_reveal_no_part_of_a_key(name: str) -> None:
    for content in forms(KEYS[name]).values():
        pasted = content.decode("latin-1")
        lists = ([TrustedCA(name="corp", data=pasted)], [TrustedCA(name=pasted, data=data(GOOD))])
        for entries in lists:
            reading = parse_list(entries)
            assert not reading.is_valid
            assert_private(KEYS[name], repr(reading.findings), str(reading.findings[0]))
            assert_private(KEYS[name], repr(lint([(entry.name[:5], entry.data) for entry in entries], NOW)))
        assert repair(pasted) is None
        with pytest.raises(UserError) as raised:
            read_variable({"additionalTrustedCAs": [{"name": pasted}]}, "demo")
        assert_private(KEYS[name], str(raised.value), repr(raised.value))
