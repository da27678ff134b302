"""The topology variable `trust`: its schema, and what a value means.

With `secretName` it names a Secret of ours, of keys `<name>.pem` that hold PEM. Without, it is vSphere 8's form: Secret
`<cluster>-user-trusted-ca-secret` of the user's making, whose keys are the names and whose values are base64 of PEM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trustplane.api.limits import HOST_PATTERN, MAX_ENTRIES, MAX_HOST_LENGTH, MAX_NAME_LENGTH, NAME_PATTERN
from trustplane.api.meta import Json
from trustplane.errors import UserError
from trustplane.trust.entries import BAD_NAME, judge_name, shown
from trustplane.trust.places import is_host

USER_SECRET_SUFFIX = "-user-trusted-ca-secret"  # noqa: S105  a name

TRUST_SCHEMA: Json = {
    "type": "object",
    "description": "CAs that every node trusts besides those of its operating system.",
    "required": ["additionalTrustedCAs"],
    "properties": {
        "secretName": {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "description": "Secret in the cluster's namespace with a key <name>.pem for each entry, holding PEM. "
            f"Left out: Secret <cluster>{USER_SECRET_SUFFIX} with a key <name> for each entry, holding base64 of PEM.",
        },
        "additionalTrustedCAs": {
            "type": "array",
            "maxItems": MAX_ENTRIES,
            "description": "Entries, each of which becomes file /etc/ssl/certs/tkg-<name>.pem on every node, or files "
            "of /etc/containerd/certs.d where it has hosts.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": MAX_NAME_LENGTH,
                        "pattern": NAME_PATTERN,
                        "description": "Part of the file's name; letters, digits, '-', '_' and '.'.",
                    },
                    "hosts": {
                        "type": "array",
                        "maxItems": MAX_ENTRIES,
                        "description": "Registries that the entry is for. Left out: it is for the whole node.",
                        "items": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": MAX_HOST_LENGTH,
                            "pattern": HOST_PATTERN,
                            "description": "As in the names of images: host or host:port.",
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
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of the entries that are for some registries


def parse_trust_variable(value: Any, cluster_name: str) -> TrustVariable:
    """Read a value.

    Args:
        value: As Cluster API sends it.
        cluster_name: Of the Cluster, for the name of the user's Secret.

    Raises:
        UserError: It does not match the schema, or two entries have one name.
    """
    entries = value.get("additionalTrustedCAs") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("Variable trust has no list additionalTrustedCAs of objects")
    names = tuple(_name(entry) for entry in entries)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"Variable trust has two entries named {shown(twice)}", next_step="Rename one of them")
    hosts = {name: found for name, entry in zip(names, entries, strict=True) if (found := _hosts(name, entry))}
    secret_name = value.get("secretName", "")
    if not isinstance(secret_name, str):
        raise UserError("Field secretName of variable trust is not a string")
    if secret_name:
        return TrustVariable(secret_name, names, has_user_secret=False, hosts=hosts)
    if not cluster_name:
        raise UserError("The request names no cluster", why="Variable builtin has no cluster.name")
    return TrustVariable(cluster_name + USER_SECRET_SUFFIX, names, has_user_secret=True, hosts=hosts)


def _hosts(name: str, entry: Json) -> tuple[str, ...]:
    hosts = entry.get("hosts") or []
    if not isinstance(hosts, list) or not all(isinstance(host, str) and is_host(host) for host in hosts):
        raise UserError(
            f"Variable trust has an entry {name} with hosts that are none",
            next_step="Write them as in the names of images: host or host:port",
        )
    return tuple(sorted(set(hosts)))


def _name(entry: Json) -> str:
    name = entry.get("name")
    refusal = judge_name(name, ()) if isinstance(name, str) else BAD_NAME
    if refusal:
        words = repr(shown(name)) if isinstance(name, str) else "that is no string"
        raise UserError(f"Variable trust has a name {words}", why=refusal.why, next_step=refusal.next_step)
    return str(name)
