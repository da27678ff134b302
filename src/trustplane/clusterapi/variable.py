"""The topology variable `trust`: its schema, and the meaning of its values.

With `secretName`, the variable names a Secret in Trustplane's form: keys `<name>.pem` with PEM values. Without it, the
variable has vSphere 8's form: the user creates Secret `<cluster>-user-trusted-ca-secret`, whose keys are entry names
and whose values are base64 of PEM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trustplane.api.limits import HOST_PATTERN, MAX_ENTRIES, MAX_HOST_LENGTH, MAX_NAME_LENGTH, NAME_PATTERN
from trustplane.api.meta import Json
from trustplane.errors import UserError
from trustplane.trust.entries import BAD_NAME, check_entry_name, printable_name
from trustplane.trust.node_files import is_registry_host

USER_SECRET_SUFFIX = "-user-trusted-ca-secret"  # noqa: S105  a name

TRUST_SCHEMA: Json = {
    "type": "object",
    "description": "CAs that every node trusts, in addition to those of its operating system.",
    "required": ["additionalTrustedCAs"],
    "properties": {
        "secretName": {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "description": "Secret in the cluster's namespace with PEM under key <name>.pem for each entry. "
            f"Default: Secret <cluster>{USER_SECRET_SUFFIX} with base64 of PEM under key <name> for each entry.",
        },
        "additionalTrustedCAs": {
            "type": "array",
            "maxItems": MAX_ENTRIES,
            "description": "Entries. Each becomes file /etc/ssl/certs/tkg-<name>.pem on every node, or files in "
            "/etc/containerd/certs.d if it has hosts.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": MAX_NAME_LENGTH,
                        "pattern": NAME_PATTERN,
                        "description": "Part of the file name: letters, digits, '-', '_' and '.'.",
                    },
                    "hosts": {
                        "type": "array",
                        "maxItems": MAX_ENTRIES,
                        "description": "Registries to which the entry is limited. Default: the whole node.",
                        "items": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": MAX_HOST_LENGTH,
                            "pattern": HOST_PATTERN,
                            "description": "Registry host as in image references: host or host:port.",
                        },
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class TrustVariable:
    """A value of the variable."""

    secret_name: str
    names: tuple[str, ...]
    has_user_secret: bool  # the Secret is the user's: keys without suffix, values base64 of PEM
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of registry-scoped entries


def parse_trust_variable(value: Any, cluster_name: str) -> TrustVariable:
    """Parse a value.

    Args:
        value: The value, as JSON.
        cluster_name: Name of the Cluster, for the name of the user's Secret.

    Raises:
        UserError: The value does not match the schema, or two entries have the same name.
    """
    entries = value.get("additionalTrustedCAs") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("Variable trust has no list of objects in additionalTrustedCAs")
    names = tuple(_name(entry) for entry in entries)
    if len(set(names)) != len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"Variable trust has two entries named {printable_name(duplicate)}", next_step="Rename one of them"
        )
    scopes = ((name, _hosts(name, entry)) for name, entry in zip(names, entries, strict=True))
    hosts = {name: scope for name, scope in scopes if scope}
    secret_name = value.get("secretName", "")
    if not isinstance(secret_name, str):
        raise UserError("Field secretName of variable trust is not a string")
    if secret_name:
        return TrustVariable(secret_name, names, has_user_secret=False, hosts=hosts)
    if not cluster_name:
        raise UserError("The request does not name a cluster", why="variable builtin has no cluster.name")
    return TrustVariable(cluster_name + USER_SECRET_SUFFIX, names, has_user_secret=True, hosts=hosts)


def _hosts(name: str, entry: Json) -> tuple[str, ...]:
    hosts = entry.get("hosts") or []
    if not isinstance(hosts, list) or not all(isinstance(host, str) and is_registry_host(host) for host in hosts):
        raise UserError(
            f"Entry {name} of variable trust has invalid hosts",
            next_step="Write each as in image references: host or host:port",
        )
    return tuple(sorted(set(hosts)))


def _name(entry: Json) -> str:
    name = entry.get("name")
    refusal = check_entry_name(name, ()) if isinstance(name, str) else BAD_NAME
    if refusal:
        display = repr(printable_name(name)) if isinstance(name, str) else "that is not a string"
        raise UserError(f"Variable trust has an entry name {display}", why=refusal.why, next_step=refusal.next_step)
    return str(name)
