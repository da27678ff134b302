"""Reading manifests in bounded time and memory, as plain objects or as YAML nodes with line numbers."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from trustplane.errors import UserError

MAX_BYTES = 32 << 20
STANDARD_INPUT = "-"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MANIFEST = re.compile(rb"^[ \t{\xef\xbb\xbf]{0,8}\"?(?:apiVersion|kind)\"?[ \t]{0,8}:", re.MULTILINE)
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,39}")
_OBJECT_NAME = re.compile(r"[a-z0-9.-]{1,253}")
_STRING = "tag:yaml.org,2002:str"
_MAX_DEPTH = 100
_MAX_VALUES = 1_000_000  # about 1 GB of YAML nodes; the objects of 2,000 clusters have half as many
_MAX_ALIASES = 100  # each also counts as the values it stands for
_VALUE = 256  # characters of a text that count as another value


def read_content(name: str) -> bytes:
    """Read a file or standard input.

    Raises:
        UserError: the file is unreadable, or larger than any trust list.
    """
    try:
        if name == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{name} cannot be read", why=error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES >> 20} MiB", next_step="Pass only the trust list")
    return content


def parse_objects(name: str, content: bytes) -> list[Any]:
    """Return the documents of a manifest as plain data.

    Raises:
        UserError: the content is not YAML, or too large. The error never quotes the content.
    """
    try:
        text = content.decode()
        _check_size(text)
        return [document for document in yaml.load_all(text, Loader=_LOADER) if document]
    except UnicodeDecodeError:
        problem = "The content is not text"
    except yaml.YAMLError as error:
        problem = _problem(error)
    except Exception:  # noqa: BLE001  PyYAML raises arbitrary errors for values that do not match their tags
        problem = "It has an invalid value, such as a date with a 13th month"
    raise UserError(
        f"{name} cannot be read as a manifest", why=problem, next_step="Pass Kubernetes objects in YAML or JSON"
    )


def is_manifest(content: bytes) -> bool:
    """Return whether content looks like Kubernetes objects in YAML or JSON."""
    return bool(_MANIFEST.search(content)) and not content.startswith(b"-----")


def parse_nodes(name: str, content: bytes) -> tuple[str, list[yaml.Node]]:
    """Return the text and the YAML nodes of its objects, with the items of Lists as separate objects.

    Raises:
        UserError: the content is not YAML, or too large. The error never quotes the content, which may hold a key.
    """
    try:
        text = content.decode()
        _check_size(text)
        return text, list(_objects(list(yaml.compose_all(text, Loader=_LOADER))))
    except UnicodeDecodeError:
        problem = "The content is not text"
    except yaml.YAMLError as error:
        problem = _problem(error)
    # Raised outside the handler, because the library's error quotes the content.
    raise UserError(
        f"{name} is not readable YAML", why=problem, next_step="Pass a manifest, PEM, DER, or base64 of PEM"
    )


def _check_size(text: str) -> None:
    """Refuse YAML that would overflow the C library's stack, or the memory with all aliases expanded."""
    size = _Size()
    for event in yaml.parse(text, Loader=_LOADER):
        size.count(event)
        if size.depth > _MAX_DEPTH or size.values > _MAX_VALUES or size.aliases > _MAX_ALIASES:
            problem = f"It has more than {_MAX_VALUES} values, {_MAX_DEPTH} levels, or {_MAX_ALIASES} aliases"
            raise yaml.composer.ComposerError(problem=problem)


class _Size:
    """The size of a text with all aliases expanded."""

    def __init__(self) -> None:
        self.values = self.aliases = 0
        self._open: list[tuple[str | None, int]] = []  # open collections: anchor, and number of values before it
        self._anchored: dict[str, int] = {}  # number of values by anchor

    @property
    def depth(self) -> int:
        return len(self._open)

    def count(self, event: yaml.Event) -> None:
        before = self.values
        if isinstance(event, yaml.NodeEvent):
            self.values += 1
        if isinstance(event, yaml.AliasEvent):
            self.aliases += 1
            # A self-containing collection is infinite.
            is_within = any(anchor == event.anchor for anchor, _ in self._open)
            self.values += _MAX_VALUES if is_within else self._anchored.get(event.anchor or "", 0)
        elif isinstance(event, yaml.ScalarEvent):
            self.values += len(event.value) // _VALUE
            self._end(event.anchor, before)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, before))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(*self._open.pop())

    def _end(self, anchor: str | None, before: int) -> None:
        if anchor:
            self._anchored[anchor] = self.values - before


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f" in line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'The content is not text'}{line}"


def _objects(roots: Sequence[yaml.Node | None]) -> Iterator[yaml.Node]:
    for root in roots:
        items = child(root, "items")
        if isinstance(items, yaml.SequenceNode):
            yield from items.value
        elif root is not None:
            yield root


def child(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    """Return the node at a path of keys, or None."""
    for name in path:
        node = next((value for key, value in pairs(node) if key.value == name), None)
    return node


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the key and value nodes of a mapping; empty for other nodes."""
    entries: list[tuple[yaml.Node, yaml.Node]] = node.value if isinstance(node, yaml.MappingNode) else []
    return entries


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a sequence; empty for other nodes."""
    nodes: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else []
    return nodes


def scalar(node: yaml.Node | None) -> str:
    """Return the text of a scalar; empty for other nodes."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def string_value(node: yaml.Node | None) -> Any:
    """Return the value of a string; None for other nodes, such as numbers."""
    return node.value if isinstance(node, yaml.ScalarNode) and node.tag == _STRING else None


def line_number(node: yaml.Node) -> int:
    """Return the first line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def span(node: yaml.Node | None) -> tuple[int, int] | None:
    """Return the start and end index of a scalar in the text, for a replacement; None for other nodes."""
    return (node.start_mark.index, node.end_mark.index) if isinstance(node, yaml.ScalarNode) else None


def object_kind(node: yaml.Node) -> str:
    """Return an object's kind for messages."""
    text = scalar(child(node, "kind"))
    return text if _KIND.fullmatch(text) else "an object without kind"


def object_label(node: yaml.Node) -> str:
    """Return an object's namespace and name for messages."""
    parts = (scalar(child(node, "metadata", part)) for part in ("namespace", "name"))
    return "/".join(object_name(part) for part in parts if part)


def object_name(text: str) -> str:
    """Return an object's name for messages; an invalid name (RFC 1123) may be a pasted key and is hidden."""
    return text if _OBJECT_NAME.fullmatch(text) else f"({len(text)} characters)"
