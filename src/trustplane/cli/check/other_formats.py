"""Files that are no trust list but name one: hosts.toml of containerd, registries.yaml of k3s and RKE2, patches."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from trustplane.cli import manifests
from trustplane.cli.manifests import child, items, pairs, scalar
from trustplane.errors import UserError

_MAX_SHOWN = 5
_PATH = re.compile(r"[\w./+@-]{1,200}")
_HOST = re.compile(r"[\w.:/\[\]-]{1,253}")
_HOSTS_TOML = re.compile(rb"^[ \t]*(?:\[host[.\]]|server[ \t]*=[ \t]*[\"']|ca[ \t]*=)", re.MULTILINE)
_REGISTRIES = frozenset({"mirrors", "configs", "auths"})
_YAML_START = re.compile(
    rb"^(?:mirrors|configs|auths|- op|-[ \t]+op|\[[ \t\n]*\{[ \t\n]*\"op\"|type|fullName)\b", re.MULTILINE
)


def explain_other_format(name: str, content: bytes) -> str:
    """Return what a file is and what to check instead; "" for every other file."""
    if _HOSTS_TOML.search(content) and b"-----BEGIN" not in content:
        return _hosts_toml(name, content)
    return _yaml(name, content) if _YAML_START.search(content) else ""


def _hosts_toml(name: str, content: bytes) -> str:
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return f"{name} looks like a hosts.toml of containerd, but is not valid TOML: containerd ignores it"
    hosts = document.get("host")
    tables = {"": document, **(hosts if isinstance(hosts, dict) else {})}
    files = [path for table in tables.values() if isinstance(table, dict) for path in _flat(table.get("ca"))]
    return _names_files(f"{name} is a hosts.toml of containerd", files)


def _flat(value: Any) -> Iterator[str]:
    for path in value if isinstance(value, list) else [value]:
        if isinstance(path, str):
            yield path


def _yaml(name: str, content: bytes) -> str:
    try:
        _, (node, *_) = manifests.parse_nodes(name, content)
    except (UserError, ValueError):
        return ""
    if any(child(item, "op") is not None and child(item, "path") is not None for item in items(node)):
        return f"{name} is a patch, not an object: check its result: kustomize build . | trustplane check -"
    keys = {scalar(key) for key, _ in pairs(node)}
    if keys and keys <= _REGISTRIES:
        configs = pairs(child(node, "configs"))
        files = [scalar(child(config, "tls", "ca_file")) for _, config in configs]
        return _names_files(f"{name} is a registries.yaml of k3s or RKE2", files)
    return ""


def _names_files(what: str, files: list[str]) -> str:
    readable = [path for path in dict.fromkeys(files) if _PATH.fullmatch(path)][:_MAX_SHOWN]
    if not readable:
        return f"{what}, not a list of CAs; it names no CA file"
    command = f"trustplane check {' '.join(readable)}"
    return f"{what}, not a list of CAs; on the node, check the CA file that it names: {command}"
