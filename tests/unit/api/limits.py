"""Checks of a status against the schema of its kind, as an API server performs them."""

from collections.abc import Iterator, Mapping
from typing import Any

from trustplane.api.crds import crds
from trustplane.api.meta import Json


def schema_of(kind: str) -> Json:
    """Return the schema of a kind's status."""
    [definition] = [crd for crd in crds() if crd["spec"]["names"]["kind"] == kind]
    schema: Json = definition["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def violations(value: Any, schema: Mapping[str, Any], path: str = "status") -> Iterator[str]:
    """Yield the violations of limits; types are correct by construction."""
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: not one of {schema['enum']}"
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{path}: {len(value)} characters"
    if isinstance(value, int) and abs(value) >= {"int32": 2**31, "int64": 2**63}.get(schema.get("format", ""), 2**63):
        yield f"{path}: {value}"
    if isinstance(value, list):
        if len(value) > schema["maxItems"]:
            yield f"{path}: {len(value)} items"
        for index, item in enumerate(value):
            yield from violations(item, schema["items"], f"{path}[{index}]")
    if isinstance(value, dict):
        if missing := set(schema.get("required", ())) - value.keys():
            yield f"{path}: without {missing}"
        for name, field in value.items():
            yield from violations(field, schema["properties"][name], f"{path}.{name}")
