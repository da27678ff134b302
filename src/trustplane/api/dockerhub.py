"""Docker Hub's names: the only registry whose image references use a different host than its server.

Source: github.com/distribution/reference, normalize.go; containerd, core/remotes/docker/registry.go (DefaultHost).
"""

from typing import Final

NAME: Final = "docker.io"  # in image references
SERVER: Final = "registry-1.docker.io"  # the server to connect to
NAMES: Final = frozenset({NAME, "index.docker.io", SERVER})
_HTTPS: Final = ":443"


def canonical(host: str) -> str:
    """Return a registry host in canonical form: lower case, without default port, one name for Docker Hub."""
    plain = host.lower().removesuffix(_HTTPS).rstrip(".")
    return NAME if plain in NAMES else plain


def server(host: str) -> str:
    """Return the host to connect to for a registry host."""
    return SERVER if host.lower().rstrip(".") in NAMES else host
