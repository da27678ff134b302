"""Generate the patch by which machines of a user's ClusterClass boot with their cluster's trust.

The correct JSON patch depends on the class: appending to an absent list blocks every cluster of the class, and setting
an existing list discards its items. The patch is therefore generated from the templates and the earlier patches.

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
            "description": f"SSH access to nodes as user {bootstrap.NODE_USER}. Default: no access.",
            "properties": {
                "sshAuthorizedKey": {
                    "type": "string",
                    "description": "Public key, as one line of OpenSSH's authorized_keys.",
                    "minLength": 1,
                    "maxLength": 8192,
                }
            },
            "required": ["sshAuthorizedKey"],
        }
    },
}

TRUST_DEFINITION: Final[Json] = {
    "name": "trust",  # the trust list of a Cluster; no template uses it
    "required": False,
    "schema": {"openAPIV3Schema": TRUST_SCHEMA},
}

_OLD_EXTENSION: Final = "generate-patches.trustplane"  # the runtime extension of earlier releases
_OUR_FILES: Final = (bootstrap.BUNDLE_FILE, bootstrap.UNPACK_FILE)
_VERSION: Final = re.compile(r"v?(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?(?=$|[-+])", re.ASCII)


@dataclass(frozen=True)
class ClassPatch:
    """Additions to a ClusterClass."""

    patches: tuple[Json, ...]  # for the end of `spec.patches`
    variables: tuple[Json, ...]  # for `spec.variables`: only missing ones
    replaced_patches: tuple[str, ...]  # names of our earlier patches in the class, to be removed
    is_current: bool  # the class already has exactly these patches
    left_out: tuple[str, ...]  # machines that are not patched, and why
    warnings: tuple[str, ...]


def generate_class_patch(
    cluster_class: Json,
    templates: Iterable[Json],
    *,
    with_next_version: str = "",
    with_user: bool = False,
    leave_out: Collection[str] = (),
) -> ClassPatch:
    """Generate the patches that give a ClusterClass trust.

    Args:
        cluster_class: The object as an API server returns it, of v1beta2 or v1beta1.
        templates: The templates of `template_references`, each in exactly the apiVersion that the class names.
        with_next_version: A Kubernetes version, such as `1.36.0`: patch only machines of this version or newer.
        with_user: Also add an SSH user for Trustplane, with the key from variable `user`, unless the class has one.
        leave_out: MachineDeployment classes whose machines must not be patched.

    Raises:
        UserError: No patch is correct, or the correct one cannot be determined.
    """
    chosen, left_out = select_templates(cluster_class, templates, leave_out)
    patches = objects_in(field(cluster_class, "spec", "patches"))
    others = [patch for patch in patches if not _is_ours(patch)]
    for template in chosen:
        _check(template)
    gates = [_version_conditions(template, with_next_version) for template in chosen]
    refusal = _user_refusal(cluster_class, chosen, others) if with_user else "not requested"
    makers = [class_pieces.trust_pieces, *([] if refusal else [class_pieces.user_pieces])]
    pieces = [
        piece
        for make in makers
        for template, gate in zip(chosen, gates, strict=True)
        for piece in make(template, others, gate)
    ]
    generated = tuple(class_pieces.compose_patches(pieces, {str(patch.get("name")) for patch in others}))
    definitions = (TRUST_DEFINITION, *(() if refusal else (USER_DEFINITION,)))
    overwrites = tuple(_overwrite_warnings(patches, chosen))
    ours = [patch for patch in patches if _is_ours(patch)]
    return ClassPatch(
        patches=generated,
        variables=tuple(
            definition for definition in definitions if definition["name"] not in _variables(cluster_class)
        ),
        replaced_patches=tuple(str(patch.get("name")) for patch in ours),
        is_current=not overwrites
        and list(map(_without_description, ours)) == list(map(_without_description, generated)),
        left_out=left_out,
        warnings=(*_extension_warnings(others), *overwrites, *((refusal,) if with_user and refusal else ())),
    )


def is_version_at_least(version: str, least: str) -> bool:
    """Return whether a Kubernetes version, such as v1.36.3+vmware.1, is at least `least`; False if one is invalid.

    The comparison is the one of `--with-next-version`.
    """
    numbers, least_numbers = _numbers(version), _numbers(least)
    return bool(numbers and least_numbers and numbers >= least_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    match = _VERSION.match(version)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def _version_conditions(template: ClassTemplate, version: str) -> tuple[str, ...]:
    if not version:
        return ()
    if not (numbers := _numbers(version)):
        raise UserError(f"{version!r} is not a Kubernetes version", next_step="Write the version as 1.36.0")
    component = "machineDeployment" if template.machine_class else "controlPlane"
    least = ".".join(map(str, numbers))
    # "-0" includes prereleases, which some distributions use.
    return (f'(semverCompare ">={least}-0" .builtin.{component}.version)',)


def _is_ours(patch: Json) -> bool:
    if "external" in patch:
        return bool(field(patch, "external", "generatePatchesExtension") == _OLD_EXTENSION)
    is_user = re.fullmatch(rf"{USER_PATCH_NAME}(-\w+)*", str(patch.get("name")))
    return bool(is_user or any(path in json.dumps(patch) for path in _OUR_FILES))


def _without_description(patch: Json) -> Json:
    return {name: value for name, value in patch.items() if name != "description"}


def _check(template: ClassTemplate) -> None:
    """Refuse a template that has one of our files: Cluster API creates no machine with a duplicate file."""
    if any(path in json.dumps(field(template.content, *SPEC_PATHS[template.kind])) for path in _OUR_FILES):
        raise UserError(
            f"The template of {machines_name(template)} already has file "
            f"{bootstrap.BUNDLE_FILE} or {bootstrap.UNPACK_FILE}",
            why="a template does not know the cluster's name, so only a patch can add these files",
            next_step="Remove the files and the command from the template",
        )


def _user_refusal(cluster_class: Json, templates: Sequence[ClassTemplate], others: Sequence[Json]) -> str:
    """Return why the user is not added, or an empty text if it is."""
    if bootstrap.NODE_USER in json.dumps([*others, *(template.content for template in templates)]):
        return (
            f"The class already creates user {bootstrap.NODE_USER}; make sure that its key matches Secret <cluster>-ssh"
        )
    definition = _variables(cluster_class).get(USER_VARIABLE)
    if definition is not None and not field(definition, "schema", "openAPIV3Schema", "properties", "sshAuthorizedKey"):
        return f"The class has a variable {USER_VARIABLE} with a different meaning, so no SSH user is added"
    return ""


def _variables(cluster_class: Json) -> dict[str, Json]:
    variables = objects_in(field(cluster_class, "spec", "variables"))
    return {str(variable.get("name")): variable for variable in variables}


def _extension_warnings(others: Sequence[Json]) -> Iterator[str]:
    for patch in others:
        if field(patch, "external", "generatePatchesExtension"):
            yield (
                f"Patch {patch.get('name')} is generated by a runtime extension, which is not called here: if it adds, "
                "sets or removes files, preKubeadmCommands or users, the patches may be incorrect"
            )


def _overwrite_warnings(patches: Sequence[Json], templates: Sequence[ClassTemplate]) -> Iterator[str]:
    """Yield a warning for each patch after ours that overwrites a list which ours changed."""
    first = next((number for number, patch in enumerate(patches) if _is_ours(patch)), len(patches))
    for patch in [patch for patch in patches[first:] if not _is_ours(patch)]:
        for template in templates:
            if lists := [
                name for name in PATCHED_LISTS if overwrites_list(patch, template, (*SPEC_PATHS[template.kind], name))
            ]:
                yield (
                    f"Patch {patch.get('name')} comes after {patches[first].get('name')} and overwrites "
                    f"{', '.join(lists)} of {machines_name(template)}, which removes the trust: "
                    "put Trustplane's patches last"
                )
