"""Names that a message has outside its layers: the image beside it, the host in a certificate's error, the platform."""

import re
from typing import Final

from trustplane.api import dockerhub
from trustplane.api.image_reference import is_image

# What reporters put in place of a name ("***"), and other text that only looks like one, names no registry.
_NAME: Final = re.compile(r"\[?[A-Za-z0-9][^\s*<>{}]{0,1024}")
_BESIDE: Final = re.compile(
    r"""(?:\bimage=|\bimage |\bartifact |\b(?:reference|source|from) |\bref=|\bhost=)["']?"""
    r"""(?:docker://|oci://)?(?P<name>[A-Za-z0-9][\w.:/@-]{2,512})"""
)
_HOST: Final = re.compile(r"(?:wanted to match|, not|but wanted) (?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252})\s{0,4}\Z")
_URL: Final = re.compile(
    r"https?://(?P<host>[^/\s?]{1,300})/v2/(?P<name>[^\s?]{1,300}?)/manifests/(?P<version>[\w.:-]{1,200})"
    r"(?:\?ns=(?P<registry>[\w.:%-]{1,300}))?(?:\Z|[&\s\"'])"
)
_PLATFORM: Final = re.compile(
    r"/rancher/(?P<path>k3s|rke2)\b|\b(?P<unit>k3s|rke2)(?:-agent|-server)?\[|\b(?P<dind>k3)d-"
)


def is_name(text: str) -> bool:
    """Return whether a text can name an image, if perhaps not a valid one."""
    return bool(_NAME.fullmatch(text))


def image_beside(text: str) -> str:
    """Return the first image that a log line or command names beside the message; "" without one."""
    for match in _BESIDE.finditer(text):
        name = match["name"].rstrip(".,:")
        if is_image(name) and ("/" in name or match[0].startswith("image=")):
            return name
    return ""


def image_of_url(url: str) -> str:
    """Return the image of a manifest's URL, "" for another URL."""
    match = _URL.match(url)
    if match is None:
        return ""
    host = (match["registry"] or match["host"]).replace("%3A", ":")
    name = dockerhub.canonical(host)
    separator = "@" if ":" in match["version"] else ":"
    image = f"{name}/{match['name']}{separator}{match['version']}"
    return image if is_image(image) else ""


def named_host(statement: str) -> str:
    """Return the host that a certificate's error names, "" without one."""
    match = _HOST.search(statement)
    return match["host"] if match else ""


def platform_of(text: str) -> str:
    """Return the distribution that a message names by its paths or units: `k3s`, `rke2`, or ""."""
    match = _PLATFORM.search(text)
    return (match["path"] or match["unit"] or "k3s") if match else ""
