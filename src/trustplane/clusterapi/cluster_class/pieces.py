"""The operations that put trust into templates of a ClusterClass, and the patches that they make together."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import yaml

from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap
from trustplane.clusterapi.cluster_class.presence import ClassTemplate, FieldPath, Presence, determine_presence
from trustplane.clusterapi.cluster_class.templates import SPEC_PATHS
from trustplane.clusterapi.secret import boot_secret_name
from trustplane.errors import UserError

TRUST_PATCH_NAME: Final = "trust"
USER_PATCH_NAME: Final = "trust-user"
USER_VARIABLE: Final = "user"
PATCHED_LISTS: Final = (bootstrap.FILES_FIELD, bootstrap.COMMANDS_FIELD, bootstrap.USERS_FIELD)

_DESCRIPTIONS: Final = {
    TRUST_PATCH_NAME: "Machines boot with the trust of Secret <cluster>-trust. Made by `trustplane class patch`.",
    USER_PATCH_NAME: f"User {bootstrap.NODE_USER}, as whom Trustplane comes to nodes. Made by `trustplane class patch`.",
}
_MAX_CONDITION: Final = 256  # characters of enabledIf


class PatchPiece(NamedTuple):
    """Operations on one template, for clusters where all conditions hold."""

    name: str
    conditions: tuple[str, ...]
    template: ClassTemplate
    operations: tuple[Json, ...]


def trust_pieces(template: ClassTemplate, patches: Sequence[Json], gate: tuple[str, ...]) -> Iterator[PatchPiece]:
    """Yield what makes machines of a template boot with trust, after these patches of its class.

    Raises:
        UserError: It is not known which operations are right.
    """
    spec = SPEC_PATHS[template.kind]
    parent = determine_presence(template, spec, patches)
    if parent.never:
        yield PatchPiece(TRUST_PATCH_NAME, gate, template, (_operation(spec, value={}),))
    elif not parent.always:
        raise _unsure(template, spec, parent)
    file = bootstrap.bundle_file(boot_secret_name("{{ .builtin.cluster.name }}"))
    script = _operation((*spec, bootstrap.FILES_FIELD, "-"), value=bootstrap.unpack_file())
    for more, is_there in _variants(template, (*spec, bootstrap.FILES_FIELD), patches):
        yield PatchPiece(
            TRUST_PATCH_NAME,
            gate + more,
            template,
            (_put(spec, bootstrap.FILES_FIELD, file, is_there=is_there), script),
        )
    first = (*spec, bootstrap.COMMANDS_FIELD)
    for more, is_there in _variants(template, first, patches):
        put = _operation((*first, "0"), value=bootstrap.UNPACK_COMMAND) if is_there else None
        yield PatchPiece(
            TRUST_PATCH_NAME, gate + more, template, (put or _operation(first, value=[bootstrap.UNPACK_COMMAND]),)
        )


def user_pieces(template: ClassTemplate, patches: Sequence[Json], gate: tuple[str, ...]) -> Iterator[PatchPiece]:
    """Yield what lets Trustplane in by SSH, where the variable has a key; see `trust`."""
    spec = SPEC_PATHS[template.kind]
    gate = (*gate, f".{USER_VARIABLE}")
    for more, is_there in _variants(template, (*spec, bootstrap.USERS_FIELD), patches):
        put = _put(spec, bootstrap.USERS_FIELD, bootstrap.node_user("KEY"), is_there=is_there)
        text = put["valueFrom"]["template"].replace("KEY", f"{{{{ .{USER_VARIABLE}.sshAuthorizedKey | toJson }}}}")
        yield PatchPiece(USER_PATCH_NAME, gate + more, template, (put | {"valueFrom": {"template": text}},))


def compose_patches(pieces: Sequence[PatchPiece], names: Collection[str]) -> Iterator[Json]:
    """Yield the patches of a class: one for each condition, since `enabledIf` is one for a patch.

    Args:
        pieces: What they are to do.
        names: Of the other patches of the class, which ours must not have.
    """
    taken = set(names)
    for group in _grouped(pieces, lambda one: (one.name, one.conditions)):
        definitions: list[Json] = []
        for each in _grouped(group, lambda one: one.template.machine_class):
            _add(definitions, each[0].template, [operation for one in each for operation in one.operations])
        name, conditions = group[0].name, group[0].conditions
        yield {
            "name": _name(group, taken),
            "description": _DESCRIPTIONS[name],
            **({"enabledIf": _enabled_if(conditions)} if conditions else {}),
            "definitions": definitions,
        }


def _put(spec: FieldPath, name: str, item: Json, *, is_there: bool) -> Json:
    """Return the operation that appends to a list, or makes it."""
    text = yaml.safe_dump(item if is_there else [item], sort_keys=False, width=120)
    return _operation((*spec, name, "-") if is_there else (*spec, name), valueFrom={"template": text})


def _operation(path: FieldPath, **value: Any) -> Json:
    return {"op": "add", "path": "/" + "/".join(path), **value}


def _variants(
    template: ClassTemplate, path: FieldPath, patches: Sequence[Json]
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield in which case a list is there, and in which it is not."""
    found = determine_presence(template, path, patches)
    if found.unknown_patch:
        raise _unsure(template, path, found)
    if not found.conditions:
        yield (), found.always
        return
    either = found.conditions[0] if len(found.conditions) == 1 else f"(or {' '.join(found.conditions)})"
    yield (either,), True
    yield (f"(not {either})",), False


