"""Builders of structural schemas; every field has a description for `kubectl explain`.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

import json
from collections.abc import Sequence
from typing import Any

from trustplane.api.configuration import GROUP
from trustplane.api.limits import DURATION_PATTERN
from trustplane.api.meta import Json


def string(description: str, *, max_length: int = 253, rules: Sequence[Json] = (), **keywords: Any) -> Json:
    """Build a string; its maximum length bounds the estimated cost of rules."""
    return {"type": "string", "description": description, "maxLength": max_length, **_rules(rules), **keywords}


def integer(description: str, *, rules: Sequence[Json] = (), **keywords: Any) -> Json:
    """Build an int32."""
    return {"type": "integer", "format": "int32", "description": description, **_rules(rules), **keywords}


def time(description: str) -> Json:
    """Build an RFC 3339 time."""
    return {"type": "string", "format": "date-time", "description": description}


def obj(
    description: str, properties: Json, *, required: Sequence[str] = (), rules: Sequence[Json] = (), **keywords: Any
) -> Json:
    """Build an object with fixed fields."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        **({"required": list(required)} if required else {}),
        **_rules(rules),
        **keywords,
    }


def mapping(description: str, values: Json, *, max_properties: int = 64) -> Json:
    """Build an object with arbitrary keys and values of one schema."""
    return {
        "type": "object",
        "description": description,
        "maxProperties": max_properties,
        "additionalProperties": values,
    }


def array(
    description: str, items: Json, *, max_items: int, rules: Sequence[Json] = (), key: str = "", **keywords: Any
) -> Json:
    """Build an atomic list; with `key`, a map list whose items server-side apply merges by that field."""
    kind = (
        {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
        if key
        else {"x-kubernetes-list-type": "atomic"}
    )
    return {
        "type": "array",
        "description": description,
        "maxItems": max_items,
        "items": items,
        **kind,
        **_rules(rules),
        **keywords,
    }


def rule(expression: str, message: str) -> Json:
    """Build a CEL rule with its error message: what happened, why, what to do next."""
    return {"rule": expression, "message": message}


def literal(text: str) -> str:
    """Return text as a CEL string literal; CEL supports JSON's escapes."""
    return json.dumps(text)


def _rules(rules: Sequence[Json]) -> Json:
    return {"x-kubernetes-validations": list(rules)} if rules else {}


def duration(description: str) -> Json:
    """Build a Go duration."""
    message = (
        "is not a duration. Nodes' time limits are Go durations. Write, for example, 90s, 10m, 1h30m, or 0s for none"
    )
    matches = rule(f"self.matches({literal(DURATION_PATTERN)})", message)
    return string(description, max_length=64, rules=[matches])


def conditions(description: str) -> Json:
    """Build the list `status.conditions`."""
    fields = {
        "type": string("Type of the condition.", max_length=316),
        "status": string("True, False or Unknown.", enum=["True", "False", "Unknown"]),
        "reason": string("Reason in one word, for programs.", max_length=1024),
        "message": string("For people: the problem, its reason, and the next step.", max_length=32768),
        "severity": string("Severity of a condition that is not True: Error, Warning or Info."),
        "lastTransitionTime": time("When the status last changed."),
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "The metadata.generation described by this condition.",
        },
    }
    item = obj("A condition.", fields, required=("type", "status", "reason", "message", "lastTransitionTime"))
    return array(description, item, max_items=64, key="type")


def observed_generation() -> Json:
    """Build the field `status.observedGeneration`."""
    return {
        "type": "integer",
        "format": "int64",
        "description": "The metadata.generation described by this status.",
    }


def column(name: str, path: str, description: str, kind: str = "string") -> Json:
    """Build a printed column of `kubectl get`."""
    return {"name": name, "type": kind, "jsonPath": path, "description": description}


def condition_column(name: str, type_: str, description: str, *, field: str = "status") -> Json:
    """Build a printed column for a field of a condition."""
    return column(name, f'.status.conditions[?(@.type=="{type_}")].{field}', description)


def root(description: str, spec: Json | None, status: Json, *, rules: Sequence[Json] = ()) -> Json:
    """Build the schema of a kind; None as `spec` makes a status-only kind."""
    fields = {
        "apiVersion": string("API group and version."),
        "kind": string("Name of this kind."),
        "metadata": {"type": "object"},
        **({"spec": spec} if spec else {}),
        "status": status,
    }
    return obj(description, fields, required=("spec",) if spec else (), rules=rules)


def definition(
    *,
    kind: str,
    plural: str,
    scope: str,
    versions: Sequence[str],
    schema: Json,
    columns: Sequence[Json],
    short: str = "",
    group: str = GROUP,
) -> Json:
    """Build a CRD with one schema for all versions; the last version is the stored one."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                **({"shortNames": [short]} if short else {}),
            },
            "conversion": {"strategy": "None"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[-1],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(columns),
                }
                for version in versions
            ],
        },
    }
