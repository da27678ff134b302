"""Causes of a failed pull: their stable codes, meanings and actors."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class Code(enum.StrEnum):
    """The stable identifier of a cause."""

    ISSUER_NOT_TRUSTED = "issuer-not-trusted"
    SELF_SIGNED_SERVER = "self-signed-server"
    MISSING_INTERMEDIATE = "missing-intermediate"
    CA_REKEYED = "ca-rekeyed"
    CA_NOT_A_CA = "ca-not-a-ca"
    TRUST_NOT_APPLIED = "trust-not-applied"
    RUNTIME_STALE = "runtime-stale"
    CA_FILE_MALFORMED = "ca-file-malformed"
    CA_FILE_UNREADABLE = "ca-file-unreadable"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    NAME_MISMATCH = "name-mismatch"
    NO_SUBJECT_ALT_NAME = "no-subject-alt-name"
    WRONG_KEY_USAGE = "wrong-key-usage"
    NAME_CONSTRAINT = "name-constraint"
    PATH_LENGTH = "path-length"
    WEAK_CERTIFICATE = "weak-certificate"
    TLS_VERSION = "tls-version"
    TLS_INTERCEPTED = "tls-intercepted"
    CLIENT_CERTIFICATE_REQUIRED = "client-certificate-required"
    PLAIN_HTTP = "plain-http"
    TLS_TIMEOUT = "tls-timeout"
    AUTH_MISSING = "auth-missing"
    AUTH_REJECTED = "auth-rejected"
    ACCESS_DENIED = "access-denied"
    PULL_SECRET_MALFORMED = "pull-secret-malformed"  # noqa: S105 - a code, not a password
    TOKEN_SERVICE_UNTRUSTED = "token-service-untrusted"  # noqa: S105
    TOKEN_SERVICE_BROKEN = "token-service-broken"  # noqa: S105
    BLOB_HOST_UNTRUSTED = "blob-host-untrusted"
    IMAGE_NOT_FOUND = "image-not-found"
    BLOB_MISSING = "blob-missing"
    PLATFORM_MISSING = "platform-missing"
    DIGEST_MISMATCH = "digest-mismatch"
    MANIFEST_UNSUPPORTED = "manifest-unsupported"
    INVALID_IMAGE_NAME = "invalid-image-name"
    IMAGE_NOT_PRESENT = "image-not-present"
    SIGNATURE_REJECTED = "signature-rejected"
    REGISTRY_BLOCKED = "registry-blocked"
    REGISTRY_CONFIGURATION_INVALID = "registry-configuration-invalid"
    NOT_A_REGISTRY = "not-a-registry"
    PROXY_FAILED = "proxy-failed"
    DNS_NOT_FOUND = "dns-not-found"
    DNS_FAILURE = "dns-failure"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_TIMEOUT = "connection-timeout"
    CONNECTION_RESET = "connection-reset"
    CONNECTION_CLOSED = "connection-closed"
    NETWORK_UNREACHABLE = "network-unreachable"
    RATE_LIMITED = "rate-limited"
    REGISTRY_ERROR = "registry-error"
    KUBELET_THROTTLED = "kubelet-throttled"
    PULL_CANCELLED = "pull-cancelled"
    DISK_FULL = "disk-full"
    UNPACK_FAILED = "unpack-failed"
    RUNTIME_UNAVAILABLE = "runtime-unavailable"
    UNKNOWN = "unknown"


class Actor(enum.StrEnum):
    """Who can fix a cause."""

    CLUSTER_OWNER = "cluster owner"
    REGISTRY_OWNER = "registry owner"
    NETWORK = "network"
    APPLICATION_OWNER = "application owner"
    NONE = "-"


class Confidence(enum.StrEnum):
    """How certain a cause is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Meaning:
    """The explanation of a code, and the actor who can usually fix it."""

    text: str
    actor: Actor