def _unsure(template: ClassTemplate, path: FieldPath, found: Presence) -> UserError:
    by = f"patch {found.unknown_patch}" if found.unknown_patch else "a patch that is not always enabled"
    return UserError(
        f"No patch can be made for {machines_name(template)}",
        why=f"{by} decides whether /{'/'.join(path)} is there, in a way that cannot be told from the class alone",
        next_step=f"Put a first item of {path[-1]} into the template itself, and have that patch append to it",
    )


def machines_name(template: ClassTemplate) -> str:
    """Name the machines of a template."""
    return f"MachineDeployment class {template.machine_class}" if template.machine_class else "the control plane"


def _enabled_if(conditions: tuple[str, ...]) -> str:
    joined = conditions[0] if len(conditions) == 1 else f"and {' '.join(conditions)}"
    text = f"{{{{ if {joined} }}}}true{{{{ end }}}}"
    if len(text) > _MAX_CONDITION:
        raise UserError(
            "No patch can be made for this class",
            why=f"its condition would have {len(text)} characters, and Cluster API takes {_MAX_CONDITION}",
            next_step="Put a first item of files, preKubeadmCommands and users into the templates themselves",
        )
    return text


def _add(definitions: list[Json], template: ClassTemplate, operations: list[Json]) -> None:
    """Add a definition, or the name of a MachineDeployment class to one that does the same."""
    for one in definitions if template.machine_class else ():
        selector = one["selector"]
        names = selector["matchResources"].get("machineDeploymentClass", {}).get("names")
        if names and selector["apiVersion"] == template.api_version and one["jsonPatches"] == operations:
            names.append(template.machine_class)
            return
    where = {"machineDeploymentClass": {"names": [template.machine_class]}} if template.machine_class else None
    selector = {"apiVersion": template.api_version, "kind": template.kind}
    selector["matchResources"] = where or {"controlPlane": True}
    definitions.append({"selector": selector, "jsonPatches": operations})


def _name(group: Sequence[PatchPiece], taken: set[str]) -> str:
    """Return a name that no other patch of ours has: those for all machines alike have the plain one."""
    kinds = {bool(one.template.machine_class) for one in group}
    base = group[0].name
    if len(kinds) == 1 and group[0].conditions not in ((), (f".{USER_VARIABLE}",)):
        base += "-workers" if kinds == {True} else "-control-plane"
    name = next(one for one in (base, *(f"{base}-{number}" for number in range(2, 1000))) if one not in taken)
    taken.add(name)
    return name


def _grouped(pieces: Sequence[PatchPiece], key: Callable[[PatchPiece], Any]) -> list[list[PatchPiece]]:
    groups: dict[Any, list[PatchPiece]] = {}
    for one in pieces:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())
