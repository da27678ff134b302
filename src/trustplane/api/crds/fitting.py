"""Fitting a status to the limits of its kind's schema, to have the API server accept it.

A status quotes registries, nodes and tenants' objects. Because of one overlong text, or one item too many, the API
server would reject the whole status, again and again.
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
    """Return a status, or a part of it, with texts and lists shortened and values outside an enum removed.

    Args:
        kind: a kind of Trustplane, such as `Registry`.
        status: as JSON.
    """
    fitting: Json = _fit(status, _schema(kind))
    return fitting


@cache
def _schema(kind: str) -> Json:
    [definition] = [crd for crd in crds() if crd["spec"]["names"]["kind"] == kind]
    schema: Json = definition["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]["properties"]["status"]
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
        items = (_fit(item, schema.get("items", {})) for item in value)
        return [item for item in items if item is not _NOTHING][: schema.get("maxItems")]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        fields = {name: _fit(field, properties.get(name, {})) for name, field in value.items()}
        return {name: field for name, field in fields.items() if field is not _NOTHING}
    return value


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _ELLIPSIS
