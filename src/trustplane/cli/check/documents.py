"""Input files of `trustplane check`: manifests, PEM, DER or base64, with the positions of their entries."""

import re
from base64 import b64encode
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.limits import MAX_DATA_LENGTH
from trustplane.certificates import defects
from trustplane.certificates.finding import Finding
from trustplane.certificates.lint_encoding import lint_encoding, lint_pem
from trustplane.certificates.parsing import (
    BEGIN,
    Parsed,
    decode,
    holds_private_key,
    parse,
    parse_der,
    parse_pem,
    utf_16_text,
)
from trustplane.certificates.repair import encode, read_any, repair
from trustplane.cli import manifests
from trustplane.cli.check import clusters
from trustplane.cli.check.clusters import ManifestSecret, SecretValue, VariableInFile, VariableReport
from trustplane.cli.manifests import child, items, line_number, object_label, object_name, scalar, span
from trustplane.clusterapi.secret import entry_key
from trustplane.clusterapi.variable import USER_SECRET_SUFFIX
from trustplane.trust import scope
from trustplane.trust.entries import printable_name

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")  # anchor and tag before a value (YAML 1.2.2, section 6.9)
_DER_SEQUENCE = b"\x30"
_LISTS = {
    "TkgServiceConfiguration": ("spec", "trust", "additionalTrustedCAs"),
    "TanzuKubernetesCluster": ("spec", "settings", "network", "trust", "additionalTrustedCAs"),
}


@dataclass(frozen=True, kw_only=True)
class ListedEntry:
    """One entry of a trust list, or one file of certificates."""

    where: str  # object, path and index, for people
    name: str
    parsed: Parsed
    findings: tuple[Finding, ...] = ()  # about its encoding
    owner: str = ""  # its list
    line: int = 1
    span: tuple[int, int] | None = None  # position of its data in the file's text, if replaceable
    fixed: str | None = None  # corrected data; None if correct, or not correctable
    hosts: tuple[str, ...] = ()  # scope: registry hosts; empty: node-wide


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """One input file."""

    name: str
    text: str = ""
    entries: tuple[ListedEntry, ...] = ()
    is_manifest: bool = False
    variables: tuple[VariableInFile, ...] = ()  # of Clusters
    secrets: tuple[ManifestSecret, ...] = ()
    findings: tuple[tuple[int, Finding], ...] = ()  # with line, besides those of entries
    undecided: tuple[str, ...] = ()  # what could not be checked, and why

    @property
    def fixed(self) -> str:
        """The text with corrected data, otherwise unchanged."""
        text = self.text
        changes = {entry.span: entry.fixed for entry in self.entries if entry.span and entry.fixed is not None}
        for (start, end), fixed in sorted(changes.items(), reverse=True):  # from the end, to keep positions valid
            properties = _PROPERTIES.match(text, start, end)
            line_end = "\n" if text[start:end].endswith("\n") else ""  # a block scalar includes its last line end
            text = text[: properties.end() if properties else start] + fixed + line_end + text[end:]
        return text


def read_file(name: str, content: bytes) -> CheckedFile:
    """Read a file's content.

    Raises:
        UserError: the content looks like a manifest, but is not readable as one.
    """
    if manifests.is_manifest(content):
        return _manifest(name, *manifests.parse_nodes(name, content))
    return CheckedFile(name=name, entries=(_certificates(name, content),))


def _certificates(name: str, content: bytes) -> ListedEntry:
    stem = Path(name).name.rpartition(".")[0] or Path(name).name
    entry_name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "ca"
    parsed, warnings = _parse_file(content)
    repaired = read_any(content)
    return ListedEntry(
        where=name,
        name=entry_name,
        parsed=parsed,
        findings=tuple(warnings if parsed.ok else parsed.findings),
        fixed=encode(repaired.certificates) if repaired.ok else None,
    )


def _parse_file(content: bytes) -> tuple[Parsed, list[Finding]]:
    """Return the certificates of a file other than a manifest, and warnings about its encoding."""
    if holds_private_key(content):
        return Parsed(findings=(defects.PRIVATE_KEY,)), []
    if BEGIN in content:
        parsed = parse_pem(content)
        return parsed, lint_pem(content) if parsed.ok else []
    if content.startswith(_DER_SEQUENCE) and parse_der(content).ok:
        return parse_der(content), [defects.DER_FILE]
    if utf_16_text(content):
        return Parsed(findings=(defects.UTF_16,)), []
    text = content.decode("latin-1").strip()
    return parse(text), lint_encoding(text)


def _manifest(name: str, text: str, objects: Sequence[yaml.Node]) -> CheckedFile:
    entries: list[ListedEntry] = []
    variables: list[VariableInFile] = []
    secrets: list[ManifestSecret] = []
    undecided: list[str] = []
    findings: list[tuple[int, Finding]] = []
    for node in objects:
        kind = manifests.object_kind(node)
        if kind == "Secret":
            secrets.append(ManifestSecret.read(node))
        elif clusters.is_cluster(node):
            variables += clusters.trust_variables(node)
        elif kind in _LISTS:
            hosts, scope_findings = _scope(node, kind)
            entries += (replace(entry, hosts=hosts.get(entry.name, ())) for entry in _entries(node, kind))
            undecided += _not_a_list(node, kind)
            findings += scope_findings
    for secret in secrets:
        entries += _user_secret(secret)
    if not entries and not variables and not undecided and not findings:
        kinds = ", ".join(dict.fromkeys(map(manifests.object_kind, objects))) or "nothing"
        undecided = [f"{name} has no CAs, only: {kinds}"]
    return CheckedFile(
        name=name,
        text=text,
        entries=tuple(entries),
        is_manifest=True,
        variables=tuple(variables),
        secrets=tuple(secrets),
        findings=tuple(findings),
        undecided=tuple(undecided),
    )


