"""Addresses of registries as people write them."""

from typing import NamedTuple
from urllib.parse import urlsplit

from trustplane.api import dockerhub
from trustplane.errors import UserError

HTTPS_PORT = 443


class Address(NamedTuple):
    """A host, without brackets, and a port: those that are dialled."""

    host: str
    port: int = HTTPS_PORT

    @classmethod
    def read(cls, text: str) -> "Address":
        """Read HOST[:PORT], also with https:// before and a path behind; Docker Hub by any name. Raises UserError."""
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
        port = port or HTTPS_PORT
        return cls(dockerhub.server(host) if port == HTTPS_PORT else host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"
