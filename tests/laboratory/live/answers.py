"""Responses of registries: logins, token services, blob stores, and an image."""

import base64
import hashlib
import json
from dataclasses import dataclass, replace

from oracle.server import Answer, Reply, Request

USER, PASSWORD = "robot", "never-to-be-shown"
_BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_MANIFEST, _INDEX = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index"))
_CONFIG, _LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
API = {"Docker-Distribution-Api-Version": "registry/2.0"}


def error(status: int, code: str, words: str, **headers: str) -> Reply:
    """Return an error in the format of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": words}]}).encode()
    return Reply(status, {**API, "Content-Type": "application/json", **headers}, body)


ABSENT = error(404, "MANIFEST_UNKNOWN", "manifest unknown")
DENIED = error(403, "DENIED", "requested access to the resource is denied")
PAGE = Reply(200, {"Content-Type": "text/html"}, b"<html><body>Please log in to the guest network</body></html>")


def always(reply: Reply) -> Answer:
    """Give the same response to every request."""
    return lambda _: reply


def public(content: Answer = always(ABSENT)) -> Answer:  # noqa: B008 - immutable
    """Respond as a public registry."""
    return lambda request: Reply(200, API) if request.path == "/v2/" else content(request)


def failing(reply: Reply) -> Answer:
    """Respond as a registry that serves its API, but refuses all content."""
    return public(always(reply))


def basic(content: Answer = always(ABSENT)) -> Answer:  # noqa: B008 - immutable
    """Respond as a registry that checks user and password itself."""
    challenge = error(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": 'Basic realm="corp"'})

    def answer(request: Request) -> Reply:
        return public(content)(request) if request.headers.get("authorization") == _BASIC else challenge

    return answer


def bearer(realm: str, content: Answer = always(ABSENT), *, members: str = "member") -> Answer:  # noqa: B008 - immutable
    """Respond as a registry with a token service: content requires a token that allows it."""
    words = f'Bearer realm="{realm}",service="registry"'

    def answer(request: Request) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and request.path == "/v2/":
            return Reply(200, API)
        if token == members:
            return content(request)
        scope = f',scope="repository:team/app:pull",error="{"insufficient_scope" if token else "invalid_token"}"'
        challenge = words + (scope if request.path != "/v2/" else "")
        return error(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": challenge})

    return answer


def tokens(*, known: str = "member", anybody: str = "guest") -> Answer:
    """Respond as a token service: one token for users with the login, and one for anonymous users, "" for none."""

    def answer(request: Request) -> Reply:
        login = request.headers.get("authorization")
        token = known if login == _BASIC else "" if login else anybody
        refusal = error(401, "UNAUTHORIZED", "incorrect username or password")
        return Reply(body=json.dumps({"token": token}).encode()) if token and request.method == "GET" else refusal

    return answer


@dataclass(frozen=True)
class Image:
    """An image of one layer, as served by a registry."""

    manifest: bytes
    kind: str
    blobs: dict[str, bytes]
    claimed: str = ""  # digest in the response's header, if it is not the manifest's

    def __call__(self, request: Request) -> Reply:
        """Respond to requests for manifests and blobs."""
        if "/manifests/" in request.path:
            headers = {**API, "Content-Type": self.kind, "Docker-Content-Digest": self.claimed or digest(self.manifest)}
            length = {"Content-Length": str(len(self.manifest))}
            return Reply(200, {**headers, **length}, self.manifest)
        found = self.blobs.get(request.path.rpartition("/")[2])
        return error(404, "BLOB_UNKNOWN", "blob unknown") if found is None else Reply(200, API, found)

    def elsewhere(self, host: str) -> Answer:
        """Respond with blobs of another host."""
        return lambda request: (
            Reply(307, {**API, "Location": f"https://{host}{request.path}"})
            if "/blobs/" in request.path
            else self(request)
        )


def digest(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(label: str, architecture: str = "amd64") -> Image:
    """Return an image that differs from those with other labels."""
    layer = bytes(10240)  # an empty tar archive
    content = {"type": "layers", "diff_ids": [digest(layer)]}
    config = {"architecture": architecture, "os": "linux", "author": label, "config": {}, "rootfs": content}
    encoded = json.dumps(config).encode()
    described = {"mediaType": _CONFIG, "digest": digest(encoded), "size": len(encoded)}
    layers = [{"mediaType": _LAYER, "digest": digest(layer), "size": len(layer)}]
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described, "layers": layers}
    return Image(json.dumps(manifest).encode(), _MANIFEST, {digest(encoded): encoded, digest(layer): layer})


def without_layer(whole: Image) -> Image:
    """Return an image whose layer is missing in the registry."""
    return replace(whole, blobs={name: blob for name, blob in whole.blobs.items() if blob.startswith(b"{")})


def for_another_platform(label: str) -> Image:
    """Return an index with one image, for another platform than the node's."""
    child = image(label, "s390x")
    platform = {"architecture": "s390x", "os": "linux"}
    entry = {
        "mediaType": _MANIFEST,
        "digest": digest(child.manifest),
        "size": len(child.manifest),
        "platform": platform,
    }
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]}
    return Image(json.dumps(index).encode(), _INDEX, child.blobs)


def of_old_schema() -> Image:
    """Return an image of Docker's schema 1."""
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    body = {"schemaVersion": 1, "name": "team/app", "tag": "1", "architecture": "amd64", "fsLayers": [], "history": []}
    return Image(json.dumps(body).encode(), kind, {})
