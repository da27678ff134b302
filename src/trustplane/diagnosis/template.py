"""Templates for the messages of programs: literal text with named places, like the format strings in their sources."""

import re
from functools import lru_cache
from typing import Final

_PLACE: Final = re.compile(r"<(\w+)>")

# Every place is bounded: matching takes time in proportion to the text.
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
    "end": r"[\"'.`,;)}\] ]{0,20}(?:\s{0,80}\Z|\n|(?:(?<=[\"'] )|(?<=[\"'], ))\"?\w{1,20}\"?[=:])",
    "address": r"[^\s]{1,300}?",
}


@lru_cache(maxsize=1024)
def compile_template(template: str) -> re.Pattern[str]:
    """Compile a template to a pattern with one group per place."""
    parts = _PLACE.split(template)
    pattern = "".join(
        re.escape(part) if index % 2 == 0 else f"(?P<{part}{_repetition(parts, index)}>{_PLACES[part]})"
        for index, part in enumerate(parts)
    )
    return re.compile(pattern, re.IGNORECASE)


@lru_cache(maxsize=1024)
def compile_wrapper(template: str) -> re.Pattern[str]:
    """Compile a template that ends with `: ` or a space to a pattern that also matches if the text ends there."""
    pattern = compile_template(template.rstrip(": ")).pattern
    return re.compile(
        f"{pattern}(?:{re.escape(template[len(template.rstrip(': ')) :].rstrip())}\\s+|:?\\s*\\Z)", re.IGNORECASE
    )


def _repetition(parts: list[str], index: int) -> str:
    """Number the second and later places with the same name."""
    before = parts[1:index:2].count(parts[index])
    return f"_{before + 1}" if before else ""


def literal_prefix(template: str) -> str:
    """Return the literal text before the first place."""
    return template.partition("<")[0]


def can_complete(template: str, end: str) -> bool:
    """Return whether the template can complete a text that was cut after `end`."""
    return literal_prefix(template).lower().startswith(end.lower())
