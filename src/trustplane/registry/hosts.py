"""The other hosts of a registry: its token service, and where its blobs are kept.

Source: the distribution specification of the OCI, and the token authentication of the distribution project.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from trustplane.errors import UserError
from trustplane.registry.address import Address
from trustplane.registry.dial import TIMEOUT, connect, failure, shake_hands
from trustplane.registry.exchange import Response, exchange
from trustplane.registry.failure import Failure, failure_of
from trustplane.registry.reach import Target, Unasked, target
from trustplane.text import clean

_PARAMETER = re.compile(r'(?<![a-zA-Z])([a-zA-Z]+)="([^"]*)"')
_MAX_BODY = 4 << 20  # octets of a manifest or a token: the limit of the specification for manifests
_MAX_TOKEN = 1 << 14  # characters
_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SHOWN = 200  # characters of a URL
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
    """How a registry wants to be asked: RFC 6750 with `realm` as the token service's URL."""

    realm: str
    service: str = ""

    @property
    def address(self) -> Address | None:
        """Where the token service is; None where its URL is none."""
        return address_of(self.realm)


@dataclass(frozen=True)
class TokenService:
    """A token service that may be asked."""

    where: Target
    asked: Challenge


@dataclass(frozen=True)
class Image:
    """A repository and a tag or digest."""

    repository: str
    reference: str

    @classmethod
    def read(cls, text: str) -> "Image":
        """Read REPOSITORY[:TAG] or REPOSITORY[:TAG]@DIGEST; the digest counts."""
        named, at, digest = text.partition("@")
        folder, slash, last = named.rpartition("/")
        name, _, tag = last.partition(":")
        return cls(f"{folder}{slash}{name}", digest if at else tag or "latest")


def get(
    where: Address | Target, path: str, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> Response | Failure:
    """Ask for a path without following redirects. The server is not authenticated: send no credentials."""
    connected = False
    address = where.address if isinstance(where, Target) else where
    try:
        with connect(where, timeout) as plain:
            connected = True
            with shake_hands(plain, where) as tls:
                return exchange(tls, address, path, headers or {}, seconds=timeout, limit=_MAX_BODY)
    except http.client.HTTPException as error:
        return failure_of(error, connected=connected)
    except (OSError, ValueError) as error:
        return failure(error, where, connected=connected)


def challenge(response: Response) -> Challenge | None:
    """Read the token service from the answer to /v2/; None where the registry asks for no token."""
    header = response.headers.get("www-authenticate", "")
    if response.status != _UNAUTHORIZED or not header.lower().startswith("bearer "):
        return None
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(header)}
    return Challenge(parameters.get("realm", ""), parameters.get("service", ""))


def token_service(address: Address, asked: Challenge | None, *, anywhere: bool) -> TokenService | Unasked | None:
    """Decide whether the token service that a registry names is asked; None: it names none.

    Args:
        address: Of the registry.
        asked: The registry's challenge.
        anywhere: The operator wants other sites to be asked, too.
    """
    if asked is None or not asked.realm:
        return None
    if asked.address is None:
        return Unasked(clean(asked.realm, _SHOWN), "it is no URL with https")
    where = target(address, asked.address, anywhere=anywhere)
    return TokenService(where, asked) if isinstance(where, Target) else where


def blob_host(
    address: Address, image: Image, tokens: TokenService | None, *, anywhere: bool
) -> Target | Unasked | None:
    """Find where the registry sends clients for blobs: anonymously, by one image's manifest. None: not elsewhere.

    Args:
        address: Of the registry.
        image: A public one.
        tokens: The registry's token service, where there is one to be asked.
        anywhere: As in `token_service`.
    """
    headers = _token(tokens, image) if tokens else {}
    digest = _blob_digest(address, image, headers)
    answer = get(address, f"/v2/{image.repository}/blobs/{digest}", headers) if digest else None
    if not isinstance(answer, Response) or answer.status not in _REDIRECTS:
        return None
    found = _redirected(address, answer.headers.get("location", ""))
    if found is None or found == address:
        return None
    return found if isinstance(found, Unasked) else target(address, found, anywhere=anywhere)


def _redirected(address: Address, location: str) -> Address | Unasked | None:
    try:
        url = urljoin(f"https://{address}/v2/", location)
    except ValueError:
        return None
    is_plain = url.startswith("http://")
    return Unasked(clean(url, _SHOWN), "it is no URL with https") if is_plain else address_of(url)


def manifest_status(address: Address, image: Image, tokens: TokenService | None) -> int:
    """Return the status of the answer to an anonymous request for an image's manifest; 0 where there was none."""
    headers = {**(_token(tokens, image) if tokens else {}), "Accept": ", ".join(_MANIFESTS)}
    answer = get(address, f"/v2/{image.repository}/manifests/{image.reference}", headers)
    return answer.status if isinstance(answer, Response) else 0


def address_of(url: str) -> Address | None:
    """Return where an HTTPS URL points to."""
    try:
        return Address.read(url) if urlsplit(url).scheme == "https" else None
    except (UserError, ValueError):
        return None


def _token(service: TokenService, image: Image) -> dict[str, str]:
    """Ask the token service for what everybody gets. It goes to the registry, and nowhere else."""
    parts = urlsplit(service.asked.realm)
    ours = urlencode({"service": service.asked.service, "scope": f"repository:{image.repository}:pull"})
    query = f"{parts.query}&{ours}" if parts.query else ours
    content = _json(get(service.where, f"{parts.path or '/'}?{query}"))
    token = content.get("token") or content.get("access_token")
    is_token = isinstance(token, str) and len(token) <= _MAX_TOKEN and _TOKEN.fullmatch(token)
    return {"Authorization": f"Bearer {token}"} if is_token else {}


def _blob_digest(address: Address, image: Image, headers: Mapping[str, str]) -> str:
    """Return the digest of an image's configuration, or ""; an index is followed to its first image."""
    wanted = {**headers, "Accept": ", ".join(_MANIFESTS)}
    reference = image.reference
    for _ in range(2):
        manifest = _json(get(address, f"/v2/{image.repository}/manifests/{reference}", wanted))
        config = manifest.get("config")
        if isinstance(config, dict):
            return _digest(config)
        children = manifest.get("manifests")
        if not (isinstance(children, list) and children and isinstance(children[0], dict)):
            return ""
        reference = _digest(children[0])
    return ""


def _digest(found: Mapping[str, object]) -> str:
    """Return a digest, which becomes part of a path."""
    digest = str(found.get("digest", ""))
    return digest if _DIGEST.fullmatch(digest) else ""


def _json(answer: Response | Failure) -> dict[str, object]:
    if not isinstance(answer, Response) or answer.status != _OK:
        return {}
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
