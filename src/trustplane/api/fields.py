"""Fields of objects that are not decoded: reading one by its path, and making a patch of one."""

from collections.abc import Sequence
from typing import Any

from trustplane.api.meta import Json


def field(found: Any, *path: str) -> Any:
    """Return the value at a path; None where a step is missing, or leads through something that is no object."""
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def patch(path: Sequence[str], value: Any) -> Json:
    """Return the merge patch that sets the value at a path of one step or more."""
    first, *rest = path
    return {first: patch(rest, value) if rest else value}
