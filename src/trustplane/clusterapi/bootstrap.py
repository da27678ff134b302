"""What every machine's bootstrap has, whatever the trust list is: two files, and one command before all others.

The bundle comes from Secret `<cluster>-trust`, which Cluster API reads when it makes a machine's bootstrap data and
never compares again: a change of trust changes no template, and replaces no machine.

Source: sigs.k8s.io/cluster-api/api v1.14.2, bootstrap/kubeadm/v1beta2 (KubeadmConfigSpec); v1beta1 has the same fields.
"""

from importlib.resources import files
from typing import Any, Final

from trustplane.api.clusterapi import KubeadmConfigSpec
from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.clusterapi.secret import boot_secret_name
from trustplane.trust import bundle

BUNDLE_FILE: Final = "/etc/trustplane/trust.pem"
UNPACK_FILE: Final = "/etc/trustplane/unpack.sh"
BOOTED_FILE: Final = "/etc/trustplane/booted"  # what the script says came of it
UNPACK_COMMAND: Final = f"sh {UNPACK_FILE}"
# A change of it, unlike one of trust, makes Cluster API replace machines. The package is a layer above: only data.
UNPACK_SCRIPT: Final = files("trustplane").joinpath("nodes", "unpack.sh").read_text()
NODE_USER: Final = "vmware-system-user"

FILES_FIELD: Final = "files"
COMMANDS_FIELD: Final = "preKubeadmCommands"
USERS_FIELD: Final = "users"

_OWNER: Final = "root:root"


def bundle_file(secret: str) -> Json:
    """Return the file that holds the bundle of that Secret."""
    # Ignition's generator fails on files without permissions, and then no machine boots at all.
    source = {"secret": {"name": secret, "key": bundle.KEY}}
    return {"path": BUNDLE_FILE, "owner": _OWNER, "permissions": "0644", "contentFrom": source}


def unpack_file() -> Json:
    """Return the script that makes trust files of the bundle; the same for every cluster."""
    return {"path": UNPACK_FILE, "owner": _OWNER, "permissions": "0755", "content": UNPACK_SCRIPT}


def add_trust(spec: Json, cluster_name: str) -> Json:
    """Return a KubeadmConfigSpec whose machines boot with the trust of a cluster.

    Args:
        spec: As a KubeadmControlPlane (`spec.kubeadmConfigSpec`) or a KubeadmConfigTemplate (`spec.template.spec`) has
            it. It is left as it is; what it has of ours already is brought up to date in its place.
        cluster_name: Of the Cluster that the machines are of.
    """
    commands = [UNPACK_COMMAND, *(one for one in _list(spec, COMMANDS_FIELD) if one != UNPACK_COMMAND)]
    ours = [bundle_file(boot_secret_name(cluster_name)), unpack_file()]
    return {**spec, FILES_FIELD: _placed(_list(spec, FILES_FIELD), ours, "path"), COMMANDS_FIELD: commands}


def add_user(spec: Json, authorized_key: str) -> Json:
    """Return a KubeadmConfigSpec whose machines let Trustplane in by SSH.

    Args:
        spec: See `with_trust`.
        authorized_key: One line of authorized_keys: `public` of Secret `<cluster>-ssh`.
    """
    return {**spec, USERS_FIELD: _placed(_list(spec, USERS_FIELD), [node_user(authorized_key)], "name")}


def node_user(authorized_key: str) -> Json:
    """Return the user that Trustplane comes to nodes as: with sudo, and without a password."""
    return {
        "name": NODE_USER,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lockPassword": True,
        "sshAuthorizedKeys": [authorized_key],
    }


def trust_secret_name(spec: Any) -> str | None:
    """Return the name of the Secret that machines of a KubeadmConfigSpec boot with.

    None where it is not set up: the bundle's file, the script or the command is missing, or is another one. Which
    version of the script it has does not count.
    """
    found = {str(field(one, "path")): one for one in _list(spec, FILES_FIELD)}
    source = field(found.get(BUNDLE_FILE), "contentFrom", "secret")
    name = field(source, "name")
    is_whole = (
        UNPACK_FILE in found and UNPACK_COMMAND in _list(spec, COMMANDS_FIELD) and field(source, "key") == bundle.KEY
    )
    return name if is_whole and isinstance(name, str) and name else None


def needs_boot_set(spec: KubeadmConfigSpec, cluster_name: str) -> bool:
    """Tell whether no machine of a KubeadmConfigSpec boots without Secret `<cluster>-trust` of that cluster."""
    name = boot_secret_name(cluster_name)
    return any(one.path == BUNDLE_FILE and one.content_from.secret.name == name for one in spec.files)


def _placed(before: list[Any], ours: list[Json], key: str) -> list[Any]:
    """Put ours in the place of those with the same key, and the others at the end."""
    new = {one[key]: one for one in ours}
    there = {str(field(one, key)) for one in before}
    kept = [new.get(str(field(one, key)), one) for one in before]
    return [*kept, *(one for one in ours if one[key] not in there)]


def _list(spec: Any, name: str) -> list[Any]:
    value = field(spec, name)
    return list(value) if isinstance(value, list) else []
