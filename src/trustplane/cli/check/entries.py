"""Entries of lists, Secrets and ConfigMaps: their certificates, the findings about their encoding, the correction."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from trustplane.api.limits import MAX_DATA_LENGTH
from trustplane.certificates import defects
from trustplane.certificates.finding import Finding, error
from trustplane.certificates.lint_encoding import lint_encoding
from trustplane.certificates.parsing import Parsed, decode, parse
from trustplane.certificates.repair import encode, repair
from trustplane.cli.check.clusters import ManifestSecret, SecretValue
from trustplane.cli.check.reading import is_string
from trustplane.cli.manifests import child, items, line_number, object_name, pairs, scalar, span
from trustplane.clusterapi.variable import USER_SECRET_SUFFIX
from trustplane.trust.entries import printable_name

_FIX = "trustplane check --fix"
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, kw_only=True)
class ListedEntry:
    """One entry of a trust list, or one file of certificates."""

    where: str  # object, path and index, for people
    name: str
    parsed: Parsed
    name_refusal: Finding | None = None  # about a name that is no string
    name_span: tuple[int, int] | None = None  # position of such a name in the file's text, if quoting corrects it
    findings: tuple[Finding, ...] = ()  # about its encoding
    owner: str = ""  # its list
    line: int = 1
    span: tuple[int, int] | None = None  # position of its data in the file's text, if replaceable
    fixed: str | None = None  # corrected data; None if correct, or not correctable
    hosts: tuple[str, ...] = ()  # scope: registry hosts; empty: node-wide


def read_entries(entries: yaml.Node | None, path: str, owner: str) -> Iterator[ListedEntry]:
    """Yield the entries of a list of name and data; `path` and `owner` describe the list for people."""
    for index, item in enumerate(items(entries)):
        name_node, data = child(item, "name"), child(item, "data")
        name = scalar(name_node)
        where = f"{path}[{index}] ({printable_name(name)})"
        entry = read_entry(where, name, scalar(data), line_number(item), span(data))
        findings = entry.findings
        if data is None:
            findings = (defects.without_data([printable_name(scalar(key)) for key, _ in pairs(item)]),)
        elif len(scalar(data)) > MAX_DATA_LENGTH and entry.parsed.ok:
            findings = (defects.too_large(MAX_DATA_LENGTH), *findings)
        entry = replace(entry, owner=owner, findings=findings)
        yield _refuse_name(entry, name_node) if name_node is not None and not is_string(name_node) else entry


def _refuse_name(entry: ListedEntry, name: yaml.Node) -> ListedEntry:
    place, refusal = span(name), _not_a_string(entry.name)
    is_plain = place is not None and place[1] - place[0] == len(entry.name)  # otherwise with a tag or an anchor
    if not is_plain or not entry.name or name.tag == _NULL:
        return replace(entry, name_refusal=refusal)
    [refusal] = mention_fix((refusal,))
    return replace(entry, name_refusal=refusal, name_span=place)


def _not_a_string(name: str) -> Finding:
    return error(
        "not-a-string",
        "name is not a string",
        "YAML reads it as a number, a boolean or null: the API server refuses the object",
        f'Quote it: name: "{printable_name(name)}"',
    )


def read_entry(where: str, name: str, data: str, line: int, span: tuple[int, int] | None) -> ListedEntry:
    """Read base64 of PEM."""
    parsed = parse(data)
    fixed = encode(parsed.certificates) if parsed.ok else repair(data)
    findings = tuple(lint_encoding(data)) if parsed.ok else parsed.findings
    return ListedEntry(
        where=where,
        name=name,
        parsed=parsed,
        findings=findings if parsed.ok or span is None or fixed is None else mention_fix(findings),
        line=line,
        span=span,
        fixed=None if fixed == data else fixed,
    )


def mention_fix(findings: tuple[Finding, ...], option: str = f"run `{_FIX}`") -> tuple[Finding, ...]:
    """Add to the next steps that --fix corrects the entry."""
    return tuple(
        finding if "--fix" in finding.next_step else replace(finding, next_step=f"{finding.next_step}, or {option}")
        for finding in findings
    )


def user_value(secret: ManifestSecret, value: SecretValue, name: str) -> ListedEntry:
    """Read a value with base64 of PEM, which field `data` of a Secret encodes in base64 again."""
    if value.field == "stringData":
        entry = read_entry("", name, value.text, value.line, value.span)
        if defects.PEM_NOT_ENCODED.what in {finding.what for finding in entry.findings}:
            entry = replace(entry, findings=mention_fix((defects.PEM_IN_STRING_DATA,)))
        return _of_secret(secret, value, entry)
    content = decode(value.text)
    entry = read_entry("", name, value.text if content is None else content.decode("latin-1"), value.line, value.span)
    fixed = b64encode(entry.fixed.encode()).decode() if entry.fixed else None
    once = content is not None and entry.parsed.findings == (defects.PEM_NOT_ENCODED,)
    findings = (defects.ONCE_IN_SECRET,) if once else entry.findings
    return _of_secret(secret, value, replace(entry, fixed=fixed, findings=findings))


def pem_value(secret: ManifestSecret, value: SecretValue, name: str) -> ListedEntry:
    """Read a value with PEM, which `data` of a Secret and `binaryData` of a ConfigMap encode in base64."""
    if value.field == ("data" if secret.kind == "Secret" else "binaryData"):
        return _of_secret(secret, value, read_entry("", name, value.text, value.line, value.span))
    return _of_secret(secret, value, read_entry("", name, b64encode(value.text.encode()).decode(), value.line, None))


def _of_secret(secret: ManifestSecret, value: SecretValue, entry: ListedEntry) -> ListedEntry:
    return replace(entry, where=value_place(secret, value), owner=f"{secret.kind} {secret.namespace}/{secret.name}")


def value_place(secret: ManifestSecret, value: SecretValue) -> str:
    """Return where a value is, for people."""
    return f"{secret.kind} {object_name(secret.name)} {value.field}.{printable_name(value.key)}"


def is_users_secret(secret: ManifestSecret) -> bool:
    """Return whether the user creates this Secret for a Cluster of vSphere 8: its values are PEM in base64, twice."""
    return secret.kind == "Secret" and secret.name.endswith(USER_SECRET_SUFFIX)
