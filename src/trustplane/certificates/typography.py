"""PEM whose characters a program replaced on its way here: typographic dashes, and line ends written as in JSON."""

import re

_MAX_LENGTH = 1_500_000  # larger content is no trust list; keeps the search short
_LINE_ENDS = re.compile(rb"\\r\\n|\\n|\\r")
_TYPOGRAPHIC = rb"\xe2\x80[\x90-\x95]|\xe2\x88\x92|[\x96\x97]"  # U+2010 to U+2015 and U+2212 in UTF-8; Windows-1252
_DASHES = rb"(?:-|" + _TYPOGRAPHIC + rb"){1,10}"
_LINE = re.compile(_DASHES + rb" ?(BEGIN|END) ([A-Z0-9 ]{1,40}?) ?" + _DASHES)
_ANY_TYPOGRAPHIC = re.compile(_TYPOGRAPHIC)


def has_typographic_dashes(content: bytes) -> bool:
    """Return whether a BEGIN or END line of PEM has dashes from a word processor, a wiki or a chat."""
    if len(content) > _MAX_LENGTH or not _ANY_TYPOGRAPHIC.search(content):
        return False
    return any(_ANY_TYPOGRAPHIC.search(match[0]) for match in _LINE.finditer(content))


def has_literal_newlines(content: bytes) -> bool:
    """Return whether line ends are written as a backslash and n, as in JSON. Base64 has no backslash."""
    return b"\\n" in content and b"BEGIN " in content


def undo(content: bytes) -> bytes:
    """Restore dashes and line ends; other content stays as it is."""
    if has_typographic_dashes(content):
        content = _LINE.sub(rb"-----\1 \2-----", content)
    return _LINE_ENDS.sub(b"\n", content) if has_literal_newlines(content) else content
