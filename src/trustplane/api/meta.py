"""The parts common to all Kubernetes objects, as typed structs.

Decoded objects are read-only. Decoding drops unknown fields, so Trustplane never sends a decoded object back: it writes
with server-side applies or targeted patches built from plain dictionaries.
Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from datetime import datetime
from typing import Any

import msgspec

Json = dict[str, Any]


class Struct(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """Base of all API structs: camelCase on the wire, defaults omitted.

    They are pure data without reference cycles, so the garbage collector need not track a million of them.
    """


class OwnerReference(Struct):
    """A reference to the owner of an object; Kubernetes' garbage collection follows it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class Metadata(Struct):
    """The fields of ObjectMeta used by Trustplane."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    owner_references: list[OwnerReference] = []


class Condition(Struct):
    """metav1.Condition: one observation of an object's state."""

    type: str
    status: str = "Unknown"  # True, False or Unknown
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime | None = None


class Requirement(Struct):
    """metav1.LabelSelectorRequirement."""

    key: str = ""
    operator: str = ""  # In, NotIn, Exists or DoesNotExist
    values: list[str] = msgspec.field(default_factory=list)


class LabelSelector(Struct):
    """metav1.LabelSelector: everything must hold; an empty one selects all."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: list[Requirement] = msgspec.field(default_factory=list)

    def selects(self, labels: dict[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        equal = all(labels.get(key) == value for key, value in self.match_labels.items())
        return equal and all(_is_met(requirement, labels) for requirement in self.match_expressions)


def _is_met(requirement: Requirement, labels: dict[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
        case _:
            return False


class Object(Struct):
    """Base of typed Kubernetes objects; subclasses add `spec` and `status`."""

    api_version: str = ""
    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)


def condition(conditions: list[Condition], type_: str) -> Condition | None:
    """Return the condition of a type, or None if it is not reported yet."""
    return next((item for item in conditions if item.type == type_), None)
