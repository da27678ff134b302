"""Determine whether a list of a template exists when our patch is applied: RFC 6902 appends only to existing lists.

Go templates are not executed here. Effects of earlier patches are derived from the paths they name; the common forms of
`enabledIf` are parsed far enough to reuse them in the conditions of our patches.

Source: Cluster API v1.14.2, core/reconcilers/topology/cluster/patches (engine.go, inline/json_patch_generator.go).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from trustplane.api.fields import field
from trustplane.api.meta import Json

FieldPath = tuple[str, ...]

_ADDS: Final = "adds"
_REMOVES: Final = "removes"
_UNKNOWN: Final = "unknown"

_MAX_CONDITION: Final = 256  # characters in enabledIf, the limit of Cluster API
_ACTION: Final = r"(?:(?!\{\{|\}\}|:=|/\*).)+"  # no declaration of a variable, no comment, no end of the action
_IF: Final = re.compile(
    rf"\{{\{{-?\s*if\s+(?!\s)({_ACTION})\}}\}}\s*true\s*"
    r"(?:\{\{-?\s*else\s*-?\}\}\s*(?:false\s*)?)?\{\{-?\s*end\s*-?\}\}"
)
_VALUE: Final = re.compile(rf"\{{\{{-?\s*(?!\s)({_ACTION})\}}\}}")
_KEYWORDS: Final = frozenset(
    {"", "if", "range", "with", "template", "block", "define", "end", "else", "break", "continue"}
)


@dataclass(frozen=True)
class ClassTemplate:
    """A template of a class, and the fields by which patches select it."""

    api_version: str  # as the class writes it: selectors compare strings
    kind: str
    machine_class: str  # of a MachineDeployment; empty for the control plane
    content: Json


@dataclass(frozen=True)
class Presence:
    """Whether a value exists: always, never, or if one of several conditions is true."""

    always: bool = False
    conditions: tuple[str, ...] = ()  # boolean expressions of Go templates
    unknown_patch: str = ""  # name of the first patch with an unknown effect

    @property
    def never(self) -> bool:
        """Whether it exists in no cluster."""
        return not (self.always or self.conditions or self.unknown_patch)


def determine_presence(template: ClassTemplate, path: FieldPath, patches: Iterable[Json]) -> Presence:
    """Return whether a template has a list or object, not empty, after these patches of its class."""
    result = Presence(always=_exists(field(template.content, *path)))
    for patch in patches:
        effects = [effect for operation in patch_operations(patch, template) if (effect := _effect(operation, path))]
        condition = parse_enabled_if(patch.get("enabledIf"))
        if effects and condition != "false":
            result = _after(result, effects[-1], condition, str(patch.get("name")))
    return result


def overwrites_list(patch: Json, template: ClassTemplate, path: FieldPath) -> bool:
    """Return whether a patch sets or removes a whole list of a template, regardless of its items."""
    return any(_effect(operation, path) for operation in patch_operations(patch, template))


def patch_operations(patch: Json, template: ClassTemplate) -> Iterator[Json]:
    """Yield the operations of an inline patch on a template."""
    for definition in patch.get("definitions") or ():
        if _selects(definition.get("selector") or {}, template):
            yield from definition.get("jsonPatches") or ()


def parse_enabled_if(enabled_if: Any) -> str | None:
    """Return `enabledIf` as a boolean expression, possibly `true` or `false`; None if its form is unknown.

    A patch is enabled if its `enabledIf` renders to the text `true`.
    """
    text = str(enabled_if or "true").strip()
    if "{{" not in text:
        return "true" if text == "true" else "false"
    if len(text) > _MAX_CONDITION:
        return None
    if match := _IF.fullmatch(text):
        return f"({_expression(match)})"
    if (match := _VALUE.fullmatch(text)) and _expression(match).partition(" ")[0] not in _KEYWORDS:
        return f'(eq (print ({_expression(match)})) "true")'
    return None


def _expression(match: re.Match[str]) -> str:
    return match[1].strip().removesuffix(" -").strip()


def _after(before: Presence, effect: str, condition: str | None, name: str) -> Presence:
    if before.unknown_patch:
        return before
    if effect != _UNKNOWN:
        is_added = effect == _ADDS
        if before.always if is_added else before.never:
            return before
        if condition == "true":
            return Presence(always=is_added)
        if is_added and condition is not None:
            return Presence(conditions=tuple(dict.fromkeys((*before.conditions, condition))))
    return Presence(unknown_patch=name)


def _effect(operation: Json, path: FieldPath) -> str:
    """Return the effect of an operation on the value at a path as a whole; empty if none."""
    pointer = str(operation.get("path", "")).removeprefix("/")
    target = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/"))
    if path[: len(target)] != target:
        return ""
    if operation.get("op") == "remove":
        return _REMOVES
    if operation.get("valueFrom"):
        return _ADDS if target == path else _UNKNOWN
    return _ADDS if _exists(field({"": operation.get("value")}, "", *path[len(target) :])) else _REMOVES


def _exists(value: Any) -> bool:
    # An empty list counts as absent: our patch may set it, and Cluster API rejects empty lists.
    return isinstance(value, dict) or (isinstance(value, list) and bool(value))


def _selects(selector: Json, template: ClassTemplate) -> bool:
    if (selector.get("apiVersion"), selector.get("kind")) != (template.api_version, template.kind):
        return False
    resources = selector.get("matchResources") or {}
    if not template.machine_class:
        return bool(resources.get("controlPlane"))
    names = field(resources, "machineDeploymentClass", "names") or ()
    return any(_matches(str(name), template.machine_class) for name in names)


def _matches(pattern: str, name: str) -> bool:
    """Return whether a name matches, by the rule of Cluster API: the pattern may have `*` at one end."""
    if pattern.startswith("*") and name.endswith(pattern[1:]):
        return True
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
