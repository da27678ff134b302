"""Addresses of registries as people write them."""

from typing import NamedTuple
from urllib.parse import urlsplit

from trustplane.errors import UserError

HTTPS_PORT = 443
_MAX_PORT = 65535


class Address(NamedTuple):
    """A host, without brackets, and a port."""

    host: str
    port: int = HTTPS_PORT

    @classmethod
    def read(cls, text: str) -> "Address":
        """Read HOST[:PORT], also with https:// before and a path behind. Raises UserError."""
        try:
            parts = urlsplit(text if "://" in text else f"https://{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme != "https" or port == 0:
            raise UserError(
                f"{text!r} is not the address of a registry",
                why="It takes a host name or an IP address, and optionally a port",
                next_step="Write HOST[:PORT], an IPv6 address in brackets",
            )
        return cls(host, port or HTTPS_PORT)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"
