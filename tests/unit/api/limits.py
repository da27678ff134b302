"""What an API server refuses of a status, by the schema of its kind."""

from collections.abc import Iterator, Mapping
from typing import Any

from trustplane.api.crds import crds
from trustplane.api.meta import Json


def schema_of(kind: str) -> Json:
    """Return the schema of a kind's status."""
    [found] = [one for one in crds() if one["spec"]["names"]["kind"] == kind]
    schema: Json = found["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def violations(value: Any, schema: Mapping[str, Any], place: str = "status") -> Iterator[str]:
    """Yield what is beyond a limit; types are those of our own structs."""
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: not one of {schema['enum']}"
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{place}: {len(value)} characters"
    if isinstance(value, int) and abs(value) >= {"int32": 2**31, "int64": 2**63}.get(schema.get("format", ""), 2**63):
        yield f"{place}: {value}"
    if isinstance(value, list):
        if len(value) > schema["maxItems"]:
            yield f"{place}: {len(value)} items"
        for index, one in enumerate(value):
            yield from violations(one, schema["items"], f"{place}[{index}]")
    if isinstance(value, dict):
        if missing := set(schema.get("required", ())) - value.keys():
            yield f"{place}: without {missing}"
        for name, one in value.items():
            yield from violations(one, schema["properties"][name], f"{place}.{name}")
