"""Kubeconfigs in Secrets, possibly written by a tenant: parsed as plain data. Pure.

A kubeconfig can run programs, read files and send their content anywhere. From a Secret, Trustplane accepts an https
server, its CA, and a client certificate or a token; it refuses every other field by name.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from trustplane import plain_yaml
from trustplane.api.meta import Json
from trustplane.kube.errors import RefusedAccessError
from trustplane.plain_yaml import PlainYamlError
from trustplane.text import clean

HTTPS_PORT: Final = 443
NEXT_STEP: Final = "Restore the kubeconfig of Cluster API: delete the Secret, and Cluster API recreates it"

_MAX_NAME: Final = 60  # characters shown of an unknown field's name
_TOP: Final = frozenset({"apiVersion", "kind", "preferences", "clusters", "contexts", "users", "current-context"})
_ENTRIES: Final[
    Mapping[str, tuple[str, frozenset[str]]]
] = {  # per list: the content field of its entries, and the fields allowed in it
    "clusters": (
        "cluster",
        frozenset({"server", "certificate-authority-data", "tls-server-name", "disable-compression"}),
    ),
    "contexts": ("context", frozenset({"cluster", "user", "namespace"})),
    "users": ("user", frozenset({"client-certificate-data", "client-key-data", "token"})),
}
_NOTHING: Final[tuple[object, ...]] = (None, False, "", [], {})  # values equivalent to an absent field
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # becomes part of a header
_PEM: Final = re.compile(rb"[\t\r\n\x20-\x7e]+")


@dataclass(frozen=True)
class Access:
    """Address and credentials for a workload cluster's API server.

    Attributes:
        host: name or address as written, without brackets.
        port: TCP port.
        ca: PEM certificates that anchor the server's certificate.
        certificate: PEM client certificate; empty: none.
        key: PEM private key of the client certificate.
        token: bearer token; empty: none.
        server_name: expected name in the server's certificate; empty: `host`.
    """

    host: str
    port: int
    ca: str
    certificate: str = field(repr=False, default="")
    key: str = field(repr=False, default="")
    token: str = field(repr=False, default="")
    server_name: str = ""

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_secret(value: str) -> Access:
    """Parse a kubeconfig from a Secret's base64 value.

    Raises:
        RefusedAccessError: the kubeconfig has unsupported content; the error names it.
    """
    if len(value) > plain_yaml.MAX_BYTES // 3 * 4 + 4:
        refuse("value", f"it is larger than {plain_yaml.MAX_BYTES} bytes")
    try:
        return parse_kubeconfig(base64.b64decode(value, validate=True))
    except ValueError:
        refuse("value", "it is not base64")


def parse_kubeconfig(content: bytes) -> Access:
    """Parse a kubeconfig, YAML or JSON.

    Raises:
        RefusedAccessError: the kubeconfig has unsupported content; the error names it.
    """
    try:
        document = plain_yaml.read(content)
    except PlainYamlError as error:
        refuse("value", str(error))
    top = _fields(document, "", _TOP)
    if _text(top, "kind", "") not in {"", "Config"}:
        refuse("kind", "it is not Config")
    for section in _ENTRIES:
        _check_section(top, section)
    context = _entry(top, "contexts", _text(top, "current-context", ""), "current-context")
    cluster = _entry(top, "clusters", _text(context, "cluster", "contexts[].context."), "contexts[].context.cluster")
    user = _entry(top, "users", _text(context, "user", "contexts[].context."), "contexts[].context.user")
    return _access(cluster, user)


def refuse(name: str, why: str) -> NoReturn:
    """Refuse a kubeconfig because of one field.

    Raises:
        RefusedAccessError: always.
    """
    raise RefusedAccessError(f"The kubeconfig is refused because of its field {name}", why=why, next_step=NEXT_STEP)


def check_unencrypted(pem: str, name: str) -> None:
    """Refuse encrypted PEM: no password exists for it, and its author controls how long a decryption takes.

    Raises:
        RefusedAccessError: the PEM is encrypted.
    """
    if "ENCRYPTED" in pem:
        refuse(name, "it is encrypted, and a kubeconfig has no password for it")


def _check_section(top: Json, section: str) -> None:
    content, allowed = _ENTRIES[section]
    for index, item in enumerate(_list(top, section)):
        path = f"{section}[{index}]"
        entry = _fields(item, f"{path}.", frozenset({"name", content}))
        _text(entry, "name", f"{path}.")
        _fields(entry.get(content), f"{path}.{content}.", allowed)


def _fields(value: Any, path: str, allowed: frozenset[str]) -> Json:
    """Return the set fields of a mapping; refuse fields outside `allowed`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse(path.rstrip(".") or "value", "it is not a mapping")
    for name, content in value.items():
        if name not in allowed and content not in _NOTHING:
            refuse(f"{path}{clean(name, _MAX_NAME)}", "this field is not supported in a Secret's kubeconfig")
    return {name: content for name, content in value.items() if content not in _NOTHING}


def _list(top: Json, section: str) -> list[Any]:
    value = top.get(section, [])
    if not isinstance(value, list):
        refuse(section, "it is not a list")
    return value


def _text(fields: Json, name: str, path: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        refuse(f"{path}{name}", "it is not a string")
    return value


def _entry(top: Json, section: str, name: str, named_by: str) -> Json:
    content, allowed = _ENTRIES[section]
    matches = [entry for entry in _list(top, section) if entry and entry.get("name") == name]
    if not name or len(matches) != 1:
        refuse(named_by, f"it matches {len(matches) if name else 'none'} of the {section}, and must match exactly one")
    return _fields(matches[0].get(content), f"{section}[].{content}.", allowed)


def _access(cluster: Json, user: Json) -> Access:
    path = "clusters[].cluster."
    host, port = _server(_text(cluster, "server", path))
    name = _text(cluster, "tls-server-name", path)
    if name and not _HOST.fullmatch(name):
        refuse(f"{path}tls-server-name", "it is not a host name")
    ca = _pem(cluster, "certificate-authority-data", path)
    if not ca:
        refuse(f"{path}certificate-authority-data", "it is missing, and the server cannot be verified without a CA")
    path = "users[].user."
    certificate, key = _pem(user, "client-certificate-data", path), _pem(user, "client-key-data", path)
    if bool(certificate) != bool(key):
        refuse(f"{path}client-key-data", "client-certificate-data and client-key-data require each other")
    token = _text(user, "token", path)
    if token and not _TOKEN.fullmatch(token):
        refuse(f"{path}token", "it has characters that are invalid in a token")
    return Access(host, port, ca, certificate, key, token, name)


def _server(url: str) -> tuple[str, int]:
    name = "clusters[].cluster.server"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        refuse(name, "it is not a URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        refuse(name, "it is not a URL")
    if parts.scheme != "https":
        refuse(name, "it does not begin with https://")
    if "@" in parts.netloc:
        refuse(name, "it has a user")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        refuse(name, "it has more than a host and a port")
    if not _HOST.fullmatch(host) or port == 0:
        refuse(name, "its host or port is missing or invalid")
    return host, port or HTTPS_PORT


def _pem(fields: Json, name: str, path: str) -> str:
    try:
        data = base64.b64decode("".join(_text(fields, name, path).split()), validate=True)
    except ValueError:
        refuse(f"{path}{name}", "it is not base64")
    if data and not (_PEM.fullmatch(data) and b"-----BEGIN " in data):
        refuse(f"{path}{name}", "it is not PEM")
    check_unencrypted(data.decode("ascii"), f"{path}{name}")
    return data.decode("ascii")
