"""Lines that a terminal, a mail or a page broke: where the breaks stood, as candidates for the text before it.

A terminal cuts at its width, in the middle of a word; mail and YAML break at blanks and hyphens. The text alone does
not always show which, so the parser tries the candidates and keeps the one it understands best.
"""

import re
from itertools import pairwise
from typing import Final

_MIN_WIDTH: Final = 40  # characters; no terminal is narrower
_MAX_LINES: Final = 200
_WORD_END: Final = re.compile(r"[\w\-/.%&=:@]\Z")
_WORD_START: Final = re.compile(r"[\w\-/.%&=:@]")


def unwrapped(text: str) -> tuple[str, ...]:
    """Return the texts that the lines of a text may have been before they were broken; none if no line is that long."""
    lines = text.split("\n")
    width = max(map(len, lines[:-1]), default=0)
    if width < _MIN_WIDTH or len(lines) > _MAX_LINES:
        return ()
    bare = [line.strip() for line in lines]
    joined = (_cut(lines, width), _words(bare, max(map(len, bare[:-1]))), _words(bare, 0), " ".join(bare))
    return tuple(dict.fromkeys(joined))


def _cut(lines: list[str], width: int) -> str:
    """Join lines that a terminal cut at its width; one blank at the end of a line may be lost."""
    parts = [lines[0]]
    for before, line in pairwise(lines):
        parts += ["" if len(before) >= width else " ", line]
    return "".join(parts)


def _words(lines: list[str], width: int) -> str:
    """Join lines that were broken at blanks and hyphens, and within words longer than a line of this width."""
    parts = [lines[0]]
    for before, line in pairwise(lines):
        is_within = _WORD_END.search(before) and _WORD_START.match(line)
        is_long = is_within and 0 < width <= len(before)
        is_hyphen = is_within and before.endswith("-")
        is_part = is_within and not before.endswith(":") and _is_long_word(before, line)
        parts += ["" if is_long or is_hyphen or (width and is_part) else " ", line]
    return "".join(parts)


def _is_long_word(before: str, line: str) -> bool:
    """Return whether a break is within a word that programs do not break at blanks: a URL or a digest."""
    word, rest = before.rpartition(" ")[2], line.partition(" ")[0]
    return ("://" in word or "sha256:" in word) and any(mark in rest for mark in '/"&=%')