def _scope(node: yaml.Node, kind: str) -> tuple[Mapping[str, tuple[str, ...]], list[tuple[int, Finding]]]:
    """Return the scopes of a list's entries by name, and the findings about the annotation with their lines."""
    annotation = child(node, "metadata", "annotations", REGISTRY_SCOPE)
    if annotation is None:
        return {}, []
    names = {scalar(child(item, "name")) for item in items(child(node, *_LISTS[kind]))}
    hosts, findings = scope.parse_scopes(scalar(annotation), names)
    return hosts, [(line_number(annotation), finding) for finding in findings]


def _entries(node: yaml.Node, kind: str) -> Iterator[ListedEntry]:
    path = ".".join(_LISTS[kind])
    owner = path if kind == "TkgServiceConfiguration" else f"{kind} {object_label(node)} {path}"
    for index, item in enumerate(items(child(node, *_LISTS[kind]))):
        name, data = scalar(child(item, "name")), child(item, "data")
        entry = _entry(f"{owner}[{index}] ({printable_name(name)})", name, scalar(data), line_number(item), span(data))
        too_long = len(scalar(data)) > MAX_DATA_LENGTH and entry.parsed.ok
        more = (defects.too_large(MAX_DATA_LENGTH),) if too_long else ()
        yield replace(entry, owner=f"{owner} in line {line_number(node)}", findings=more + entry.findings)


def _not_a_list(node: yaml.Node, kind: str) -> Iterator[str]:
    """Yield a message if the field of the list has another type."""
    field = child(node, *_LISTS[kind])
    if field is not None and not isinstance(field, yaml.SequenceNode):
        yield f"{kind} {object_label(node)}: {'.'.join(_LISTS[kind])} in line {line_number(field)} is not a list"


def _user_secret(secret: ManifestSecret) -> Iterator[ListedEntry]:
    """Yield the CAs of a Secret <cluster>-user-trusted-ca-secret: its values encode an entry's `data` in base64."""
    if secret.name.endswith(USER_SECRET_SUFFIX):
        yield from (_user_value(secret, value, value.key) for value in secret.values)


def _user_value(secret: ManifestSecret, value: SecretValue, name: str) -> ListedEntry:
    """Read a value with base64 of PEM, which field `data` encodes in base64 again."""
    if value.field == "stringData":
        return _of_secret(secret, value, _entry("", name, value.text, value.line, value.span))
    content = decode(value.text)
    entry = _entry("", name, value.text if content is None else content.decode("latin-1"), value.line, value.span)
    fixed = b64encode(entry.fixed.encode()).decode() if entry.fixed else None
    once = content is not None and entry.findings == (defects.PEM_NOT_ENCODED,)
    findings = (defects.ONCE_IN_SECRET,) if once else entry.findings
    return _of_secret(secret, value, replace(entry, fixed=fixed, findings=findings))


def _pem_value(secret: ManifestSecret, value: SecretValue, name: str) -> ListedEntry:
    """Read a value with PEM, which field `data` encodes in base64."""
    if value.field == "data":
        return _of_secret(secret, value, _entry("", name, value.text, value.line, value.span))
    return _of_secret(secret, value, _entry("", name, b64encode(value.text.encode()).decode(), value.line, None))


def _of_secret(secret: ManifestSecret, value: SecretValue, entry: ListedEntry) -> ListedEntry:
    where = f"Secret {object_name(secret.name)} {value.field}.{printable_name(value.key)}"
    return replace(entry, where=where, owner=f"Secret {secret.namespace}/{secret.name}")


def _entry(where: str, name: str, data: str, line: int, span: tuple[int, int] | None) -> ListedEntry:
    parsed = parse(data)
    fixed = encode(parsed.certificates) if parsed.ok else repair(data)
    return ListedEntry(
        where=where,
        name=name,
        parsed=parsed,
        findings=tuple(lint_encoding(data)) if parsed.ok else parsed.findings,
        line=line,
        span=span,
        fixed=None if fixed == data else fixed,
    )


def link_secrets(files: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Resolve the Secrets of Clusters' variables across all files, and add the findings to the files."""
    secrets = [secret for file in files for secret in file.secrets]
    reports = [[clusters.check_variable(variable, secrets) for variable in file.variables] for file in files]
    used = {report.secret for of_file in reports for report in of_file if report.secret}
    return [_linked(file, of_file, used) for file, of_file in zip(files, reports, strict=True)]


def _linked(file: CheckedFile, reports: Sequence[VariableReport], used: Container[ManifestSecret]) -> CheckedFile:
    values = [
        _pem_value(secret, value, value.key.removesuffix(entry_key("")))
        for secret in file.secrets
        if secret in used
        for value in secret.values
    ]
    findings = ((report.variable.line, finding) for report in reports for finding in report.findings)
    return replace(
        file,
        entries=(*file.entries, *values),
        findings=(*file.findings, *findings),
        undecided=(*file.undecided, *(report.undecided for report in reports if report.undecided)),
    )
