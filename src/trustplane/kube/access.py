"""The kubeconfig in a Secret, which a stranger may have written: data, and nothing but data. Pure.

A kubeconfig can run programs, read files, and send what they hold anywhere. Of one in a Secret an https server, its CA,
and a client certificate or a token are taken; whatever else it has is refused by its name.
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
NEXT_STEP: Final = "Put the kubeconfig that Cluster API made back: delete the Secret, and Cluster API makes it again"

_NAME: Final = 60  # characters of a stranger's name of a field
_TOP: Final = frozenset({"apiVersion", "kind", "preferences", "clusters", "contexts", "users", "current-context"})
_ENTRIES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {  # by list: the name of its entries' content; its fields
    "clusters": (
        "cluster",
        frozenset({"server", "certificate-authority-data", "tls-server-name", "disable-compression"}),
    ),
    "contexts": ("context", frozenset({"cluster", "user", "namespace"})),
    "users": ("user", frozenset({"client-certificate-data", "client-key-data", "token"})),
}
_NOTHING: Final[tuple[object, ...]] = (None, False, "", [], {})  # a field that is set to nothing is as good as absent
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # it goes into a header
_PEM: Final = re.compile(rb"[\t\r\n\x20-\x7e]+")


@dataclass(frozen=True)
class Access:
    """Where a workload cluster's API server is, and who we are to it.

    Attributes:
        host: Name or address, as it is written, without brackets.
        port: Its port.
        ca: Certificates that its certificate may come from, PEM.
        certificate: Ours, PEM; empty: none.
        key: Of that certificate, PEM.
        token: A bearer token; empty: none.
        server_name: The name that its certificate is to have; empty: the host.
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
    """Read the value of a Secret's key: a kubeconfig in base64.

    Raises:
        RefusedAccessError: It has something that is not taken; the error names it.
    """
    if len(value) > plain_yaml.MAX_BYTES // 3 * 4 + 4:
        refuse("value", f"it is larger than {plain_yaml.MAX_BYTES} bytes")
    try:
        return parse(base64.b64decode(value, validate=True))
    except ValueError:
        refuse("value", "it is not base64")


def parse(content: bytes) -> Access:
    """Read a kubeconfig, YAML or JSON.

    Raises:
        RefusedAccessError: It has something that is not taken; the error names it.
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
    """Refuse a kubeconfig for one of its fields.

    Raises:
        RefusedAccessError: Always.
    """
    raise RefusedAccessError(f"The kubeconfig is refused for its field {name}", why=why, next_step=NEXT_STEP)


def check_unlocked(pem: str, name: str) -> None:
    """Refuse what is encrypted: nobody has its password, and to try one takes as long as its writer likes.

    Raises:
        RefusedAccessError: It is encrypted.
    """
    if "ENCRYPTED" in pem:
        refuse(name, "it is encrypted, and there is no password for it")


def _check_section(top: Json, section: str) -> None:
    content, allowed = _ENTRIES[section]
    for index, one in enumerate(_list(top, section)):
        place = f"{section}[{index}]"
        entry = _fields(one, f"{place}.", frozenset({"name", content}))
        _text(entry, "name", f"{place}.")
        _fields(entry.get(content), f"{place}.{content}.", allowed)


def _fields(value: Any, place: str, allowed: frozenset[str]) -> Json:
    """Return a mapping's fields that are set, all of which must be allowed."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse(place.rstrip(".") or "value", "it is no mapping")
    for name, content in value.items():
        if name not in allowed and content not in _NOTHING:
            refuse(f"{place}{clean(name, _NAME)}", "a kubeconfig in a Secret may hold data only, and this is not taken")
    return {name: content for name, content in value.items() if content not in _NOTHING}


def _list(top: Json, section: str) -> list[Any]:
    value = top.get(section, [])
    if not isinstance(value, list):
        refuse(section, "it is no list")
    return value


def _text(fields: Json, name: str, place: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        refuse(f"{place}{name}", "it is no text")
    return value


def _entry(top: Json, section: str, name: str, named_by: str) -> Json:
    content, allowed = _ENTRIES[section]
    found = [one for one in _list(top, section) if one and one.get("name") == name]
    if not name or len(found) != 1:
        refuse(named_by, f"it names {len(found) if name else 'none'} of the {section}, and must name one")
    return _fields(found[0].get(content), f"{section}[].{content}.", allowed)


def _access(cluster: Json, user: Json) -> Access:
    place = "clusters[].cluster."
    host, port = _server(_text(cluster, "server", place))
    name = _text(cluster, "tls-server-name", place)
    if name and not _HOST.fullmatch(name):
        refuse(f"{place}tls-server-name", "it is no name of a host")
    ca = _pem(cluster, "certificate-authority-data", place)
    if not ca:
        refuse(
            f"{place}certificate-authority-data", "it is absent, and the server's certificate must come from somewhere"
        )
    place = "users[].user."
    certificate, key = _pem(user, "client-certificate-data", place), _pem(user, "client-key-data", place)
    if bool(certificate) != bool(key):
        refuse(f"{place}client-key-data", "client-certificate-data and client-key-data must come together")
    token = _text(user, "token", place)
    if token and not _TOKEN.fullmatch(token):
        refuse(f"{place}token", "it has characters that no token has")
    return Access(host, port, ca, certificate, key, token, name)


def _server(url: str) -> tuple[str, int]:
    name = "clusters[].cluster.server"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        refuse(name, "it is no URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        refuse(name, "it is no URL")
    if parts.scheme != "https":
        refuse(name, "it does not begin with https://")
    if "@" in parts.netloc:
        refuse(name, "it has a user")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        refuse(name, "it has more than a host and a port")
    if not _HOST.fullmatch(host) or port == 0:
        refuse(name, "it has no host, or none that is written plainly")
    return host, port or HTTPS_PORT


def _pem(fields: Json, name: str, place: str) -> str:
    try:
        data = base64.b64decode("".join(_text(fields, name, place).split()), validate=True)
    except ValueError:
        refuse(f"{place}{name}", "it is not base64")
    if data and not (_PEM.fullmatch(data) and b"-----BEGIN " in data):
        refuse(f"{place}{name}", "it is not PEM")
    check_unlocked(data.decode("ascii"), f"{place}{name}")
    return data.decode("ascii")
