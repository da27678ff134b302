"""Registry addresses as users write them."""

from typing import NamedTuple
from urllib.parse import urlsplit

from trustplane.api import dockerhub
from trustplane.errors import UserError

HTTPS_PORT = 443


class Address(NamedTuple):
    """A host, without brackets, and a port to dial."""

    host: str
    port: int = HTTPS_PORT

    @classmethod
    def read(cls, text: str) -> "Address":
        """Parse HOST[:PORT] or an HTTPS URL. Any name of Docker Hub gives its server. Raises UserError."""
        try:
            parts = urlsplit(text if "://" in text else f"https://{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme != "https" or port == 0:
            raise UserError(
                f"{text!r} is not a registry address",
                why="An address is a host name or an IP address, optionally with a port",
                next_step="Write HOST[:PORT], with an IPv6 address in brackets",
            )
        port = port or HTTPS_PORT
        return cls(dockerhub.server(host) if port == HTTPS_PORT else host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"
