"""The other hosts of a registry: its token service and its blob store.

Sources: the OCI distribution specification, and the token authentication of the distribution project.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from trustplane.api.image_reference import ImageReference
from trustplane.errors import UserError
from trustplane.registry.address import Address
from trustplane.registry.dial import TIMEOUT, dial_failure, open_connection, start_tls
from trustplane.registry.exchange import Response, exchange
from trustplane.registry.failure import Failure, failure_of
from trustplane.registry.reach import Target, Unasked, target
from trustplane.text import clean

_PARAMETER = re.compile(r'(?<![a-zA-Z])([a-zA-Z]+)="([^"]*)"')
_MAX_BODY = 4 << 20  # octets of a manifest or a token; the specification's limit for manifests
_MAX_TOKEN = 1 << 14  # characters
_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MAX_SHOWN = 200  # characters of a URL
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_OK, _UNAUTHORIZED = 200, 401
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Challenge:
    """The authentication that a registry demands: RFC 6750, with the token service's URL as `realm`."""

    realm: str
    service: str = ""

    @property
    def address(self) -> Address | None:
        """Address of the token service; None if `realm` is not an HTTPS URL."""
        return https_address(self.realm)


@dataclass(frozen=True)
class TokenService:
    """A token service that Trustplane may contact."""

    where: Target
    asked: Challenge


def get(
    where: Address | Target, path: str, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> Response | Failure:
    """GET a path without following redirects. The server is not authenticated: send no credentials."""
    connected = False
    address = where.address if isinstance(where, Target) else where
    try:
        with open_connection(where, timeout) as plain:
            connected = True
            with start_tls(plain, where) as tls:
                connected = False  # a server that is silent from here on has answered the TLS handshake
                return exchange(tls, address, path, headers or {}, seconds=timeout, limit=_MAX_BODY)
    except http.client.HTTPException as error:
        return failure_of(error, connected=connected)
    except (OSError, ValueError) as error:
        return dial_failure(error, where, connected=connected)


def challenge(response: Response) -> Challenge | None:
    """Parse the challenge in a registry's response to /v2/; None if it demands no token."""
    header = response.headers.get("www-authenticate", "")
    if response.status != _UNAUTHORIZED or not header.lower().startswith("bearer "):
        return None
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(header)}
    return Challenge(parameters.get("realm", ""), parameters.get("service", ""))


def token_service(address: Address, asked: Challenge | None, *, anywhere: bool) -> TokenService | Unasked | None:
    """Return a registry's token service if Trustplane may contact it; None if the registry names none.

    Args:
        address: The registry.
        asked: The registry's challenge.
        anywhere: Whether the user allows hosts on other sites.
    """
    if asked is None or not asked.realm:
        return None
    if asked.address is None:
        return Unasked(clean(asked.realm, _MAX_SHOWN), "it is not an HTTPS URL")
    where = target(address, asked.address, anywhere=anywhere)
    return TokenService(where, asked) if isinstance(where, Target) else where


def blob_host(
    address: Address, image: ImageReference, tokens: TokenService | None, *, anywhere: bool
) -> Target | Unasked | None:
    """Find the host to which the registry redirects clients for blobs; None if it serves them itself.

    Args:
        address: The registry.
        image: A public image; Trustplane asks for its manifest anonymously.
        tokens: The registry's token service, if Trustplane may contact it.
        anywhere: Whether the user allows hosts on other sites.
    """
    headers = _token(tokens, image) if tokens else {}
    digest = _blob_digest(address, image, headers)
    answer = get(address, f"/v2/{image.repository}/blobs/{digest}", headers) if digest else None
    if not isinstance(answer, Response) or answer.status not in _REDIRECTS:
        return None
    location = _redirect_address(address, answer.headers.get("location", ""))
    if location is None or location == address:
        return None
    return location if isinstance(location, Unasked) else target(address, location, anywhere=anywhere)


def _redirect_address(address: Address, location: str) -> Address | Unasked | None:
    try:
        url = urljoin(f"https://{address}/v2/", location)
    except ValueError:
        return None
    is_plain = url.startswith("http://")
    return Unasked(clean(url, _MAX_SHOWN), "it is not an HTTPS URL") if is_plain else https_address(url)


def manifest_status(address: Address, image: ImageReference, tokens: TokenService | None) -> int:
    """Request an image's manifest anonymously and return the status; 0 without a response."""
    headers = {**(_token(tokens, image) if tokens else {}), "Accept": ", ".join(_MANIFESTS)}
    answer = get(address, f"/v2/{image.repository}/manifests/{image.version}", headers)
    return answer.status if isinstance(answer, Response) else 0


def https_address(url: str) -> Address | None:
    """Return the address in an HTTPS URL; None for any other text."""
    try:
        return Address.read(url) if urlsplit(url).scheme == "https" else None
    except (UserError, ValueError):
        return None


def _token(service: TokenService, image: ImageReference) -> dict[str, str]:
    """Request an anonymous token, and return the header for it. Send it to the registry and nowhere else."""
    parts = urlsplit(service.asked.realm)
    own_query = urlencode({"service": service.asked.service, "scope": f"repository:{image.repository}:pull"})
    query = f"{parts.query}&{own_query}" if parts.query else own_query
    content = _json(get(service.where, f"{parts.path or '/'}?{query}"))
    token = content.get("token") or content.get("access_token")
    is_token = isinstance(token, str) and len(token) <= _MAX_TOKEN and _TOKEN.fullmatch(token)
    return {"Authorization": f"Bearer {token}"} if is_token else {}


def _blob_digest(address: Address, image: ImageReference, headers: Mapping[str, str]) -> str:
    """Return the digest of an image's configuration, or ""; for an index, that of its first image."""
    headers = {**headers, "Accept": ", ".join(_MANIFESTS)}
    reference = image.version
    for _ in range(2):
        manifest = _json(get(address, f"/v2/{image.repository}/manifests/{reference}", headers))
        config = manifest.get("config")
        if isinstance(config, dict):
            return _digest(config)
        children = manifest.get("manifests")
        if not (isinstance(children, list) and children and isinstance(children[0], dict)):
            return ""
        reference = _digest(children[0])
    return ""


def _digest(descriptor: Mapping[str, object]) -> str:
    """Return a descriptor's digest, or "" if it is invalid: it becomes part of a path."""
    digest = str(descriptor.get("digest", ""))
    return digest if _DIGEST.fullmatch(digest) else ""


def _json(answer: Response | Failure) -> dict[str, object]:
    if not isinstance(answer, Response) or answer.status != _OK:
        return {}
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
