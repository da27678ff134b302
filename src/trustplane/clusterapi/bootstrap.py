"""Trustplane's part of every machine's bootstrap, the same for every trust list: two files and a first command.

The bundle comes from Secret `<cluster>-trust`. Cluster API reads the Secret when it generates a machine's bootstrap
data and never compares it afterwards: a change of trust changes no template and replaces no machine.

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
BOOTED_FILE: Final = "/etc/trustplane/booted"  # the result of the script
UNPACK_COMMAND: Final = f"sh {UNPACK_FILE}"
# Unlike a change of trust, a change of the script makes Cluster API replace machines. Read as data: nodes is a layer
# above this one.
UNPACK_SCRIPT: Final = files("trustplane").joinpath("nodes", "unpack.sh").read_text()
NODE_USER: Final = "vmware-system-user"

FILES_FIELD: Final = "files"
COMMANDS_FIELD: Final = "preKubeadmCommands"
USERS_FIELD: Final = "users"

_OWNER: Final = "root:root"


def bundle_file(secret: str) -> Json:
    """Return the file with the bundle from that Secret."""
    # Ignition's generator fails for a file without permissions, and then no machine boots.
    source = {"secret": {"name": secret, "key": bundle.BUNDLE_KEY}}
    return {"path": BUNDLE_FILE, "owner": _OWNER, "permissions": "0644", "contentFrom": source}


def unpack_file() -> Json:
    """Return the script that unpacks the bundle into trust files; the same for every cluster."""
    return {"path": UNPACK_FILE, "owner": _OWNER, "permissions": "0755", "content": UNPACK_SCRIPT}


def add_trust(spec: Json, cluster_name: str) -> Json:
    """Return a KubeadmConfigSpec whose machines boot with the trust of a cluster.

    Args:
        spec: The KubeadmConfigSpec of a KubeadmControlPlane (`spec.kubeadmConfigSpec`) or a KubeadmConfigTemplate
            (`spec.template.spec`). It is not modified; the result has current versions of our items in their place.
        cluster_name: Name of the Cluster of the machines.
    """
    commands = [UNPACK_COMMAND, *(command for command in _list(spec, COMMANDS_FIELD) if command != UNPACK_COMMAND)]
    ours = [bundle_file(boot_secret_name(cluster_name)), unpack_file()]
    return {**spec, FILES_FIELD: _merged(_list(spec, FILES_FIELD), ours, "path"), COMMANDS_FIELD: commands}


def add_user(spec: Json, authorized_key: str) -> Json:
    """Return a KubeadmConfigSpec whose machines accept Trustplane's SSH key.

    Args:
        spec: As in `add_trust`.
        authorized_key: One line of authorized_keys: the public key of Secret `<cluster>-ssh`.
    """
    return {**spec, USERS_FIELD: _merged(_list(spec, USERS_FIELD), [node_user(authorized_key)], "name")}


def node_user(authorized_key: str) -> Json:
    """Return Trustplane's user on nodes, with sudo and without a password."""
    return {
        "name": NODE_USER,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lockPassword": True,
        "sshAuthorizedKeys": [authorized_key],
    }


def trust_secret_name(spec: Any) -> str | None:
    """Return the name of the Secret from which machines of a KubeadmConfigSpec take their trust at boot.

    None if the setup is incomplete: the bundle's file, the script or the command is missing or different. The version
    of the script does not matter.
    """
    files_by_path = {str(field(file, "path")): file for file in _list(spec, FILES_FIELD)}
    source = field(files_by_path.get(BUNDLE_FILE), "contentFrom", "secret")
    name = field(source, "name")
    has_script = UNPACK_FILE in files_by_path and UNPACK_COMMAND in _list(spec, COMMANDS_FIELD)
    is_complete = has_script and field(source, "key") == bundle.BUNDLE_KEY
    return name if is_complete and isinstance(name, str) and name else None


def needs_boot_set(spec: KubeadmConfigSpec, cluster_name: str) -> bool:
    """Return whether machines of a KubeadmConfigSpec can boot only with Secret `<cluster>-trust` of that cluster."""
    name = boot_secret_name(cluster_name)
    return any(file.path == BUNDLE_FILE and file.content_from.secret.name == name for file in spec.files)


def _merged(before: list[Any], ours: list[Json], key: str) -> list[Any]:
    """Return the items with ours in place of those with the same key, and our other items at the end."""
    new = {item[key]: item for item in ours}
    existing = {str(field(item, key)) for item in before}
    kept = [new.get(str(field(item, key)), item) for item in before]
    return [*kept, *(item for item in ours if item[key] not in existing)]


def _list(spec: Any, name: str) -> list[Any]:
    value = field(spec, name)
    return list(value) if isinstance(value, list) else []
