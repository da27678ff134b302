"""The templates of a ClusterClass whose machines can boot with trust, and those that are left out."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.clusterapi.cluster_class.presence import ClassTemplate, FieldPath
from trustplane.errors import UserError

CONTROL_PLANE_TEMPLATE: Final = "KubeadmControlPlaneTemplate"
WORKER_TEMPLATE: Final = "KubeadmConfigTemplate"
SPEC_PATHS: Final[Mapping[str, FieldPath]] = {  # where the KubeadmConfigSpec is
    CONTROL_PLANE_TEMPLATE: ("spec", "template", "spec", "kubeadmConfigSpec"),
    WORKER_TEMPLATE: ("spec", "template", "spec"),
}

_GROUPS: Final = {
    CONTROL_PLANE_TEMPLATE: "controlplane.cluster.x-k8s.io",
    WORKER_TEMPLATE: "bootstrap.cluster.x-k8s.io",
}
_VERSION: Final = re.compile(r"v\d{1,3}(?:(?:alpha|beta)\d{1,3})?", re.ASCII)
_WINDOWS_NAME: Final = re.compile(r"(?i)(?:^|[^a-z])win(?:dows)?(?:[^a-z]|$)")
_WINDOWS_TEXT: Final = re.compile(r'(?i)npipe:|powershell|"path": "[a-z]:')


class TemplateReference(NamedTuple):
    """A template that a class refers to; it is in the namespace of the class."""

    api_version: str
    kind: str
    name: str

    @property
    def is_known(self) -> bool:
        """Whether it is a template of kubeadm's providers."""
        group, _, version = self.api_version.partition("/")
        return bool(_GROUPS.get(self.kind) == group and _VERSION.fullmatch(version))


class TemplateSelection(NamedTuple):
    """Templates that are to be patched, and why the machines of others are left out."""

    templates: tuple[ClassTemplate, ...]
    left_out: tuple[str, ...]


def template_references(cluster_class: Json) -> tuple[TemplateReference, ...]:
    """Return the templates that have to be read for `class_patch`."""
    return tuple(dict.fromkeys(one for _, one in _machines(cluster_class) if one.is_known))


def select_templates(cluster_class: Json, templates: Iterable[Json], leave_out: Collection[str]) -> TemplateSelection:
    """Choose the templates; see `class_patch` for the arguments.

    Raises:
        UserError: A template or a class that was named is not there, or no template is left.
    """
    known = {TemplateReference(one["apiVersion"], one["kind"], one["metadata"]["name"]): one for one in templates}
    machines = list(_machines(cluster_class))
    if unknown := sorted(set(leave_out) - {name for name, _ in machines if name}):
        raise UserError(f"The ClusterClass has no MachineDeployment class {unknown[0]}")
    chosen, left_out = [], []
    for name, reference in machines:
        if reason := "you left it out" if name in leave_out else _reason(name, reference, known):
            left_out.append(f"{f'MachineDeployment class {name}' if name else 'the control plane'}: {reason}")
        else:
            chosen.append(ClassTemplate(reference.api_version, reference.kind, name, known[reference]))
    left_out += [
        f"MachinePool class {one.get('class')}: Trustplane does not follow MachinePools"
        for one in objects_in(field(cluster_class, "spec", "workers", "machinePools"))
    ]
    if not chosen:
        raise UserError(
            "Machines of this ClusterClass cannot get their trust by a patch",
            why="; ".join(left_out),
            next_step="Trustplane sets up Linux machines that kubeadm's bootstrap provider makes",
        )
    return TemplateSelection(tuple(chosen), tuple(left_out))


def objects_in(value: Any) -> list[Json]:
    """Return the objects of a list, and nothing of what is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _machines(cluster_class: Json) -> Iterator[tuple[str, TemplateReference]]:
    """Yield the control plane, under an empty name, and the MachineDeployment classes; v1beta1 has other fields."""
    yield "", _reference(field(cluster_class, "spec", "controlPlane"))
    for one in objects_in(field(cluster_class, "spec", "workers", "machineDeployments")):
        yield str(one.get("class", "")), _reference(one.get("bootstrap") or field(one, "template", "bootstrap"))


def _reference(holder: Any) -> TemplateReference:
    found = field(holder, "templateRef") or field(holder, "ref")
    return TemplateReference(*(str(field(found, name) or "") for name in ("apiVersion", "kind", "name")))


def _reason(name: str, reference: TemplateReference, known: Mapping[TemplateReference, Json]) -> str:
    """Say why machines are left out; nothing where they are not."""
    wanted = WORKER_TEMPLATE if name else CONTROL_PLANE_TEMPLATE
    if not reference.kind:
        return "it has no template"
    if reference.kind != wanted or not reference.is_known:
        return f"it is made from a {reference.kind} of {reference.api_version}, and not from kubeadm's {wanted}"
    if reference not in known:
        raise UserError(
            f"There is no {reference.kind} {reference.name} of {reference.api_version}",
            why="the ClusterClass refers to it",
            next_step="Make it, in the namespace of the ClusterClass",
        )
    is_windows = _WINDOWS_NAME.search(name) or _WINDOWS_TEXT.search(json.dumps(known[reference]))
    return "its machines run Windows" if is_windows else ""
