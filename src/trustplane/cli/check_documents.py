"""What `trustplane check` is given: manifests of ours, PEM, DER, base64; and the places of the entries in them."""

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
from trustplane.cli import check_clusters, manifests
from trustplane.cli.check_clusters import Judgement, Secret, Value, Variable
from trustplane.cli.manifests import child, items, label, line, object_name, scalar, span
from trustplane.clusterapi.secret import key
from trustplane.clusterapi.variable import USER_SECRET_SUFFIX
from trustplane.trust import scope
from trustplane.trust.entries import shown

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")  # anchor and tag, which stand before a value (YAML 1.2.2, section 6.9)
_DER_SEQUENCE = b"\x30"
_LISTS = {
    "TkgServiceConfiguration": ("spec", "trust", "additionalTrustedCAs"),
    "TanzuKubernetesCluster": ("spec", "settings", "network", "trust", "additionalTrustedCAs"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a list, or one file of certificates."""

    where: str  # for people: object, path and index
    name: str
    parsed: Parsed
    findings: tuple[Finding, ...] = ()  # of how it is written
    owner: str = ""  # the list that it is of
    line: int = 1
    span: tuple[int, int] | None = None  # of the data in the document's text, where it can be replaced
    fixed: str | None = None  # what belongs there; None where it is right, or cannot be known
    hosts: tuple[str, ...] = ()  # of the registries that it is for; none: all


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file."""

    name: str
    text: str = ""
    entries: tuple[Entry, ...] = ()
    is_manifest: bool = False
    variables: tuple[Variable, ...] = ()  # of Clusters
    secrets: tuple[Secret, ...] = ()
    places: tuple[tuple[int, Finding], ...] = ()  # lines, and what is wrong there besides entries
    undecided: tuple[str, ...] = ()  # what could not be looked at, and why

    @property
    def fixed(self) -> str:
        """The text with every entry's data put right, everything else as it was."""
        text = self.text
        changes = {entry.span: entry.fixed for entry in self.entries if entry.span and entry.fixed is not None}
        for (start, end), fixed in sorted(changes.items(), reverse=True):  # so that the places before stay right
            properties = _PROPERTIES.match(text, start, end)
            line_end = "\n" if text[start:end].endswith("\n") else ""  # a block of several lines ends with one
            text = text[: properties.end() if properties else start] + fixed + line_end + text[end:]
        return text


def read(name: str, content: bytes) -> Document:
    """Read a file's content. Raises UserError where it looks like a manifest and cannot be read as one."""
    if manifests.is_manifest(content):
        return _manifest(name, *manifests.read(name, content))
    return Document(name=name, entries=(_certificates(name, content),))


def _certificates(name: str, content: bytes) -> Entry:
    stem = Path(name).name.rpartition(".")[0] or Path(name).name
    entry_name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "ca"
    parsed, odd = _file(content)
    good = read_any(content)
    return Entry(
        where=name,
        name=entry_name,
        parsed=parsed,
        findings=tuple(odd if parsed.ok else parsed.findings),
        fixed=encode(good.certificates) if good.ok else None,
    )


def _file(content: bytes) -> tuple[Parsed, list[Finding]]:
    """Return what a file that is no manifest holds, and what is odd about how it is written."""
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


def _manifest(name: str, text: str, objects: Sequence[yaml.Node]) -> Document:
    entries: list[Entry] = []
    variables: list[Variable] = []
    secrets: list[Secret] = []
    undecided: list[str] = []
    places: list[tuple[int, Finding]] = []
    for node in objects:
        kind = manifests.kind(node)
        if kind == "Secret":
            secrets.append(Secret.read(node))
        elif check_clusters.is_cluster(node):
            variables += check_clusters.variables(node)
        elif kind in _LISTS:
            hosts, wrong = _scope(node, kind)
            entries += (replace(one, hosts=hosts.get(one.name, ())) for one in _entries(node, kind))
            undecided += _no_list(node, kind)
            places += wrong
    for secret in secrets:
        entries += _user_secret(secret)
    if not entries and not variables and not undecided and not places:
        kinds = ", ".join(dict.fromkeys(map(manifests.kind, objects))) or "nothing"
        undecided = [f"{name} holds no CAs, only: {kinds}"]
    return Document(
        name=name,
        text=text,
        entries=tuple(entries),
        is_manifest=True,
        variables=tuple(variables),
        secrets=tuple(secrets),
        places=tuple(places),
        undecided=tuple(undecided),
    )


def _scope(node: yaml.Node, kind: str) -> tuple[Mapping[str, tuple[str, ...]], list[tuple[int, Finding]]]:
    """Return the registries that entries of a list are for, by their names, and what is wrong with the annotation."""
    annotation = child(node, "metadata", "annotations", REGISTRY_SCOPE)
    if annotation is None:
        return {}, []
    names = {scalar(child(item, "name")) for item in items(child(node, *_LISTS[kind]))}
    hosts, findings = scope.parse(scalar(annotation), names)
    return hosts, [(line(annotation), one) for one in findings]


def _entries(node: yaml.Node, kind: str) -> Iterator[Entry]:
    path = ".".join(_LISTS[kind])
    owner = path if kind == "TkgServiceConfiguration" else f"{kind} {label(node)} {path}"
    for index, item in enumerate(items(child(node, *_LISTS[kind]))):
        name, data = scalar(child(item, "name")), child(item, "data")
        entry = _entry(f"{owner}[{index}] ({shown(name)})", name, scalar(data), line(item), span(data))
        too_long = len(scalar(data)) > MAX_DATA_LENGTH and entry.parsed.ok
        more = (defects.too_large(MAX_DATA_LENGTH),) if too_long else ()
        yield replace(entry, owner=f"{owner} in line {line(node)}", findings=more + entry.findings)


def _no_list(node: yaml.Node, kind: str) -> Iterator[str]:
    """Say where something else stands in a list's place."""
    found = child(node, *_LISTS[kind])
    if found is not None and not isinstance(found, yaml.SequenceNode):
        yield f"{kind} {label(node)}: {'.'.join(_LISTS[kind])} in line {line(found)} is not a list"


def _user_secret(secret: Secret) -> Iterator[Entry]:
    """Yield the CAs of a Secret <cluster>-user-trusted-ca-secret: a value is base64 of what a list has as `data`."""
    if secret.name.endswith(USER_SECRET_SUFFIX):
        yield from (_value(secret, one, one.key) for one in secret.values)


def _value(secret: Secret, value: Value, name: str) -> Entry:
    """Read what a key of a Secret holds as an entry: base64 of PEM, behind the base64 of field `data`."""
    if value.field == "stringData":
        return _of_secret(secret, value, _entry("", name, value.text, value.line, value.span))
    content = decode(value.text)
    entry = _entry("", name, value.text if content is None else content.decode("latin-1"), value.line, value.span)
    fixed = b64encode(entry.fixed.encode()).decode() if entry.fixed else None
    once = content is not None and entry.findings == (defects.PEM_NOT_ENCODED,)
    findings = (defects.ONCE_IN_SECRET,) if once else entry.findings
    return _of_secret(secret, value, replace(entry, fixed=fixed, findings=findings))


def _pem_value(secret: Secret, value: Value, name: str) -> Entry:
    """Read what a key of a Secret holds as PEM, behind the base64 of field `data`."""
    if value.field == "data":
        return _of_secret(secret, value, _entry("", name, value.text, value.line, value.span))
    return _of_secret(secret, value, _entry("", name, b64encode(value.text.encode()).decode(), value.line, None))


def _of_secret(secret: Secret, value: Value, entry: Entry) -> Entry:
    where = f"Secret {object_name(secret.name)} {value.field}.{shown(value.key)}"
    return replace(entry, where=where, owner=f"Secret {secret.namespace}/{secret.name}")


def _entry(where: str, name: str, data: str, at: int, place: tuple[int, int] | None) -> Entry:
    parsed = parse(data)
    fixed = encode(parsed.certificates) if parsed.ok else repair(data)
    return Entry(
        where=where,
        name=name,
        parsed=parsed,
        findings=tuple(lint_encoding(data)) if parsed.ok else parsed.findings,
        line=at,
        span=place,
        fixed=None if fixed == data else fixed,
    )


def link(documents: Sequence[Document]) -> list[Document]:
    """Look up the Secrets that variables of Clusters speak of, in all files together."""
    secrets = [one for document in documents for one in document.secrets]
    judged = [[check_clusters.judge(one, secrets) for one in document.variables] for document in documents]
    holders = {one.holder for judgements in judged for one in judgements if one.holder}
    return [_linked(document, judgements, holders) for document, judgements in zip(documents, judged, strict=True)]


def _linked(document: Document, judgements: Sequence[Judgement], holders: Container[Secret]) -> Document:
    values = [
        _pem_value(secret, value, value.key.removesuffix(key("")))
        for secret in document.secrets
        if secret in holders
        for value in secret.values
    ]
    return replace(
        document,
        entries=(*document.entries, *values),
        places=(*document.places, *((one.variable.line, finding) for one in judgements for finding in one.findings)),
        undecided=(*document.undecided, *(one.undecided for one in judgements if one.undecided)),
    )
