"""Untrusted YAML, parsed as plain data: mappings, sequences and text, bounded in size, depth and time.

Refuses anchors, aliases, merge keys and tags: no input of Trustplane needs them, and a few hundred bytes of them can
expand to unlimited memory. Accepts JSON, which is YAML.
"""

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import yaml

MAX_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 32  # nested mappings and sequences

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml, if available, is ten times as fast
_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class PlainYamlError(ValueError):
    """The text is not plain YAML. The message has the reason and the line, but quotes nothing of the text."""


def read(text: bytes, *, most: int = MAX_BYTES, depth: int = MAX_DEPTH) -> Any:
    """Parse one YAML document.

    Scalars stay text, including numbers and dates, except null and the booleans of YAML 1.2.

    Args:
        text: UTF-8.
        most: Maximum size in bytes.
        depth: Maximum nesting of mappings and sequences.

    Raises:
        PlainYamlError: The text is too large or too deep, not YAML, or has an anchor, an alias, a merge key, a tag, a
            duplicate key, a key other than text, or a second document.
    """
    if len(text) > most:
        raise PlainYamlError(f"it has {len(text)} bytes; the limit is {most}")
    try:
        return _document(yaml.parse(text.decode(), Loader=_LOADER), depth)
    except UnicodeDecodeError:
        raise PlainYamlError("it is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PlainYamlError(f"it is not valid YAML: {error.problem or 'a syntax error'}{place}") from None
    except yaml.YAMLError:
        raise PlainYamlError("it is not valid YAML: it has characters that YAML forbids") from None


def _document(events: Iterator[Any], depth: int) -> Any:
    result = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                _refuse("a second document", event)
            if event.tags:
                _refuse("a %TAG directive", event)
        elif isinstance(event, yaml.NodeEvent):
            result = _node(event, events, depth)
    return result


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    if isinstance(event, yaml.AliasEvent):
        _refuse("an alias", event)
    if event.anchor is not None:
        _refuse("an anchor", event)
    if event.tag is not None:
        _refuse("a tag", event)
    if isinstance(event, yaml.ScalarEvent):
        return _CONSTANTS.get(event.value, event.value) if not event.style else event.value
    if depth <= 0:
        _refuse("too many nested mappings and sequences", event)
    return _mapping(events, depth) if isinstance(event, yaml.MappingStartEvent) else _sequence(events, depth)


def _sequence(events: Iterator[Any], depth: int) -> list[Any]:
    items: list[Any] = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_node(event, events, depth - 1))
    return items


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _node(event, events, 0)  # applies the checks for any node to the key
        if event.value == "<<" and not event.style:
            _refuse("a merge key", event)
        if event.value in entries:
            _refuse("a duplicate key", event)
        entries[event.value] = _node(next(events), events, depth - 1)
    return entries


def _refuse(what: str, event: Any) -> NoReturn:
    raise PlainYamlError(f"line {event.start_mark.line + 1} has {what}")