@dataclass(frozen=True)
class Cause:
    """A possible explanation of one failed pull.

    Attributes:
        code: Identifies the cause.
        confidence: How certain this cause is.
        reason: Why the confidence is what it is.
        next_step: A command or manifest change for the actor, with the names from this failure filled in.
        other_actor: Overrides the code's usual actor if the evidence points to another one.
    """

    code: Code
    confidence: Confidence
    reason: str
    next_step: str = ""
    other_actor: Actor | None = None

    @property
    def meaning(self) -> str:
        """Return the explanation of the code."""
        return MEANINGS[self.code].text

    @property
    def actor(self) -> Actor:
        """Return who must act."""
        return self.other_actor or MEANINGS[self.code].actor


_TRUST, _REGISTRY = Actor.CLUSTER_OWNER, Actor.REGISTRY_OWNER
_NETWORK, _APPLICATION = Actor.NETWORK, Actor.APPLICATION_OWNER

MEANINGS: Final[Mapping[Code, Meaning]] = MappingProxyType(
    {
        Code.ISSUER_NOT_TRUSTED: Meaning("the node does not trust the CA that issued the server's certificate", _TRUST),
        Code.SELF_SIGNED_SERVER: Meaning(
            "the server presents a self-signed certificate that the node does not trust", _TRUST
        ),
        Code.MISSING_INTERMEDIATE: Meaning(
            "the server does not send an intermediate certificate that its chain needs", _REGISTRY
        ),
        Code.CA_REKEYED: Meaning("the node trusts a CA of the same name, but with another key", _TRUST),
        Code.CA_NOT_A_CA: Meaning("the trusted certificate is not allowed to sign other certificates", _TRUST),
        Code.TRUST_NOT_APPLIED: Meaning("the CA is in the desired set, but not on this node", _TRUST),
        Code.RUNTIME_STALE: Meaning("the runtime started before the CA file was written, and does not use it", _TRUST),
        Code.CA_FILE_MALFORMED: Meaning("a CA file on the node cannot be parsed", _TRUST),
        Code.CA_FILE_UNREADABLE: Meaning("a CA file on the node is missing or unreadable", _TRUST),
        Code.CERTIFICATE_EXPIRED: Meaning("a certificate in the chain has expired", _REGISTRY),
        Code.CERTIFICATE_NOT_YET_VALID: Meaning(
            "a certificate in the chain is not yet valid, or the node's clock is wrong", _REGISTRY
        ),
        Code.NAME_MISMATCH: Meaning("the certificate is not valid for the name or address used", _REGISTRY),
        Code.NO_SUBJECT_ALT_NAME: Meaning("the certificate has no Subject Alternative Name for this host", _REGISTRY),
        Code.WRONG_KEY_USAGE: Meaning("a certificate in the chain is not valid for TLS servers", _REGISTRY),
        Code.NAME_CONSTRAINT: Meaning(
            "a CA in the chain is not allowed to issue certificates for this name", _REGISTRY
        ),
        Code.PATH_LENGTH: Meaning("the chain has more intermediates than one of its CAs allows", _REGISTRY),
        Code.WEAK_CERTIFICATE: Meaning("a certificate has a signature, key or encoding that Go rejects", _REGISTRY),
        Code.TLS_VERSION: Meaning("registry and node have no TLS version or cipher suite in common", _REGISTRY),
        Code.TLS_INTERCEPTED: Meaning(
            "a proxy intercepts TLS and signs with its own CA, which the node does not trust", _NETWORK
        ),
        Code.CLIENT_CERTIFICATE_REQUIRED: Meaning(
            "the registry requires a client certificate that the node does not present", _TRUST
        ),
        Code.PLAIN_HTTP: Meaning("one side speaks plain HTTP, the other TLS", _REGISTRY),
        Code.TLS_TIMEOUT: Meaning("the server does not answer the TLS handshake", _NETWORK),
        Code.AUTH_MISSING: Meaning("the registry requires a login, and the pull used none", _APPLICATION),
        Code.AUTH_REJECTED: Meaning("the registry rejects the credentials in the pull secret", _APPLICATION),
        Code.ACCESS_DENIED: Meaning("the registry denies this account access to the image", _REGISTRY),
        Code.PULL_SECRET_MALFORMED: Meaning(
            "the pull secret or the node's credential provider is unusable", _APPLICATION
        ),
        Code.TOKEN_SERVICE_UNTRUSTED: Meaning("the node does not trust the CA of the registry's token service", _TRUST),
        Code.TOKEN_SERVICE_BROKEN: Meaning("the registry's token service does not issue a token", _REGISTRY),
        Code.BLOB_HOST_UNTRUSTED: Meaning(
            "the node does not trust the CA of the host that stores the registry's blobs", _TRUST
        ),
        Code.IMAGE_NOT_FOUND: Meaning("the registry has no such repository, tag or digest", _APPLICATION),
        Code.BLOB_MISSING: Meaning("the registry has the manifest, but not all the content it lists", _REGISTRY),
        Code.PLATFORM_MISSING: Meaning("the image is not built for the node's platform", _APPLICATION),
        Code.DIGEST_MISMATCH: Meaning("the content does not match its digest", _REGISTRY),
        Code.MANIFEST_UNSUPPORTED: Meaning("the runtime does not support this manifest format", _APPLICATION),
        Code.INVALID_IMAGE_NAME: Meaning("the image reference cannot be parsed or resolved", _APPLICATION),
        Code.IMAGE_NOT_PRESENT: Meaning("imagePullPolicy is Never, and the node does not have the image", _APPLICATION),
        Code.SIGNATURE_REJECTED: Meaning("the node's policy rejects the image's signature or origin", _TRUST),
        Code.REGISTRY_BLOCKED: Meaning("the node's configuration blocks this registry", _TRUST),
        Code.REGISTRY_CONFIGURATION_INVALID: Meaning(
            "the runtime cannot read its registry configuration on the node, and ignores it", _TRUST
        ),
        Code.NOT_A_REGISTRY: Meaning(
            "the server that answers is not a registry: a portal or a proxy, for example", _NETWORK
        ),
        Code.PROXY_FAILED: Meaning("the node's proxy is unreachable, or refuses the request", _NETWORK),
        Code.DNS_NOT_FOUND: Meaning("the host name does not exist in the node's DNS", _NETWORK),
        Code.DNS_FAILURE: Meaning("the node's DNS servers give no usable answer", _NETWORK),
        Code.CONNECTION_REFUSED: Meaning("nothing listens on that address and port", _NETWORK),
        Code.CONNECTION_TIMEOUT: Meaning("no answer in time: packets are dropped, or the host is too slow", _NETWORK),
        Code.CONNECTION_RESET: Meaning("the connection was reset", _NETWORK),
        Code.CONNECTION_CLOSED: Meaning("the connection was closed before an answer arrived", _NETWORK),
        Code.NETWORK_UNREACHABLE: Meaning("the node has no route to that address", _NETWORK),
        Code.RATE_LIMITED: Meaning("the registry's pull rate limit is exceeded; this is temporary", _REGISTRY),
        Code.REGISTRY_ERROR: Meaning("the registry reports an internal error; this is temporary", _REGISTRY),
        Code.KUBELET_THROTTLED: Meaning("the kubelet limits its own pulls; this is temporary", _TRUST),
        Code.PULL_CANCELLED: Meaning("the pull was cancelled before it finished", _NETWORK),
        Code.DISK_FULL: Meaning("the node has no disk space left for the image", _TRUST),
        Code.UNPACK_FAILED: Meaning("the image was downloaded, but cannot be unpacked", _APPLICATION),
        Code.RUNTIME_UNAVAILABLE: Meaning("the container runtime does not answer the kubelet", _TRUST),
        Code.UNKNOWN: Meaning("no known cause matches", Actor.NONE),
    }
)
