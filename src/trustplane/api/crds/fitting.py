"""A status that the API server takes, whatever it is about: cut to the limits of its kind's schema.

What we report quotes registries, nodes and objects of tenants. One text that is too long, or one item too many, would
have the API server refuse the whole status, for as long as it is so.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from trustplane.api.crds import crds
from trustplane.api.meta import Json

_ELLIPSIS: Final = "…"
_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1
_NOTHING: Final = object()


def fitted(kind: str, status: Json) -> Json:
    """Return a status, or a part of one, with texts and lists cut, and without values that are not among those allowed.

    Args:
        kind: One of ours, such as `Registry`.
        status: As JSON.
    """
    found: Json = _fit(status, _schema(kind))
    return found


@cache
def _schema(kind: str) -> Json:
    [found] = [one for one in crds() if one["spec"]["names"]["kind"] == kind]
    schema: Json = found["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def _fit(value: Any, schema: Mapping[str, Any]) -> Any:
    if "enum" in schema and value not in schema["enum"]:
        return _NOTHING
    if isinstance(value, str):
        return _cut(value, schema.get("maxLength", len(value)))
    if isinstance(value, int) and not isinstance(value, bool):
        most = _INT64 if schema.get("format") == "int64" else _INT32
        return max(-most, min(value, most))
    if isinstance(value, list):
        items = (_fit(one, schema.get("items", {})) for one in value)
        return [one for one in items if one is not _NOTHING][: schema.get("maxItems")]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        fields = {name: _fit(one, properties.get(name, {})) for name, one in value.items()}
        return {name: one for name, one in fields.items() if one is not _NOTHING}
    return value


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _ELLIPSIS
