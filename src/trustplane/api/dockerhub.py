"""Docker Hub's names: the one registry whose images begin with another name than its server has.

Source: github.com/distribution/reference, normalize.go; containerd, core/remotes/docker/registry.go (DefaultHost).
"""

from typing import Final

NAME: Final = "docker.io"  # as the names of images have it
SERVER: Final = "registry-1.docker.io"  # as it is dialled
NAMES: Final = frozenset({NAME, "index.docker.io", SERVER})
_HTTPS: Final = ":443"


def canonical(host: str) -> str:
    """Return a registry's host as the names of images have it: lower case, without the usual port, Docker Hub once."""
    plain = host.lower().removesuffix(_HTTPS).rstrip(".")
    return NAME if plain in NAMES else plain


def server(host: str) -> str:
    """Return the host that is dialled for a registry's."""
    return SERVER if host.lower().rstrip(".") in NAMES else host
