"""Manifests, read in bounded time and memory: their objects, or the nodes of their YAML, which know their lines."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from trustplane.errors import UserError

MAX_OCTETS = 32 << 20
STANDARD_INPUT = "-"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MANIFEST = re.compile(rb"^[ \t{\xef\xbb\xbf]{0,8}\"?(?:apiVersion|kind)\"?[ \t]{0,8}:", re.MULTILINE)
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,39}")
_OBJECT_NAME = re.compile(r"[a-z0-9.-]{1,253}")
_STRING = "tag:yaml.org,2002:str"
_MAX_DEPTH = 100
_MAX_VALUES = 1_000_000  # composed they take about 1 GB; the objects of 2,000 clusters have half of it
_MAX_ALIASES = 100  # each counts as the values that it stands for, too
_VALUE = 256  # characters of a text that count as a value


def content(name: str) -> bytes:
    """Return what is in a file, or comes from standard input.

    Raises:
        UserError: It cannot be read, or is larger than any list.
    """
    try:
        if name == STANDARD_INPUT:
            found = sys.stdin.buffer.read(MAX_OCTETS + 1)
        else:
            with Path(name).open("rb") as file:
                found = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise UserError(f"{name} cannot be read", why=error.strerror or str(error)) from error
    if len(found) > MAX_OCTETS:
        raise UserError(f"{name} is larger than {MAX_OCTETS >> 20} MB", next_step="Give the list of CAs only")
    return found


def load(name: str, content: bytes) -> list[Any]:
    """Return the documents of a manifest as plain data.

    Raises:
        UserError: It is no YAML, or too much of it. No part of the error is from the content.
    """
    try:
        text = content.decode()
        _check_size(text)
        return [one for one in yaml.load_all(text, Loader=_LOADER) if one]
    except UnicodeDecodeError:
        problem = "The content is not text"
    except yaml.YAMLError as error:
        problem = _problem(error)
    except Exception:  # noqa: BLE001  only the library runs here, which raises anything for values with wrong tags
        problem = "It has a value that does not exist, such as a date of a 13th month"
    raise UserError(
        f"{name} cannot be read as a manifest", why=problem, next_step="Give objects of Kubernetes, in YAML or JSON"
    )


def is_manifest(content: bytes) -> bool:
    """Tell whether content looks like objects of Kubernetes, in YAML or JSON."""
    return bool(_MANIFEST.search(content)) and not content.startswith(b"-----")


def read(name: str, content: bytes) -> tuple[str, list[yaml.Node]]:
    """Return the text and its objects, those of a List one by one.

    Raises:
        UserError: It is no YAML, or too much of it. No part of the error is from the content: it may hold a key.
    """
    try:
        text = content.decode()
        _check_size(text)
        return text, list(_objects(list(yaml.compose_all(text, Loader=_LOADER))))
    except UnicodeDecodeError:
        problem = "The content is not text"
    except yaml.YAMLError as error:
        problem = _problem(error)
    # Outside of the handler: what the library raised quotes from the content.
    raise UserError(
        f"{name} is not readable YAML", why=problem, next_step="Give a manifest, PEM, DER, or base64 of PEM"
    )


def _check_size(text: str) -> None:
    """Refuse what would overflow the stack of the C library, or the memory, when it is composed or written out."""
    size = _Size()
    for event in yaml.parse(text, Loader=_LOADER):
        size.count(event)
        if size.depth > _MAX_DEPTH or size.values > _MAX_VALUES or size.aliases > _MAX_ALIASES:
            problem = f"It has more than {_MAX_VALUES} values, {_MAX_DEPTH} levels, or {_MAX_ALIASES} aliases"
            raise yaml.composer.ComposerError(problem=problem)


class _Size:
    """How much a text is with every alias written out."""

    def __init__(self) -> None:
        self.values = self.aliases = 0
        self._open: list[tuple[str | None, int]] = []  # collections: their anchors, and the values before them
        self._anchored: dict[str, int] = {}  # values of what has an anchor

    @property
    def depth(self) -> int:
        return len(self._open)

    def count(self, event: yaml.Event) -> None:
        before = self.values
        if isinstance(event, yaml.NodeEvent):
            self.values += 1
        if isinstance(event, yaml.AliasEvent):
            self.aliases += 1
            # What contains itself has no end.
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
    place = f" in line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'The content is not text'}{place}"


def _objects(roots: Sequence[yaml.Node | None]) -> Iterator[yaml.Node]:
    for root in roots:
        items = child(root, "items")
        if isinstance(items, yaml.SequenceNode):
            yield from items.value
        elif root is not None:
            yield root


def child(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    """Return what is at a path of keys, or None."""
    for name in path:
        node = next((value for key, value in pairs(node) if key.value == name), None)
    return node


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of a mapping; of anything else, none."""
    found: list[tuple[yaml.Node, yaml.Node]] = node.value if isinstance(node, yaml.MappingNode) else []
    return found


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a sequence; of anything else, none."""
    found: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else []
    return found


def scalar(node: yaml.Node | None) -> str:
    """Return the text of a scalar; of anything else, nothing."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def string(node: yaml.Node | None) -> Any:
    """Return a string; None of anything else, such as a number."""
    return node.value if isinstance(node, yaml.ScalarNode) and node.tag == _STRING else None


def line(node: yaml.Node) -> int:
    """Return the line that a node begins in, from 1."""
    return int(node.start_mark.line) + 1


def span(node: yaml.Node | None) -> tuple[int, int] | None:
    """Return where in the text a scalar is, so that it can be replaced."""
    return (node.start_mark.index, node.end_mark.index) if isinstance(node, yaml.ScalarNode) else None


def kind(node: yaml.Node) -> str:
    """Return an object's kind, as far as it is one."""
    text = scalar(child(node, "kind"))
    return text if _KIND.fullmatch(text) else "an object without kind"


def label(node: yaml.Node) -> str:
    """Return an object's namespace and name, for messages."""
    parts = (scalar(child(node, "metadata", part)) for part in ("namespace", "name"))
    return "/".join(object_name(part) for part in parts if part)


def object_name(text: str) -> str:
    """Return the name of an object for messages, as far as it is one (RFC 1123): else it may be a pasted key."""
    return text if _OBJECT_NAME.fullmatch(text) else f"({len(text)} characters)"
