"""Runtimes' messages about an image's name, manifest and content."""

from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.vocabulary.phrase import Phrase, Vocabulary


def _phrases(code: Code, reason: str, *templates: str) -> tuple[Phrase, ...]:
    return tuple(Phrase(template, (code,), reason) for template in templates)


_NAME: Final = _phrases(
    Code.INVALID_IMAGE_NAME,
    "the name violates the grammar of image references",
    "invalid reference format",
    "couldn't parse image name",
    "couldn't parse image reference",
    "Failed to apply default image tag",
    "invalid tag format",
    "invalid digest format",
    "repository name must",
    "invalid repository name (",
    "InvalidImageName",
    "failed to parse image reference",
    "error parsing image name",
    "docker: image reference",
) + _phrases(
    Code.INVALID_IMAGE_NAME,
    "the node's configuration defines no registry for this short name",
    'short-name "<name>" did not resolve',
    "short name mode is enforcing",
    "short-name resolution enforced",
    "no unqualified-search registries",
)

_MANIFEST: Final = _phrases(
    Code.MANIFEST_UNSUPPORTED,
    "the runtime names the unsupported format",
    "not implemented: media type",
    "schema 1 image manifests are no longer supported",
    "media-type: schema 1 not supported",
    "[DEPRECATION NOTICE] Docker Image Format v1",
    "Docker Image Format v1 and Docker Image manifest",
    "unsupported manifest media type",
    "unsupported manifest format",
    "unsupported schema version",
    "no signatures<end>",  # of a schema 1 manifest
    "unsupported docker v2s2 media type",
    "unsupported OCIv1 media type",
    "unsupported image-specific operation on artifact",
    "Unimplemented manifest",
    "unsupported MIME type",
    "unsupported media type",
    "unsupported mediatype",
    "Encountered remote ",
    'image ID "" is invalid',
    "rejecting <number> byte manifest",
    "rejecting ambiguous manifest",
    "could not fetch content descriptor <word> (application/vnd.docker.distribution.manifest.v1+<name>) from remote",
    "invalid media type",
    "mediaType in manifest should be",
    "AI models are not yet supported",
    "unexpected media type application/",
    "manifest invalid",
)

_PLATFORM: Final = _phrases(
    Code.PLATFORM_MISSING,
    "the image has no manifest for this platform",
    "no match for platform",
    "no matching manifest for",
    "no image found in manifest list for architecture",
    "no image found in image index for architecture",
    "image operating system <word> cannot be used",
    "cannot download image with operating system",
    "snapshotter <word> does not support platform",
    "no supported platform found in manifest list",
    "image platform (<text>) does not match",
)

_PAGES: Final = _phrases(
    Code.NOT_A_REGISTRY,
    "the server sent a web page instead of content",
    "could not fetch content descriptor <word> (text/html<name>) from remote",
    "mediaType text/html",
    "unexpected media type text/html",
    'media type "text/html',
)

_CONTENT: Final = (
    *_phrases(
        Code.BLOB_MISSING,
        "the manifest was fetched, but its content was not found",
        "could not fetch content descriptor <word> (application/<name>) from remote: not found",
        "could not fetch content <word> from remote: not found",
        "content at <url> not found",
        "content at <word> not found",
    ),
    *_phrases(
        Code.DIGEST_MISMATCH,
        "the runtime compared the content with its digest",
        "unexpected commit digest",
        "unexpected commit size",
        "Digest did not match",
        "digest mismatch",
        "filesystem layer verification failed",
        "manifest verification failed",
        "image config verification failed",
        "wrong diff id calculated",
        "Manifest does not match provided manifest digest",
        "Image manifest does not match selected manifest digest",
        "Download config.json digest",
        "httpReadSeeker: read past expected size",
        "read exceeds expected size",
        "layers from manifest don't match image configuration",
        "mismatched image rootfs and manifest layers",
        "failed size validation",
        "layer <number> (blob <text>) does not match config's DiffID",
        "provided digest did not match",
    ),
)

# From Kubernetes 1.33, the kubelet lets a pod use an image on the node only with credentials that pulled it.
_ENSURED: Final = tuple(
    Phrase(
        text, (Code.AUTH_MISSING, Code.AUTH_REJECTED), "the image is on the node; the kubelet verifies the login again"
    )
    for text in (
        'Container image "<image>" is present with pull policy of',
        "ErrImageNotEnsured",
    )
)

_HERE: Final = (
    *_ENSURED,
    *_phrases(
        Code.IMAGE_NOT_PRESENT,
        "the kubelet does not pull with this policy",
        'Container image "<name>" is not present with pull policy of Never',
    ),
    *_phrases(Code.IMAGE_NOT_PRESENT, "the kubelet does not pull with this policy", "ErrImageNeverPull"),
    *_phrases(
        Code.SIGNATURE_REJECTED,
        "the node's policy rejects the image",
        "A signature was required, but no signature exists",
        "Invalid signature",
        "None of the signatures were accepted",
        "Running image <text> is rejected by policy",
        "image verifier <word> blocked pull",
        "blocking pull of <text>: image verifier",
        "signature verification failed",
        "cryptographic signature verification failed",
        "Signature for identity",
    ),
    *_phrases(Code.REGISTRY_BLOCKED, "the node's registries.conf blocks it", "registry <word> is blocked in"),
)

_NOT_FOUND: Final = _phrases(
    Code.IMAGE_NOT_FOUND,
    "the registry answers 404 for this reference",
    "<reference>: not found",
)

IMAGES: Final = Vocabulary(Kind.IMAGE, (*_PAGES, *_NAME, *_MANIFEST, *_PLATFORM, *_CONTENT, *_HERE, *_NOT_FOUND))
