"""Reading and patching single fields of undecoded objects by path."""

from collections.abc import Sequence
from typing import Any

from trustplane.api.meta import Json


def field(value: Any, *path: str) -> Any:
    """Return the value at a path; None if a step is missing or its parent is not an object."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def patch(path: Sequence[str], value: Any) -> Json:
    """Return the merge patch that sets the value at a non-empty path."""
    first, *rest = path
    return {first: patch(rest, value) if rest else value}
