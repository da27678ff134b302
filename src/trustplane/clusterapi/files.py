"""The trust files of a machine, as `files` of Cluster API's kubeadm bootstrap provider.

Source: sigs.k8s.io/cluster-api/api v1.14.2, bootstrap/kubeadm/v1beta2 (File); v1beta1 has the same fields.
"""

from typing import Any, Final

from trustplane.api.fields import field, patch
from trustplane.api.meta import Json
from trustplane.clusterapi.secret import key
from trustplane.clusterapi.variable import Trust
from trustplane.errors import UserError
from trustplane.trust.places import Place, toml, toml_path

MAX_FILES: Final = 200

# Where the KubeadmConfigSpec is, by kind and group of the template.
_SPECS: Final = {
    ("KubeadmControlPlaneTemplate", "controlplane.cluster.x-k8s.io"): ("spec", "template", "spec", "kubeadmConfigSpec"),
    ("KubeadmConfigTemplate", "bootstrap.cluster.x-k8s.io"): ("spec", "template", "spec"),
}
_PATHS: Final = {kind: path for (kind, _), path in _SPECS.items()}


def is_bootstrap_template(template: Any) -> bool:
    """Tell whether machines get their files from this template."""
    if not isinstance(template, dict):
        return False
    group = str(template.get("apiVersion", "")).partition("/")[0]
    return (template.get("kind"), group) in _SPECS


def of(template: Json) -> list[Json]:
    """Return the files of a bootstrap template."""
    return list(field(template, *_PATHS[template["kind"]], "files") or [])


def placed(kind: str, files: list[Json]) -> Json:
    """Return a merge patch that gives a bootstrap template of that kind these files."""
    return patch((*_PATHS[kind], "files"), files)


def wanted(trust: Trust) -> list[Json]:
    """Return the files that make a machine trust these entries; a file that names others comes after them."""
    places = [Place(name, host) for name in trust.names for host in trust.hosts.get(name, ("",))]
    names: dict[str, list[str]] = {}
    for one in places:
        names.setdefault(one.host, []).append(one.name)
    tomls = [_file(toml_path(host), content=toml(host, names[host])) for host in sorted(names) if host]
    return [*(_certificates(trust, one) for one in places), *tomls]


def _certificates(trust: Trust, place: Place) -> Json:
    source = {"name": trust.secret_name, "key": place.name if trust.is_users else key(place.name)}
    file = _file(place.path, contentFrom={"secret": source})
    return file | {"encoding": "base64"} if trust.is_users else file


def _file(path: str, **content: object) -> Json:
    return {"path": path, "owner": "root:root", "permissions": "0644", **content}


def merged(before: list[Json], ours: list[Json]) -> list[Json]:
    """Append our files to those that a template has; those of ours that are there already stay where they are.

    Raises:
        UserError: The template has something else at one of our paths, or there are more files than fit.
    """
    there = {file.get("path"): file for file in before}
    for file in ours:
        if there.get(file["path"], file) != file:
            raise UserError(
                f"The ClusterClass has another file {file['path']}",
                why="Trustplane writes an entry of the trust list there and overwrites nothing",
                next_step="Rename the entry, or the file of the class",
            )
    after = [*before, *(file for file in ours if file["path"] not in there)]
    if len(after) > MAX_FILES:
        raise UserError(
            f"A machine would have {len(after)} files",
            why=f"Cluster API allows {MAX_FILES}: {len(before)} of the ClusterClass, the others of the trust list",
            next_step="Put several certificates into one entry, or remove entries",
        )
    return after


def check(files: list[Json], ours: list[Json]) -> None:
    """Check that a template has our files exactly once and nothing else at their paths.

    Raises:
        UserError: It has not.
    """
    for file in ours:
        found = [one for one in files if one.get("path") == file["path"]]
        if found != [file]:
            raise UserError(
                f"After all patches a machine has {len(found)} files {file['path']}, not the one of the trust list",
                why="Another patch of the ClusterClass removed, changed or doubled it",
                next_step="Put the patch that names Trustplane's extension last in the ClusterClass",
            )
