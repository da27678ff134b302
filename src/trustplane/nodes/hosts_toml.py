"""A `hosts.toml` of containerd: whom it asks for images of one registry, in its order, and how. Pure.

Source: containerd v2.4.2, core/remotes/docker/config/hosts.go. Its parser ignores the case of keys; a file that uses
that is refused here, as is everything else that is not written as containerd's documentation has it.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

MAX_SIZE: Final = 16384  # characters; files that people write have some hundreds
MAX_DOTS: Final = 16  # of one key; keys of containerd have six

# What dots mean nothing in. A text or comment ends where the parser has it end, or has the whole refused.
_TEXTS: Final = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"{3,5}|\\?\Z)|'{3}.*?(?:'{3,5}|\Z)'''
    r"""|"(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|\#[^\n]*""",
    re.DOTALL,
)
_NAMES: Final = re.compile(r"[A-Za-z0-9_\- \t]+")  # parts of keys, and what may be between those and their dots


class _Table(msgspec.Struct):
    """Settings of one host, those that matter here."""

    skip_verify: bool = False
    capabilities: list[Literal["pull", "resolve", "push", "referrers"]] = msgspec.field(default_factory=list)

    def endpoint(self, url: str) -> "Endpoint":
        return RegistryEndpoint(url, self.skip_verify, not self.capabilities or "pull" in self.capabilities)


class _File(_Table):
    server: str = ""
    host: dict[str, _Table] = msgspec.field(default_factory=dict)


_KEYS: Final = frozenset(_File.__struct_fields__) | {"ca", "client", "header", "override_path", "dial_timeout"}


@dataclass(frozen=True)
class RegistryEndpoint:
    """One of the hosts that are asked.

    Attributes:
        url: As the file has it.
        skips_verification: Whether its certificate is not verified.
        serves: Whether images are pulled from it.
    """

    url: str
    skips_verification: bool = False
    serves: bool = True

    @property
    def scheme(self) -> str:
        """The URL's scheme: `https`, where it has none."""
        return urlsplit(self._complete).scheme.lower()

    @property
    def address(self) -> str:
        """`host` or `host:port`, in lower case.

        Raises:
            ValueError: The URL has none.
        """
        address = urlsplit(self._complete).netloc.rpartition("@")[2].lower()
        if not address:
            raise ValueError(f"{self.url} is no URL of a host")
        return address

    @property
    def _complete(self) -> str:
        return self.url if self.url.startswith("http") else f"https://{self.url}"


@dataclass(frozen=True)
class HostsToml:
    """A file.

    Attributes:
        hosts: Who is asked first, in this order.
        server: Who is asked last; its URL is empty where that is the registry by its own name.
    """

    hosts: tuple[RegistryEndpoint, ...]
    server: RegistryEndpoint


def parse_hosts_toml(text: str) -> HostsToml:
    """Read a file.

    Raises:
        ValueError: It is not one, or is written in a way that containerd may read otherwise.
    """
    content = load_toml(text)
    _refuse_unusual(content)
    try:
        file = msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise ValueError(f"it is not as containerd has it: {error}") from error
    for table in content.get("host", {}).values():
        _refuse_unusual(table)
    return HostsToml(tuple(table.endpoint(url) for url, table in file.host.items()), file.endpoint(file.server))


def load_toml(text: str, limit: int = MAX_SIZE) -> dict[str, Any]:
    """Read TOML of a node, in a time that grows with its size alone.

    Args:
        text: Of the node.
        limit: Characters that are read at all.

    Raises:
        ValueError: It is none, or too large, or has a key of too many parts.
    """
    if len(text) > limit:
        raise ValueError("it is too large")
    # The time of the parser, and of each line after a table's name, grows with the square of a key's parts.
    if "." * (MAX_DOTS + 1) in _NAMES.sub("", _TEXTS.sub("", text)):
        raise ValueError(f"it has a key of more than {MAX_DOTS} dots")
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no TOML: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _refuse_unusual(names: Iterable[str]) -> None:
    unusual = sorted(name for name in names if name not in _KEYS and name.lower() in _KEYS)
    if unusual:
        raise ValueError(f"key {unusual[0]} is not in lower case")
