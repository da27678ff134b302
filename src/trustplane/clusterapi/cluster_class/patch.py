"""The patch that makes machines of somebody's own ClusterClass boot with their cluster's trust.

Which JSON patch is right depends on the class: appending to a list that is not there stops every cluster of the class,
and setting a list that is there takes away what it holds. So it is made from the templates and the earlier patches.

Source: Cluster API v1.14.2, core/reconcilers/topology/cluster/patches and core/webhooks/admission/patch_validation.go.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap
from trustplane.clusterapi.cluster_class import pieces as class_pieces
from trustplane.clusterapi.cluster_class.pieces import PATCHED_LISTS, USER_PATCH_NAME, USER_VARIABLE, machines_name
from trustplane.clusterapi.cluster_class.presence import ClassTemplate, overwrites_list
from trustplane.clusterapi.cluster_class.templates import SPEC_PATHS, objects_in, select_templates
from trustplane.clusterapi.variable import TRUST_SCHEMA
from trustplane.errors import UserError

USER_DEFINITION: Final[Json] = {
    "name": USER_VARIABLE,
    "required": False,
    "schema": {
        "openAPIV3Schema": {
            "type": "object",
            "description": f"Access to nodes by SSH, as the user {bootstrap.NODE_USER}. Without it there is none.",
            "properties": {
                "sshAuthorizedKey": {
                    "type": "string",
                    "description": "Public key in the form of OpenSSH's authorized_keys.",
                    "minLength": 1,
                    "maxLength": 8192,
                }
            },
            "required": ["sshAuthorizedKey"],
        }
    },
}

TRUST_DEFINITION: Final[Json] = {
    "name": "trust",  # what a Cluster asks for; no template has any of it
    "required": False,
    "schema": {"openAPIV3Schema": TRUST_SCHEMA},
}

_FORMER: Final = "generate-patches.trustplane"  # the runtime extension of former versions
_OURS: Final = (bootstrap.BUNDLE_FILE, bootstrap.UNPACK_FILE)
_VERSION: Final = re.compile(r"v?(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?(?=$|[-+])", re.ASCII)


@dataclass(frozen=True)
class ClassPatch:
    """What to add to a ClusterClass."""

    patches: tuple[Json, ...]  # for the end of `spec.patches`
    variables: tuple[Json, ...]  # for `spec.variables`: those that are missing
    replaced_patches: tuple[str, ...]  # names of patches of ours that the class has, to be taken out
    is_current: bool  # the class has just these
    left_out: tuple[str, ...]  # machines that get nothing, and why
    warnings: tuple[str, ...]


def generate_class_patch(
    cluster_class: Json,
    templates: Iterable[Json],
    *,
    with_next_version: str = "",
    with_user: bool = False,
    leave_out: Collection[str] = (),
) -> ClassPatch:
    """Make the patches `trust` for a ClusterClass.

    Args:
        cluster_class: As an API server has it, of v1beta2 or v1beta1.
        templates: Those of `class_templates.references`, of the very apiVersion that the class names.
        with_next_version: A Kubernetes version, such as `1.36.0`: for machines of it and newer ones only.
        with_user: Let Trustplane in by SSH, too, with the key that variable `user` holds, unless the class does so.
        leave_out: MachineDeployment classes whose machines are not to be touched.

    Raises:
        UserError: No patch would be right, or it is not known which one.
    """
    chosen, left_out = select_templates(cluster_class, templates, leave_out)
    patches = objects_in(field(cluster_class, "spec", "patches"))
    others = [one for one in patches if not _is_ours(one)]
    for one in chosen:
        _check(one)
    gates = [_gate(one, with_next_version) for one in chosen]
    refusal = _refused_user(cluster_class, chosen, others) if with_user else "not asked for"
    makers = [class_pieces.trust_pieces, *([] if refusal else [class_pieces.user_pieces])]
    pieces = [
        piece for make in makers for one, gate in zip(chosen, gates, strict=True) for piece in make(one, others, gate)
    ]
    made = tuple(class_pieces.compose_patches(pieces, {str(one.get("name")) for one in others}))
    wanted = (TRUST_DEFINITION, *(() if refusal else (USER_DEFINITION,)))
    wiped = tuple(_wiped(patches, chosen))
    ours = [one for one in patches if _is_ours(one)]
    return ClassPatch(
        patches=made,
        variables=tuple(one for one in wanted if one["name"] not in _variables(cluster_class)),
        replaced_patches=tuple(str(one.get("name")) for one in ours),
        is_current=not wiped and [_bare(one) for one in ours] == [_bare(one) for one in made],
        left_out=left_out,
        warnings=(*_external(others), *wiped, *((refusal,) if with_user and refusal else ())),
    )


def is_version_at_least(version: str, least: str) -> bool:
    """Compare Kubernetes versions, such as v1.36.3+vmware.1, as `--with-next-version` does; False where one is none."""
    found, wanted = _numbers(version), _numbers(least)
    return bool(found and wanted and found >= wanted)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(int(one or 0) for one in found.groups()) if found else ()


def _gate(template: ClassTemplate, version: str) -> tuple[str, ...]:
    if not version:
        return ()
    if not (numbers := _numbers(version)):
        raise UserError(f"{version!r} is no version of Kubernetes", next_step="Write it as 1.36.0")
    component = "machineDeployment" if template.machine_class else "controlPlane"
    least = ".".join(map(str, numbers))
    # "-0" lets prereleases count, too, such as those of some distributions.
    return (f'(semverCompare ">={least}-0" .builtin.{component}.version)',)


def _is_ours(patch: Json) -> bool:
    if "external" in patch:
        return bool(field(patch, "external", "generatePatchesExtension") == _FORMER)
    is_user = re.fullmatch(rf"{USER_PATCH_NAME}(-\w+)*", str(patch.get("name")))
    return bool(is_user or any(one in json.dumps(patch) for one in _OURS))


def _bare(patch: Json) -> Json:
    return {name: value for name, value in patch.items() if name != "description"}


def _check(template: ClassTemplate) -> None:
    """Refuse what would have a file twice: Cluster API makes no machine of it."""
    if any(one in json.dumps(field(template.content, *SPEC_PATHS[template.kind])) for one in _OURS):
        raise UserError(
            f"The template of {machines_name(template)} has a file {bootstrap.BUNDLE_FILE} or {bootstrap.UNPACK_FILE} already",
            why="a template cannot know the cluster's name, so that a patch has to bring them",
            next_step="Take the files and the command out of the template",
        )


def _refused_user(cluster_class: Json, templates: Sequence[ClassTemplate], others: Sequence[Json]) -> str:
    """Say why the user is not added; nothing where it is."""
    if bootstrap.NODE_USER in json.dumps([*others, *(one.content for one in templates)]):
        return (
            f"The class makes user {bootstrap.NODE_USER} already; see that its key is the one of Secret <cluster>-ssh"
        )
    definition = _variables(cluster_class).get(USER_VARIABLE)
    if definition is not None and not field(definition, "schema", "openAPIV3Schema", "properties", "sshAuthorizedKey"):
        return f"The class has a variable {USER_VARIABLE} of another meaning, so no SSH user is added"
    return ""


def _variables(cluster_class: Json) -> dict[str, Json]:
    return {str(one.get("name")): one for one in objects_in(field(cluster_class, "spec", "variables"))}


def _external(others: Sequence[Json]) -> Iterator[str]:
    for one in others:
        if field(one, "external", "generatePatchesExtension"):
            yield (
                f"Patch {one.get('name')} is made by a runtime extension, which is not asked here: if it adds, sets or "
                "removes files, preKubeadmCommands or users, the patches may be wrong"
            )


def _wiped(patches: Sequence[Json], templates: Sequence[ClassTemplate]) -> Iterator[str]:
    """Say which patches come after ours and take away what they have put there."""
    first = next((number for number, one in enumerate(patches) if _is_ours(one)), len(patches))
    for patch in [one for one in patches[first:] if not _is_ours(one)]:
        for one in templates:
            if gone := [name for name in PATCHED_LISTS if overwrites_list(patch, one, (*SPEC_PATHS[one.kind], name))]:
                yield (
                    f"Patch {patch.get('name')} comes after {patches[first].get('name')} and sets the whole of "
                    f"{', '.join(gone)} of {machines_name(one)}, which takes the trust out: put Trustplane's patches last"
                )
