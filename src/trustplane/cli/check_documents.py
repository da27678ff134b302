"""What `trustplane check` is given: manifests of ours, PEM, DER, base64; and the places of the entries in them."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint_encoding import lint_encoding, lint_pem
from trustplane.certificates.parsing import Parsed, decode, parse, parse_der, parse_pem
from trustplane.certificates.repair import encode, read_any, repair
from trustplane.errors import UserError

MAX_OCTETS = 32 << 20
STANDARD_INPUT = "-"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MANIFEST = re.compile(rb"^[ \t]{0,8}\"?(?:apiVersion|kind)\"?[ \t]{0,8}:", re.MULTILINE)
_USER_SECRET = "-user-trusted-ca-secret"  # noqa: S105 - the suffix of a name; its data is base64 twice
_MAX_DEPTH = 100
_LISTS = {
    "TkgServiceConfiguration": ("spec", "trust", "additionalTrustedCAs"),
    "TanzuKubernetesCluster": ("spec", "settings", "network", "trust", "additionalTrustedCAs"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a list, or one file of certificates."""

    where: str  # for people: document and index
    name: str
    parsed: Parsed
    findings: tuple[Finding, ...] = ()  # of how it is written
    line: int = 1
    span: tuple[int, int] | None = None  # of the data in the document's text, where it can be replaced
    fixed: str | None = None  # what belongs there; None where it cannot be known


@dataclass(frozen=True)
class Document:
    """One file."""

    name: str
    text: str = ""
    entries: tuple[Entry, ...] = ()
    is_manifest: bool = False
    unknown: tuple[str, ...] = field(default=())  # kinds in it that hold no list

    @property
    def fixed(self) -> str:
        """The text with every entry's data put right, everything else as it was."""
        text = self.text
        for entry in reversed(self.entries):  # from the end, so that the places before stay right
            if entry.span and entry.fixed is not None:
                start, end = entry.span
                line_end = "\n" if text[start:end].endswith("\n") else ""  # a block of several lines ends with one
                text = text[:start] + entry.fixed + line_end + text[end:]
        return text


def read(name: str, content: bytes) -> Document:
    """Read a file's content. Raises UserError where it looks like a manifest and cannot be read as one."""
    if _MANIFEST.search(content) and not content.startswith(b"-----"):
        return _manifest(name, content)
    return Document(name, entries=(_certificates(name, content),))


def _certificates(name: str, content: bytes) -> Entry:
    label = Path(name).name.rpartition(".")[0] or Path(name).name
    entry_name = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip(".-") or "ca"
    if b"-----BEGIN " in content:
        parsed, odd = parse_pem(content), lint_pem(content)
    elif content.startswith(b"\x30") and parse_der(content).ok:
        parsed, odd = parse_der(content), [_DER_FILE]
    else:
        text = content.decode("latin-1").strip()
        parsed = parse(text)
        odd = lint_encoding(text) if parsed.ok else []
    good = read_any(content)
    return Entry(
        where=name,
        name=entry_name,
        parsed=parsed,
        findings=tuple(odd if parsed.ok else parsed.findings),
        fixed=encode(good.certificates) if good.ok else None,
    )


def _manifest(name: str, content: bytes) -> Document:
    try:
        text = content.decode()
        _check_depth(text)
        roots = list(yaml.compose_all(text, Loader=_LOADER))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{name} is not readable YAML",
            why=_first_line(error),
            next_step="Give a manifest, PEM, DER, or base64 of PEM",
        ) from error
    entries: list[Entry] = []
    unknown: list[str] = []
    for node in _objects(roots):
        kind = _scalar(_child(node, "kind"))
        found = list(_entries(node, kind))
        entries += found
        if kind not in _LISTS and not found:
            unknown.append(kind or "an object without kind")
    return Document(name, text, tuple(entries), is_manifest=True, unknown=tuple(unknown))


def _check_depth(text: str) -> None:
    """Refuse what is nested so deep that composing it would overflow the stack of the C library."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise yaml.composer.ComposerError(problem=f"It is nested deeper than {_MAX_DEPTH} levels")


def _first_line(error: Exception) -> str:
    """Return where YAML fails, without quoting from the file: it may hold a key."""
    mark = getattr(error, "problem_mark", None)
    place = f" in line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'The content is not text'}{place}"


def _objects(roots: Sequence[yaml.Node | None]) -> Iterator[yaml.Node]:
    for root in roots:
        items = _child(root, "items") if root else None
        if isinstance(items, yaml.SequenceNode):
            yield from items.value
        elif root is not None:
            yield root


def _entries(node: yaml.Node, kind: str) -> Iterator[Entry]:
    if kind == "Secret":
        yield from _secret(node)
    if kind not in _LISTS:
        return
    path = _LISTS[kind]
    items = _child(node, *path)
    for index, item in enumerate(items.value if isinstance(items, yaml.SequenceNode) else ()):
        data = _child(item, "data")
        label = _scalar(_child(item, "name"))
        yield _entry(f"{'.'.join(path)}[{index}] ({label})", label, item, data)


def _secret(node: yaml.Node) -> Iterator[Entry]:
    """Yield a Secret's CAs. In <cluster>-user-trusted-ca-secret a value is base64 of what a list has as `data`."""
    secret = _scalar(_child(node, "metadata", "name"))
    if not secret.endswith(_USER_SECRET):
        return
    for field_name in ("data", "stringData"):
        values = _child(node, field_name)
        for key, value in values.value if isinstance(values, yaml.MappingNode) else ():
            where = f"Secret {secret} {field_name}.{key.value}"
            yield _entry(where, str(key.value), value, value, twice=field_name == "data")


def _entry(where: str, name: str, item: yaml.Node, node: yaml.Node | None, *, twice: bool = False) -> Entry:
    """Read one entry; `twice`: its data is base64 once more than in a list."""
    written = _scalar(node)
    data = (decode(written) or b"").decode("latin-1") if twice else written
    parsed = parse(data)
    fixed = encode(parsed.certificates) if parsed.ok else repair(data)
    span = (node.start_mark.index, node.end_mark.index) if node is not None else None
    return Entry(
        where=where,
        name=name,
        parsed=parsed,
        findings=tuple(lint_encoding(data)) if parsed.ok else parsed.findings,
        line=item.start_mark.line + 1,
        span=span,
        fixed=None if fixed in {None, data} else b64encode(fixed.encode()).decode() if twice and fixed else fixed,
    )


def _child(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    for name in path:
        pairs: list[tuple[Any, yaml.Node]] = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == name), None)
    return node


def _scalar(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""


_DER_FILE = Finding(
    code="der",
    severity=Severity.WARNING,
    what="The file is DER",
    why="A list takes base64 of PEM",
    next_step="Take the entry that `trustplane check --fix` prints",
)
