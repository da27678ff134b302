"""Words of programs as templates: literal text with named places, as the format strings of the sources have them."""

import re
from functools import lru_cache
from typing import Final

_PLACE: Final = re.compile(r"<(\w+)>")

# Every place is bounded, so that matching takes time in proportion to the text.
_PLACES: Final = {
    "image": r'[^\s"]{1,512}',
    "reference": r'[^\s"/]{1,300}/[^\s"]{1,512}',
    "host": r'[^\s/"\\,]{1,300}',
    "url": r'https?://[^\s"\\]{1,4096}',
    "name": r'[^"\n]{0,512}',
    "word": r'[^\s"]{1,512}',
    "text": r"[^\n]{0,400}?",
    "number": r"\d{1,20}",
    "status": r"[1-5]\d\d(?!\d)",
    "method": r"(?:GET|HEAD|POST|PUT|Get|Head|Post|Put)",
    "end": r"[\s\"'.]{0,20}\Z",
    "address": r"[^\s]{1,300}?",
}


@lru_cache(maxsize=1024)
def compiled(template: str) -> re.Pattern[str]:
    """Turn a template into a pattern."""
    parts = _PLACE.split(template)
    pattern = "".join(
        re.escape(part) if index % 2 == 0 else f"(?P<{part}{_again(parts, index)}>{_PLACES[part]})"
        for index, part in enumerate(parts)
    )
    return re.compile(pattern, re.IGNORECASE)


@lru_cache(maxsize=1024)
def wrapping(template: str) -> re.Pattern[str]:
    """Turn a template that ends with `: ` or a space into a pattern that also matches where the text ends there."""
    words = compiled(template.rstrip(": ")).pattern
    return re.compile(
        f"{words}(?:{re.escape(template[len(template.rstrip(': ')) :].rstrip())}\\s+|:?\\s*\\Z)", re.IGNORECASE
    )


def _again(parts: list[str], index: int) -> str:
    """Number the second and later places of one name."""
    before = parts[1:index:2].count(parts[index])
    return f"_{before + 1}" if before else ""


def head(template: str) -> str:
    """Return the literal text that a template begins with."""
    return template.partition("<")[0]


def may_follow(template: str, end: str) -> bool:
    """Tell whether a text that is cut after `end` may have gone on as a template."""
    return head(template).lower().startswith(end.lower())
