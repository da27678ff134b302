"""Image references, read as containerd, CRI-O and the kubelet read them.

Sources: github.com/distribution/reference v0.6.0 (normalize.go, regexp.go); github.com/opencontainers/go-digest v1.0.0.
"""

import re
from dataclasses import dataclass
from typing import Final

from trustplane.api import dockerhub

DEFAULT_TAG: Final = "latest"
_LIBRARY: Final = "library/"
_MAX_REPOSITORY: Final = 255
_IDENTIFIER: Final = re.compile(r"[a-f0-9]{64}")
_LABEL: Final = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
_IPV6: Final = re.compile(r"\[[a-fA-F0-9:]+\]")
_PORT: Final = re.compile(r"[0-9]+")
_COMPONENT: Final = re.compile(r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_ENCODED: Final = re.compile(r"[a-f0-9]+")


@dataclass(frozen=True)
class ImageReference:
    """The parts of an image reference.

    Attributes:
        host: The registry's `host[:port]` as written; `docker.io` if the reference names none, or `index.docker.io`.
        repository: Without the host; `library/NAME` for Docker Hub's official images.
        tag: "" if the reference names none.
        digest: `algorithm:hex`; "" if the reference names none.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def registry(self) -> str:
        """The registry host in canonical form: lower case, without default port, one name for Docker Hub."""
        return dockerhub.canonical(self.host)

    @property
    def version(self) -> str:
        """The last part of a manifest's path: the digest if there is one, else the tag, else `latest`."""
        return self.digest or self.tag or DEFAULT_TAG


def parse_image(text: str) -> ImageReference:
    """Split an image reference. Never raises: parts of an invalid one are what a person would read in it."""
    return parse_repository(*_split_host(text))


def parse_repository(host: str, text: str) -> ImageReference:
    """Split REPOSITORY[:TAG][@DIGEST] of a registry."""
    tagged, _, digest = text.partition("@")
    name, _, tag = tagged.partition(":")
    is_official = host == dockerhub.NAME and "/" not in text
    return ImageReference(host, f"{_LIBRARY}{name}" if is_official else name, tag, digest)


def is_image(text: str) -> bool:
    """Return whether a container runtime accepts the text as an image reference."""
    if _IDENTIFIER.fullmatch(text):
        return False
    host, remainder = _split_host(text)
    image, (named, at, _) = parse_repository(host, remainder), remainder.partition("@")
    tag_is_valid = bool(_TAG.fullmatch(image.tag)) if ":" in named else True
    digest_is_valid = _is_digest(image.digest) if at else True
    return _is_host(image.host) and _is_repository(image.repository) and tag_is_valid and digest_is_valid


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_host = slash and (first == "localhost" or "." in first or ":" in first or first.lower() != first)
    if not is_host:
        return dockerhub.NAME, text
    return (dockerhub.NAME if first == dockerhub.INDEX else first), rest


def _is_host(host: str) -> bool:
    name, colon, port = (host, "", "") if host.endswith("]") else host.rpartition(":")
    if not colon:
        name = host
    elif not _PORT.fullmatch(port):
        return False
    return bool(_IPV6.fullmatch(name)) or all(_LABEL.fullmatch(label) for label in name.split("."))


def _is_repository(repository: str) -> bool:
    is_short = len(repository) <= _MAX_REPOSITORY
    return is_short and all(_COMPONENT.fullmatch(component) for component in repository.split("/"))


def _is_digest(digest: str) -> bool:
    algorithm, _, encoded = digest.partition(":")
    return len(encoded) == _DIGITS.get(algorithm) and bool(_ENCODED.fullmatch(encoded))
