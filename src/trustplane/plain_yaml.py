"""YAML from strangers, read as plain data: mappings, sequences and text, bounded in size, depth and time.

Anchors, aliases, merge keys and tags are refused: nothing that Trustplane reads needs them, and a few hundred bytes of
them expand to as much memory as their author likes. JSON is read, too, for it is YAML.
"""

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import yaml

MAX_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 32  # mappings and sequences within each other

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml is ten times as fast where it is there
_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class PlainYamlError(ValueError):
    """The text is no plain YAML; the message says why, and where, but nothing of the text."""


def read(text: bytes, *, most: int = MAX_BYTES, depth: int = MAX_DEPTH) -> Any:
    """Read one YAML document.

    Scalars stay text, numbers and dates included, but for null and the booleans of YAML 1.2.

    Args:
        text: UTF-8.
        most: Bytes that are read at all.
        depth: Of mappings and sequences within each other.

    Raises:
        PlainYamlError: It is larger or deeper, no YAML, or has an anchor, an alias, a merge key, a tag, a key that is
            no text or comes twice, or a second document.
    """
    if len(text) > most:
        raise PlainYamlError(f"it has {len(text)} bytes, and at most {most} are read")
    try:
        return _document(yaml.parse(text.decode(), Loader=_LOADER), depth)
    except UnicodeDecodeError:
        raise PlainYamlError("it is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PlainYamlError(f"it is no YAML: {error.problem or 'a syntax error'}{place}") from None
    except yaml.YAMLError:
        raise PlainYamlError("it is no YAML: it has characters that YAML does not allow") from None


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
        _refuse("too many mappings and sequences within each other", event)
    return _mapping(events, depth) if isinstance(event, yaml.MappingStartEvent) else _sequence(events, depth)


def _sequence(events: Iterator[Any], depth: int) -> list[Any]:
    items: list[Any] = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_node(event, events, depth - 1))
    return items


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _node(event, events, 0)  # the checks of a key are those of any node
        if event.value == "<<" and not event.style:
            _refuse("a merge key", event)
        if event.value in entries:
            _refuse("a key that comes twice", event)
        entries[event.value] = _node(next(events), events, depth - 1)
    return entries


def _refuse(what: str, event: Any) -> NoReturn:
    raise PlainYamlError(f"it has {what}, in line {event.start_mark.line + 1}")
