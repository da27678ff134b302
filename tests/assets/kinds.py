"""The page of kinds, docs/reference/kinds.md: the fields of the custom resource definitions as tables."""

from collections.abc import Iterator

from assets.commands import escape
from trustplane.api.crds import crds
from trustplane.api.meta import Json

HEAD = """# Fields of the kinds

<!-- Generated from the custom resource definitions by `make pages`. -->

Every field that the API server accepts. The meaning of states, conditions and annotations is in [API](api.md). `[]`
stands for the items of a list, `*` for any key of an object. Only fields with limit *required* must be set.
"""
_LIMITS = {
    "default": "default `{}`",
    "minimum": "at least {:,}",
    "maximum": "at most {:,}",
    "minLength": "not empty",
    "maxLength": "at most {:,} characters",
    "maxItems": "at most {:,} items",
    "maxProperties": "at most {:,} keys",
}
_COMMON = ("apiVersion", "kind", "metadata")


def page() -> str:
    """Return the page: a section for each kind."""
    return "\n".join([HEAD, *(section(crd) for crd in crds())])


def section(crd: Json) -> str:
    """Return a kind's section. All versions have one schema."""
    spec = crd["spec"]
    schema = spec["versions"][-1]["schema"]["openAPIV3Schema"]
    versions = ", ".join(f"`{spec['group']}/{version['name']}`" for version in spec["versions"])
    names = ", ".join(f"`{name}`" for name in (spec["names"]["plural"], *spec["names"].get("shortNames", ())))
    rows = [row(path, field, required=required) for path, field, required in fields(schema)]
    return "\n".join(
        [
            f"## {spec['names']['kind']}\n",
            f"{escape(schema['description'])}\n",
            f"Versions: {versions}. Scope: {spec['scope']}. Names for kubectl: {names}.{rules(schema)}\n",
            "| field | type | description | limits |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Yield path, schema and whether it is required, of each field below a schema, parents first."""
    for name, child in schema.get("properties", {}).items():
        if path or name not in _COMMON:
            yield from _field(f"{path}.{name}".lstrip("."), child, required=name in schema.get("required", ()))


def _field(path: str, schema: Json, *, required: bool) -> Iterator[tuple[str, Json, bool]]:
    """Yield a field and those below it; items and values have rows of their own only if they have fields or limits."""
    yield path, schema, required
    yield from fields(schema, path)
    for suffix, child in (("[]", schema.get("items")), (".*", schema.get("additionalProperties"))):
        if child:
            yield from _field(path + suffix, child, required=False)


def row(path: str, schema: Json, *, required: bool) -> str:
    """Return a field's row."""
    limits = ["required"] if required else []
    limits += [template.format(schema[key]) for key, template in _LIMITS.items() if key in schema]
    limits += ["one of " + ", ".join(f"`{value}`" for value in schema["enum"])] if "enum" in schema else []
    sentence = f"{', '.join(limits)}." if limits else ""
    cells = [f"`{path}`", type_of(schema), escape(schema.get("description", "")), sentence + rules(schema)]
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def type_of(schema: Json) -> str:
    """Return the type of a field, such as `string (date-time)`."""
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    keys = schema.get("x-kubernetes-list-map-keys")
    detail = schema.get("format") or (f"by {', '.join(keys)}" if keys else "")
    return f"{schema['type']} ({detail})" if detail else str(schema["type"])


def rules(schema: Json) -> str:
    """Return what the API server refuses by CEL rules; a message begins with the problem, as a predicate."""
    messages = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    refusals = dict.fromkeys(f"Refused if it {message.split('. ')[0]}." for message in messages)
    return "".join(f" {escape(refusal)}" for refusal in refusals)
