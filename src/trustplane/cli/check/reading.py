"""Reading of manifests as kubectl reads them: encodings, merge keys, duplicate keys, and which scalars are strings."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from trustplane.certificates.finding import Finding, error
from trustplane.cli import manifests
from trustplane.cli.manifests import line_number, pairs
from trustplane.errors import UserError
from trustplane.text import marked_encoding
from trustplane.trust.entries import printable_name

_STRING = "tag:yaml.org,2002:str"
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "int", "float", "null", "timestamp"))
_MERGE = "tag:yaml.org,2002:merge"
_UNMARKED = {b"\0": "utf-16-be", b"k\0": "utf-16-le", b"a\0": "utf-16-le"}  # how manifests begin
_PROBLEM_LINE = re.compile(r"in line (\d+)")
_TAB = re.compile(r" *\t")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}")

# The plain scalars that kubectl's parser (go.yaml.in/yaml/v2) reads as another type. Dates stay strings.
_NOT_STRINGS = re.compile(
    r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF|~|null|Null|NULL|"
    r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|"
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|"
    r"[-+]?0[xX][0-9a-fA-F]+|[-+]?0[oO][0-7]+|[-+]?0[bB][01]+|"  # or empty
)


def parse_nodes(name: str, content: bytes) -> tuple[str, list[yaml.Node], list[tuple[int, Finding]]]:
    """Return the text, the nodes of its objects with merge keys resolved, and findings with their lines.

    Raises:
        UserError: the content is not UTF-8, not YAML, or too large. The error never quotes the content.
    """
    _refuse_encoding(name, content)
    try:
        text, objects = manifests.parse_nodes(name, content)
    except UserError as problem:
        explained = _explain(name, content.decode(errors="replace"), problem)
        raise explained from None
    normaliser = _Normaliser()
    for node in objects:
        normaliser.normalise(node, manifests.object_kind(node))
    return text, objects, normaliser.findings


def utf_16_text(content: bytes) -> str:
    """Decode text in UTF-16 or UTF-32; "" for other content."""
    unmarked = next((encoding for start, encoding in _UNMARKED.items() if content.startswith(start)), "")
    encoding = marked_encoding(content) or unmarked
    return content.decode(encoding, errors="replace") if encoding else ""


def _refuse_encoding(name: str, content: bytes) -> None:
    text = utf_16_text(content)
    if text:
        raise UserError(
            f"{name} is in UTF-16, as Windows PowerShell writes it",
            why="kubectl and the API server read UTF-8",
            next_step="Save it as UTF-8: `Get-Content FILE | Set-Content -Encoding utf8 NEW`",
        )
    try:
        content.decode()
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        guess = ": it looks like Windows-1252 or Latin-1" if content[problem.start] >= 0x80 else ""  # noqa: PLR2004
        raise UserError(
            f"{name} is not readable YAML",
            why=f"Line {line} is not UTF-8{guess}",
            next_step="Save the file as UTF-8, or convert it: `iconv -f windows-1252 -t utf-8 FILE >NEW`",
        ) from None


def _explain(name: str, text: str, problem: UserError) -> UserError:
    """Return the error about unreadable YAML, with its cause if it is a template or a tab."""
    match = _PROBLEM_LINE.search(problem.why)
    number = int(match[1]) if match else 0
    lines = text.splitlines()
    around = [line for line in range(max(number - 1, 1), number + 2) if line <= len(lines)]
    tabs = [line for line in around if _TAB.match(lines[line - 1])]
    if _TEMPLATE.search(text):
        return UserError(
            f"{name} is a template, not a manifest",
            why=problem.why,
            next_step="Render it first: `helm template . | trustplane check -`",
        )
    if tabs:
        return UserError(
            problem.what,
            why=f"Line {tabs[0]} is indented with a TAB, which YAML forbids",
            next_step="Indent with spaces: `expand -t2 FILE >NEW`",
        )
    return problem


def is_string(node: yaml.Node | None) -> bool:
    """Return whether kubectl sends a scalar as a string."""
    if not isinstance(node, yaml.ScalarNode):
        return False
    return bool(node.style) or node.tag not in _PLAIN_TAGS or _is_plain_string(node.value)


def _is_plain_string(value: str) -> bool:
    return not _NOT_STRINGS.fullmatch(value.replace("_", "") if value[:1] in "+-0123456789" else value)


def write_name(name: str) -> str:
    """Return the name of an entry as YAML that kubectl reads as a string: quoted if it needs to be."""
    return name if name[:1].isalpha() and _is_plain_string(name) else f'"{name}"'


def string_value(node: yaml.Node | None) -> Any:
    """Return the value of a string; None for other nodes, such as numbers."""
    return node.value if isinstance(node, yaml.ScalarNode) and is_string(node) else None


class _Normaliser:
    """Resolves merge keys in place, each mapping once; the number of values was limited before."""

    def __init__(self) -> None:
        self.findings: list[tuple[int, Finding]] = []
        self._done: set[int] = set()

    def normalise(self, node: yaml.Node, where: str) -> None:
        if id(node) in self._done:
            return
        self._done.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.normalise(item, f"{where}[{index}]")
        elif isinstance(node, yaml.MappingNode):
            for key, value in pairs(node):
                self.normalise(
                    value, f"{where}.{printable_name(str(key.value))}" if isinstance(key, yaml.ScalarNode) else where
                )
            node.value = self._merged(node, where)

    def _merged(self, node: yaml.MappingNode, where: str) -> list[tuple[yaml.Node, yaml.Node]]:
        own: dict[object, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in pairs(node):
            if key.tag == _MERGE:
                continue
            identity = key.value if isinstance(key, yaml.ScalarNode) else id(key)
            if identity in own:
                self.findings.append((line_number(key), _duplicate(str(key.value), own[identity][0]).at(where)))
            own[identity] = (key, value)
        sources = (value for key, value in pairs(node) if key.tag == _MERGE)
        merged = {key.value: (key, value) for key, value in reversed(list(_all_pairs(sources)))}
        return [*own.values(), *(pair for identity, pair in merged.items() if identity not in own)]


def _all_pairs(sources: Iterator[yaml.Node]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield the pairs of merged mappings; the first mapping of a sequence takes precedence."""
    for source in sources:
        mappings: Sequence[yaml.Node] = source.value if isinstance(source, yaml.SequenceNode) else [source]
        for mapping in mappings:
            yield from (pair for pair in pairs(mapping) if isinstance(pair[0], yaml.ScalarNode))


def _duplicate(key: str, first: yaml.Node) -> Finding:
    return error(
        "duplicate-key",
        f"Field {printable_name(key)} is written twice, first in line {line_number(first)}",
        "The API server refuses the manifest, or keeps only the last value",
        "Remove one of the two; if both are entries, begin the second with `- `",
    )
