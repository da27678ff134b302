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
from trustplane.registry.dial import TIMEOUT, unverified_context
from trustplane.registry.failure import Failure, failure_of

_PARAMETER = re.compile(r'(?<![a-zA-Z])([a-zA-Z]+)="([^"]*)"')
_MAX_BODY = 4 << 20  # octets of a manifest or a token: the limit of the specification for manifests
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_OK, _UNAUTHORIZED = 200, 401
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Response:
    """An answer over HTTPS."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


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
class Image:
    """A repository and a tag or digest."""

    repository: str
    reference: str

    @classmethod
    def read(cls, text: str) -> "Image":
        """Read REPOSITORY[:TAG] or REPOSITORY@DIGEST."""
        repository, at, digest = text.partition("@")
        name, colon, tag = repository.rpartition(":")
        return cls(repository, digest) if at else cls(name if colon else repository, tag if colon else "latest")


def get(address: Address, path: str, headers: Mapping[str, str] | None = None) -> Response | Failure:
    """Ask for a path without following redirects. The server is not authenticated: send no credentials."""
    connection = http.client.HTTPSConnection(*address, timeout=TIMEOUT, context=unverified_context())
    try:
        connection.request("GET", path, headers={"User-Agent": "trustplane", **(headers or {})})
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, fields, answer.read(_MAX_BODY))
    except (OSError, http.client.HTTPException) as error:
        return failure_of(error, connected=connection.sock is not None)
    finally:
        connection.close()


def challenge(response: Response) -> Challenge | None:
    """Read the token service from the answer to /v2/; None where the registry asks for no token."""
    header = response.headers.get("www-authenticate", "")
    if response.status != _UNAUTHORIZED or not header.lower().startswith("bearer "):
        return None
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(header)}
    return Challenge(parameters.get("realm", ""), parameters.get("service", ""))


def blob_host(address: Address, image: Image, asked: Challenge | None) -> Address | None:
    """Find where the registry sends clients for blobs: anonymously, by one image's manifest. None: not elsewhere."""
    headers = _token(asked, image) if asked else {}
    digest = _blob_digest(address, image, headers)
    answer = get(address, f"/v2/{image.repository}/blobs/{digest}", headers) if digest else None
    if not isinstance(answer, Response) or answer.status not in _REDIRECTS:
        return None
    url = urljoin(f"https://{address}/v2/", answer.headers.get("location", ""))
    return address_of(url)


def manifest_status(address: Address, image: Image, asked: Challenge | None) -> int:
    """Return the status of the answer to an anonymous request for an image's manifest; 0 where there was none."""
    headers = {**(_token(asked, image) if asked else {}), "Accept": ", ".join(_MANIFESTS)}
    answer = get(address, f"/v2/{image.repository}/manifests/{image.reference}", headers)
    return answer.status if isinstance(answer, Response) else 0


def address_of(url: str) -> Address | None:
    """Return where an HTTPS URL points to."""
    try:
        return Address.read(url) if urlsplit(url).scheme == "https" else None
    except (UserError, ValueError):
        return None


def _token(asked: Challenge, image: Image) -> dict[str, str]:
    """Ask the token service for what everybody gets."""
    if asked.address is None:
        return {}
    query = urlencode({"service": asked.service, "scope": f"repository:{image.repository}:pull"})
    path = urlsplit(asked.realm).path or "/"
    content = _json(get(asked.address, f"{path}?{query}"))
    token = content.get("token") or content.get("access_token")
    return {"Authorization": f"Bearer {token}"} if isinstance(token, str) else {}


def _blob_digest(address: Address, image: Image, headers: Mapping[str, str]) -> str:
    """Return the digest of an image's configuration, or ""; an index is followed to its first image."""
    wanted = {**headers, "Accept": ", ".join(_MANIFESTS)}
    reference = image.reference
    for _ in range(2):
        manifest = _json(get(address, f"/v2/{image.repository}/manifests/{reference}", wanted))
        config = manifest.get("config")
        if isinstance(config, dict):
            return str(config.get("digest", ""))
        children = manifest.get("manifests")
        if not (isinstance(children, list) and children and isinstance(children[0], dict)):
            return ""
        reference = str(children[0].get("digest", ""))
    return ""


def _json(answer: Response | Failure) -> dict[str, object]:
    if not isinstance(answer, Response) or answer.status != _OK:
        return {}
    try:
        content = json.loads(answer.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
