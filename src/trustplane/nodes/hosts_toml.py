"""Parser of containerd's `hosts.toml`: the hosts that serve the images of one registry, in containerd's order. Pure.

Source: containerd v2.4.2, core/remotes/docker/config/hosts.go. containerd ignores the case of keys. This parser accepts
only what containerd documents, and rejects every other spelling.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

MAX_SIZE: Final = 16384  # characters; files written by hand have some hundreds
MAX_DOTS: Final = 16  # of one key; containerd's keys have six

# Strings and comments, whose dots separate no keys. They end where tomllib ends them, or tomllib rejects the file.
_TEXTS: Final = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"{3,5}|\\?\Z)|'{3}.*?(?:'{3,5}|\Z)'''
    r"""|"(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|\#[^\n]*""",
    re.DOTALL,
)
_NAMES: Final = re.compile(r"[A-Za-z0-9_\- \t]+")  # parts of keys, and blanks around their dots


class _Table(msgspec.Struct):
    """The settings of one host that decide whether a pull proves trust."""

    skip_verify: bool = False
    capabilities: list[Literal["pull", "resolve", "push", "referrers"]] = msgspec.field(default_factory=list)

    def endpoint(self, url: str) -> "RegistryEndpoint":
        return RegistryEndpoint(url, self.skip_verify, not self.capabilities or "pull" in self.capabilities)


class _File(_Table):
    server: str = ""
    host: dict[str, _Table] = msgspec.field(default_factory=dict)


_KEYS: Final = frozenset(_File.__struct_fields__) | {"ca", "client", "header", "override_path", "dial_timeout"}


@dataclass(frozen=True)
class RegistryEndpoint:
    """A host that containerd asks for images.

    Attributes:
        url: The URL, as in the file.
        skips_verification: Whether containerd does not verify its certificate.
        serves: Whether containerd pulls images from it.
    """

    url: str
    skips_verification: bool = False
    serves: bool = True

    @property
    def scheme(self) -> str:
        """The URL's scheme; `https` if the file has none."""
        return urlsplit(self._complete).scheme.lower()

    @property
    def address(self) -> str:
        """`host` or `host:port`, in lower case.

        Raises:
            ValueError: The URL has no host.
        """
        address = urlsplit(self._complete).netloc.rpartition("@")[2].lower()
        if not address:
            raise ValueError(f"{self.url} is not the URL of a host")
        return address

    @property
    def _complete(self) -> str:
        return self.url if self.url.startswith("http") else f"https://{self.url}"


@dataclass(frozen=True)
class HostsToml:
    """A parsed `hosts.toml`.

    Attributes:
        hosts: The hosts that containerd asks first, in this order.
        server: The host that it asks last; with an empty URL, the registry itself.
    """

    hosts: tuple[RegistryEndpoint, ...]
    server: RegistryEndpoint


def parse_hosts_toml(text: str) -> HostsToml:
    """Parse a `hosts.toml`.

    Raises:
        ValueError: The text is no `hosts.toml`, or has a spelling that containerd may interpret differently.
    """
    content = load_toml(text)
    _refuse_unusual(content)
    try:
        file = msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise ValueError(f"it differs from containerd's documented format: {error}") from error
    for table in content.get("host", {}).values():
        _refuse_unusual(table)
    return HostsToml(tuple(table.endpoint(url) for url, table in file.host.items()), file.endpoint(file.server))


def load_toml(text: str, limit: int = MAX_SIZE) -> dict[str, Any]:
    """Parse TOML from a node, in time linear in its size.

    Args:
        text: The TOML.
        limit: Maximum size in characters.

    Raises:
        ValueError: The text is no TOML, is too large, or has a key with too many parts.
    """
    if len(text) > limit:
        raise ValueError("it is too large")
    # The time for a key, and for each line of a table, grows with the square of the parts of the key or table name.
    if "." * (MAX_DOTS + 1) in _NAMES.sub("", _TEXTS.sub("", text)):
        raise ValueError(f"it has a key with more than {MAX_DOTS} dots")
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_unusual(names: Iterable[str]) -> None:
    unusual = sorted(name for name in names if name not in _KEYS and name.lower() in _KEYS)
    if unusual:
        raise ValueError(f"key {unusual[0]} is not in lower case")
