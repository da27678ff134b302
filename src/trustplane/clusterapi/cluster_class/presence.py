"""Whether a list of a template is there when a patch of ours comes: RFC 6902 appends to lists that are there only.

Go templates are not run here. What earlier patches do is followed by the paths that they name; of `enabledIf` the usual
forms are understood well enough to be said again in a condition of ours.

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

_MAX_CONDITION: Final = 256  # characters of enabledIf, as Cluster API has it
_ACTION: Final = r"(?:(?!\{\{|\}\}|:=|/\*).)+"  # nothing that declares a variable, comments, or ends
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
    """A template of a class, and how patches select it."""

    api_version: str  # as the class refers to it: selectors compare the string
    kind: str
    machine_class: str  # of a MachineDeployment; empty: the control plane's
    content: Json


@dataclass(frozen=True)
class Presence:
    """Whether something is there: always, never, or where one of some conditions holds."""

    always: bool = False
    conditions: tuple[str, ...] = ()  # expressions of Go templates that are true or not
    unknown_patch: str = ""  # name of the first patch that cannot be followed

    @property
    def never(self) -> bool:
        """Whether it is not there in any cluster."""
        return not (self.always or self.conditions or self.unknown_patch)


def determine_presence(template: ClassTemplate, path: FieldPath, patches: Iterable[Json]) -> Presence:
    """Tell whether a list or an object of a template is there, and not empty, after these patches of its class."""
    found = Presence(always=_is_there(field(template.content, *path)))
    for one in patches:
        effects = [effect for each in patch_operations(one, template) if (effect := _effect(each, path))]
        condition = parse_enabled_if(one.get("enabledIf"))
        if effects and condition != "false":
            found = _after(found, effects[-1], condition, str(one.get("name")))
    return found


def overwrites_list(patch: Json, template: ClassTemplate, path: FieldPath) -> bool:
    """Tell whether a patch sets or removes the whole list of a template, whatever is in it by then."""
    return any(_effect(one, path) for one in patch_operations(patch, template))


def patch_operations(patch: Json, template: ClassTemplate) -> Iterator[Json]:
    """Yield the operations of an inline patch on a template."""
    for one in patch.get("definitions") or ():
        if _selects(one.get("selector") or {}, template):
            yield from one.get("jsonPatches") or ()


def parse_enabled_if(enabled_if: Any) -> str | None:
    """Return `enabledIf` as an expression that is true or false; `true` and `false` themselves; None: not understood.

    A patch is enabled where the text that comes out is `true`.
    """
    text = str(enabled_if or "true").strip()
    if "{{" not in text:
        return "true" if text == "true" else "false"
    if len(text) > _MAX_CONDITION:
        return None
    if found := _IF.fullmatch(text):
        return f"({_expression(found)})"
    if (found := _VALUE.fullmatch(text)) and _expression(found).partition(" ")[0] not in _KEYWORDS:
        return f'(eq (print ({_expression(found)})) "true")'
    return None


def _expression(found: re.Match[str]) -> str:
    return found[1].strip().removesuffix(" -").strip()


def _after(before: Presence, effect: str, condition: str | None, name: str) -> Presence:
    if before.unknown_patch:
        return before
    if effect != _UNKNOWN:
        comes = effect == _ADDS
        if before.always if comes else before.never:
            return before
        if condition == "true":
            return Presence(always=comes)
        if comes and condition is not None:
            return Presence(conditions=tuple(dict.fromkeys((*before.conditions, condition))))
    return Presence(unknown_patch=name)


def _effect(operation: Json, path: FieldPath) -> str:
    """Return what an operation does to a path as a whole; empty: nothing, or something within it."""
    target = tuple(
        one.replace("~1", "/").replace("~0", "~") for one in str(operation.get("path", "")).removeprefix("/").split("/")
    )
    if path[: len(target)] != target:
        return ""
    if operation.get("op") == "remove":
        return _REMOVES
    if operation.get("valueFrom"):
        return _ADDS if target == path else _UNKNOWN
    return _ADDS if _is_there(field({"": operation.get("value")}, "", *path[len(target) :])) else _REMOVES


def _is_there(value: Any) -> bool:
    # An empty list may be set as a whole just as well, and Cluster API takes none.
    return isinstance(value, dict) or (isinstance(value, list) and bool(value))


def _selects(selector: Json, template: ClassTemplate) -> bool:
    if (selector.get("apiVersion"), selector.get("kind")) != (template.api_version, template.kind):
        return False
    resources = selector.get("matchResources") or {}
    if not template.machine_class:
        return bool(resources.get("controlPlane"))
    names = field(resources, "machineDeploymentClass", "names") or ()
    return any(_matches(str(one), template.machine_class) for one in names)


def _matches(pattern: str, name: str) -> bool:
    """Compare as Cluster API does: `*` may be at one end."""
    if pattern.startswith("*") and name.endswith(pattern[1:]):
        return True
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
