"""Placeholders: text that stands for data, left in from documentation or an unrendered template."""

import re

_MAX_LENGTH = 400  # base64 of a certificate is longer
_ELLIPSIS = re.compile(r"\.\.\.|…")
_VARIABLE = re.compile(
    r"<[^<>]{1,200}>|\$\{[^{}]{1,100}\}|\$\([^()]{1,100}\)|\$[A-Za-z_]\w{0,60}|\{\{.{0,200}\}\}|%\w{1,60}%"
)
_WORDS = re.compile(
    r"base64.{0,3}\b(?:of|string|encoded)|\bPEM\b|certificate|replace|change.?me|\byour\b|insert|paste|\btodo\b|placeholder|xxx",
    re.IGNORECASE,
)


def is_placeholder(data: str) -> bool:
    """Return whether data that is not base64 of a certificate stands for something else."""
    text = data.strip()
    if len(text) > _MAX_LENGTH:
        return bool(_ELLIPSIS.search(text)) and "\0" not in text
    return any(pattern.search(text) for pattern in (_ELLIPSIS, _VARIABLE, _WORDS))


def is_template(data: str) -> bool:
    """Return whether the placeholder is one that a program replaces: Helm, envsubst, a shell."""
    return len(data) <= _MAX_LENGTH and bool(re.search(r"\{\{|\$\{|\$\(|\$[A-Za-z_]", data))
