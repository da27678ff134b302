"""Select the templates of a ClusterClass whose machines can boot with trust, and name the others."""

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
SPEC_PATHS: Final[Mapping[str, FieldPath]] = {  # path of the KubeadmConfigSpec
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
    """A class's reference to a template in its namespace."""

    api_version: str
    kind: str
    name: str

    @property
    def is_known(self) -> bool:
        """Whether the template belongs to one of kubeadm's providers."""
        group, _, version = self.api_version.partition("/")
        return bool(_GROUPS.get(self.kind) == group and _VERSION.fullmatch(version))


class TemplateSelection(NamedTuple):
    """Templates to patch, and why the machines of others are left out."""

    templates: tuple[ClassTemplate, ...]
    left_out: tuple[str, ...]


def template_references(cluster_class: Json) -> tuple[TemplateReference, ...]:
    """Return the templates that `generate_class_patch` requires."""
    return tuple(dict.fromkeys(reference for _, reference in _machines(cluster_class) if reference.is_known))


def select_templates(cluster_class: Json, templates: Iterable[Json], leave_out: Collection[str]) -> TemplateSelection:
    """Choose the templates; arguments as in `generate_class_patch`.

    Raises:
        UserError: A referenced template or a named class does not exist, or no template remains.
    """
    known = {
        TemplateReference(template["apiVersion"], template["kind"], template["metadata"]["name"]): template
        for template in templates
    }
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
        f"MachinePool class {pool.get('class')}: Trustplane does not support MachinePools"
        for pool in objects_in(field(cluster_class, "spec", "workers", "machinePools"))
    ]
    if not chosen:
        raise UserError(
            "A patch cannot give trust to any machine of this ClusterClass",
            why="; ".join(left_out),
            next_step="Use a class with Linux machines of kubeadm's bootstrap provider",
        )
    return TemplateSelection(tuple(chosen), tuple(left_out))


def objects_in(value: Any) -> list[Json]:
    """Return the objects in a list; other items and other values are ignored."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _machines(cluster_class: Json) -> Iterator[tuple[str, TemplateReference]]:
    """Yield the control plane, with an empty name, and the MachineDeployment classes, of v1beta2 or v1beta1."""
    yield "", _reference(field(cluster_class, "spec", "controlPlane"))
    for deployment in objects_in(field(cluster_class, "spec", "workers", "machineDeployments")):
        bootstrap = deployment.get("bootstrap") or field(deployment, "template", "bootstrap")
        yield str(deployment.get("class", "")), _reference(bootstrap)


def _reference(holder: Any) -> TemplateReference:
    reference = field(holder, "templateRef") or field(holder, "ref")
    return TemplateReference(*(str(field(reference, name) or "") for name in ("apiVersion", "kind", "name")))


def _reason(name: str, reference: TemplateReference, known: Mapping[TemplateReference, Json]) -> str:
    """Return why machines are left out, or an empty text if they are not."""
    expected = WORKER_TEMPLATE if name else CONTROL_PLANE_TEMPLATE
    if not reference.kind:
        return "it has no template"
    if reference.kind != expected or not reference.is_known:
        return f"its template is {reference.kind} of {reference.api_version}, not kubeadm's {expected}"
    if reference not in known:
        raise UserError(
            f"{reference.kind} {reference.name} of {reference.api_version} does not exist",
            why="the ClusterClass refers to it",
            next_step="Create it in the namespace of the ClusterClass",
        )
    is_windows = _WINDOWS_NAME.search(name) or _WINDOWS_TEXT.search(json.dumps(known[reference]))
    return "its machines run Windows" if is_windows else ""
